"""Many runs, one table."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
from pathlib import Path

import numpy as np
import xarray as xr

from . import cache, library, page_data, recording, runs
from .config import Config
from .console import Bar, say, warn, words
from .grid import configs, values
from .jobs import attempt, checked, outcomes
from .rows import COLUMNS, bundled, compared, summary

__all__ = ["record", "recorded", "sweep"]


def sweep(
    base: Config, /, *, recordings=False, device=None, progress=True,
    workers=None, executor=None, runs_per_job=1, **axes,
) -> xr.Dataset:  # fmt: skip
    """Run every combination of some values, and return what came of it in one table.

    Each combination is `base.replace(lr=..., momentum=...)` and goes through `run`: what was run before is there at
    once, so an interrupted sweep goes on where it was, and sweeps share their runs. A run that diverges is a value:
    `diverged_at` is its step, its final accuracy NaN. So is a run that fails: `failed` holds the error's text.

    The runs go one after another; with `workers` several at a time on this machine, with `executor` wherever that puts
    them. On a CPU the table is the same bit for bit where torch has the same number of threads: n workers have an nth
    each. A process that dies (killed, out of memory) is no end: its run is tried once more, then `failed` says so.
    Ctrl-C ends the workers, and cancels what an executor has not begun.

    The runs of a table are compared with one another, so they should be of the same images, in the same precision. The
    book's own are of CIFAR-10 (JPEG); where they stand beside yours of other images, a warning says so.

    Args:
        base: what all runs have in common.
        workers: processes on this machine, see `workers.Workers`; each takes 2 to 3 s to start. None or 1: this one.
        executor: has `submit(function, *args)`, which gives what has `done()` and `result()`: of concurrent.futures,
            loky, submitit (SLURM), dask's Client, `workers.RayExecutor` ... It stays open. Processes must not be
            forked from one that has trained: ProcessPoolExecutor with `mp_context` "spawn".
        runs_per_job: how many runs are one call of the executor; several where a job costs seconds to start, as on
            SLURM.
        recordings: the table holds the whole recordings, too (dimensions step, layer), padded with NaN.
        device: where to train if need be; None takes the GPU if there is one.
        progress: show one bar over all runs.
        axes: field of Config → its values, one dimension each, in the order in which they are given. Where None is
            one of them, the values are written as text, and None is "none".

    Returns:
        xarray.Dataset with a dimension for each axis, and `epoch` (shorter runs end in NaN). Its variables are those
        of `rows.COLUMNS`; `failed`; `digest`, the name of each run; and `provenance`, what it was made of and on, as
        JSON.

    Raises:
        ValueError: a value or a combination of values is not allowed, or an axis is empty; nothing has run then.
        RuntimeError: every single run has failed.

    Example:
        >>> table = sweep(Config.smoke(epochs=1), lr=[0.1, 0.2], seed=range(2), progress=False)
        >>> table.final_accuracy.dims, table.test_loss.dims
        (('lr', 'seed'), ('lr', 'seed', 'epoch'))
        >>> best = table.final_accuracy.mean("seed").idxmax()
    """
    grid = configs(base, **axes)
    checked(workers, executor, runs_per_job)
    rows = {} if recordings else _bundled(grid)
    missing = {i: grid[i] for i in np.ndindex(grid.shape) if i not in rows}
    names = {i: ", ".join(f"{name}={getattr(config, name)}" for name in axes) for i, config in missing.items()}
    failed, kept = np.full(grid.shape, "", dtype=object), {}

    def take(i, outcome):
        failed[i] = outcome.failed
        if outcome.ds is not None:
            rows[i] = summary(outcome.ds)
            if recordings:
                kept[i] = outcome.ds

    with cache.call(), Bar(show=progress and missing, total=len(missing), unit="run") as bar:  # the cache warns once
        if executor is None and workers in (None, 1):
            found = _one_by_one(missing, names, device, bar)
        else:
            found = outcomes(missing, workers, executor, device, runs_per_job)
        _follow(found, take, names, bar, progress)
    if not rows:
        raise RuntimeError(f"all {grid.size} runs failed; the first: {failed.flat[0]}")
    compared(rows.values())
    table = _table(grid, axes, rows, failed)
    table.attrs |= {"config": json.dumps(base.as_dict()), "format_version": recording.FORMAT}
    return table.merge(_stacked(table, dict(sorted(kept.items())))) if recordings else table


def recorded(name: str) -> xr.Dataset:
    """Return what comes with the package under a name: the recording of a run, or the table of a sweep.

    Short for `run(bundled()[name])`, or for `sweep(base, **axes)` with `base, axes = bundled_sweeps()[name]`: the
    configuration says what it is, the name where the book keeps it. Nothing is trained.

    Raises:
        ValueError: nothing of this name comes with the package.

    Example:
        >>> recorded("stable-resnet9").final_accuracy.sizes["seed"], recorded("sgd-0").sizes["layer"]
        (3, 8)
    """
    single, tables = library.bundled(), library.bundled_sweeps()
    if name in single:
        return runs.run(single[name], progress=False)
    if name in tables:
        base, axes = tables[name]
        return sweep(base, progress=False, **axes)
    near = difflib.get_close_matches(str(name), [*single, *tables], n=3, cutoff=0)
    raise ValueError(f"name={name!r}: must be one of bundled() or bundled_sweeps(), as {', '.join(map(repr, near))}")


def _bundled(grid) -> dict[tuple, dict]:
    """Index → row of the runs that are in the tables of the package."""
    rows = bundled(config.digest for config in grid.flat)
    return {i: rows[grid[i].digest] for i in np.ndindex(grid.shape) if grid[i].digest in rows}


def _one_by_one(missing, names, device, bar):
    """Yield (index, outcome) of the runs, done here one after another."""
    for i, config in missing.items():
        bar.update(0, names[i])
        with cache.call(waiting=lambda path, i=i: bar.update(0, f"{names[i]}: another process makes it")):
            outcome = attempt(config, device)
        yield i, outcome


def _follow(found, take, names, bar, progress) -> None:
    """Take each outcome as it comes, and say how far it is, what has failed, and that it was stopped."""
    try:
        with contextlib.closing(found):
            for i, outcome in found:
                if progress and outcome.failed:
                    say(f"{names[i]}: failed, {outcome.failed}")
                take(i, outcome)
                bar.update(1, names[i])
    except KeyboardInterrupt as stop:
        if progress:
            bar.close()
            say(f"Stopped at run {bar.n + 1} of {len(names)}. The runs before it are remembered.")
            stop.said = True
        raise


def _table(grid, axes, rows, failed) -> xr.Dataset:
    shape, dims = grid.shape, tuple(axes)
    epochs = max(min(len(row["test_loss"]), math.ceil(grid[i].epochs)) for i, row in rows.items())
    data = {}
    for name, (extra, long_name, units) in COLUMNS.items():
        column = np.full(shape + ((epochs,) if extra else ()), np.nan)
        for i, row in rows.items():
            if extra:
                column[i][: len(row[name])] = row[name][:epochs]
            else:
                column[i] = row[name]
        data[name] = (dims + ((extra,) if extra else ()), column, {"long_name": long_name, "units": units})
    digests = np.array([c.digest for c in grid.flat], dtype=object).reshape(shape)
    data["digest"] = (dims, digests, {"long_name": "digest of the run's configuration"})
    made = np.full(shape, "", dtype=object)
    for i, row in rows.items():
        made[i] = row["provenance"]
    data["provenance"] = (dims, made, {"long_name": "of what and on what the run was made"})
    data["failed"] = (dims, failed, {"long_name": "why the run failed, if it did"})
    coords = {name: ["none" if v is None else str(v) for v in found] if None in found else found
              for name, found in values(grid, axes).items()}  # fmt: skip
    return xr.Dataset(data, coords | {"epoch": np.arange(1, epochs + 1)})


def _stacked(table, kept, along="step") -> xr.Dataset:
    """The recordings, or their windows, along the axes of the table."""
    dims = table.digest.dims
    layers = list(dict.fromkeys(layer for ds in kept.values() for layer in ds.layer.values))
    coords = {along: max((ds[along].values for ds in kept.values()), key=len), "layer": layers}
    data = {}
    for name, of in {name: ds[name] for ds in kept.values() for name in ds.data_vars}.items():  # LARS has one more
        if not name.startswith("test_"):
            shape = table.digest.shape + tuple(len(coords[d]) for d in of.dims)
            whole = np.full(shape, np.nan, np.result_type(of.dtype, np.float32))  # λ is float64, as in a recording
            for i, ds in kept.items():
                if name in ds:
                    whole[i] = ds[name].reindex({d: coords[d] for d in of.dims})
            data[name] = (dims + of.dims, whole, of.attrs)
    return xr.Dataset(data, coords)


# Tables that come with the package
def record(name: str, data=None, device=None, folder: Path | None = None, progress=True, workers=None):
    """Record a sweep of the manifest into the package, unless it is there. Resumable: its runs are remembered.

    With "series": true in the manifest the table holds the series of every run, too, see `page_data.windowed`, rounded
    as recordings in the package are: w2, c2, drive, growth, window_loss and window_accuracy.

    Args:
        name: in the manifest.
        data: an archive of CIFAR-10 to use in its place, as in `runs.record`.
        folder: where recordings go, the table into its folder `sweeps`; None is the package.
        workers: as in `sweep`.

    Returns:
        (table, there): the table, and whether it was there already. A run that failed is tried again.
    """
    from . import datasets

    base, axes = library.planned_sweeps()[name]
    series = library.manifest()["sweeps"][name].get("series", False)
    path = library.sweep_file(name, folder)
    wanted = [config.digest for config in configs(base, **axes).flat]
    try:
        table = recording.read(path)
        whole = list(table.digest.values.ravel()) == wanted and not any(table.failed.values.ravel())
        if whole and (not series or "drive" in table):
            return table, True
    except FileNotFoundError:
        pass
    except recording.BrokenRecording as error:
        warn(f"{error}. The sweep is put together again.")
    with datasets.standing_in(data):
        table = sweep(base, workers=workers, device=device, progress=progress, **axes)
        if series:
            table = _with_series(table, configs(base, **axes), device)
    recording.save(table, path)
    return table, False


def _with_series(table, grid, device) -> xr.Dataset:
    """The table with the series of its runs; NaN where a run fails, and `failed` says why."""
    kept, failed = {}, table.failed.values.copy()
    for i in np.ndindex(grid.shape):
        if not failed[i]:
            try:
                ds = page_data.windowed(runs.run(grid[i], device=device, progress=False))
            except Exception as error:
                failed[i] = words(error)
            else:
                with np.errstate(over="ignore"):  # of a run that diverged
                    kept[i] = recording.thin(ds.rename(page_data.IN_TABLE))
    table = table.assign(failed=table.failed.copy(data=failed))
    if not kept:
        return table
    edges, *others = {tuple(ds.attrs["edges"]) for ds in kept.values()}
    if others:
        raise ValueError("a sweep with series: must have runs of the same number of steps")
    return table.merge(_stacked(table, kept, "window")).assign_attrs(edges=np.array(edges))
