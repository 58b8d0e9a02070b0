"""Many runs, one table."""

from __future__ import annotations

import functools
import itertools
import json
import math
from pathlib import Path

import numpy as np
import xarray as xr

from . import cache, evidence, library, recording, runs
from .config import Config, plain
from .console import Bar, say, warn

# What the table holds of every run: name → (dimension besides the axes, what it is, unit).
COLUMNS = {
    "final_accuracy": (None, "test accuracy after the last epoch", "1"),
    "final_loss": (None, "test loss after the last epoch", "nat"),
    "test_accuracy": ("epoch", "test accuracy after the epoch", "1"),
    "test_loss": ("epoch", "test loss after the epoch", "nat"),
    "train_accuracy": ("epoch", "training accuracy, mean over the epoch's batches", "1"),
    "train_loss": ("epoch", "training loss, mean over the epoch's batches", "nat"),
    "diverged_at": (None, "step at which the loss was no longer finite, or -1", "step"),
    "seconds": (None, "time that the run took", "s"),
}
PROVENANCE = (
    "dataset", "dataset_digest", "device", "precision", "torch_version", "package_version", "semantics", "date",
)  # fmt: skip


def sweep(base: Config, /, *, recordings=False, device=None, progress=True, **axes) -> xr.Dataset:
    """Run every combination of some values, and return what came of it in one table.

    Each combination is `base.replace(lr=..., momentum=...)` and goes through `run`: what was run before is there at
    once, so an interrupted sweep goes on where it was, and sweeps share their runs. A run that diverges is a value:
    `diverged_at` is its step, its final accuracy NaN. So is a run that fails: `failed` holds the error's text.

    The runs of a table are compared with one another, so they should be of the same images, in the same precision. The
    book's own are of CIFAR-10 (JPEG); where they stand beside yours of other images, a warning says so.

    Args:
        base: what all runs have in common.
        recordings: the table holds the whole recordings, too (dimensions step, layer), padded with NaN.
        device: where to train if need be; None takes the GPU if there is one.
        progress: show one bar over all runs.
        axes: field of Config → its values, one dimension each, in the order in which they are given. Where None is
            one of them, the values are written as text, and None is "none".

    Returns:
        xarray.Dataset with a dimension for each axis, and `epoch` (shorter runs end in NaN). Its variables are those
        of `COLUMNS`; `failed`; `digest`, the name of each run; and `provenance`, what it was made of and on, as JSON.

    Raises:
        ValueError: a value or a combination of values is not allowed, or an axis is empty; nothing has run then.
        RuntimeError: every single run has failed.

    Example:
        >>> table = sweep(Config.smoke(), lr=[0.1, 0.2, 0.4], seed=range(3))
        >>> table.final_accuracy.mean("seed").plot()
    """
    with cache.call():  # one warning of the cache for all
        return _sweep(configs(base, **axes), base, recordings, device, progress, axes)


def _sweep(grid, base, recordings, device, progress, axes):
    shape = grid.shape
    rows, failed = {}, np.full(shape, "", dtype=object)
    missing = [i for i in np.ndindex(shape) if recordings or grid[i].digest not in bundled_rows()]
    for i in set(np.ndindex(shape)) - set(missing):
        rows[i] = bundled_rows()[grid[i].digest]
    kept = {}
    with Bar(show=progress and missing, total=len(missing), unit="run") as bar:
        for i in missing:
            said = ", ".join(f"{name}={getattr(grid[i], name)}" for name in axes)
            bar.update(0, said)
            try:
                with cache.call(waiting=lambda path, said=said: bar.update(0, f"{said}: another process makes it")):
                    ds = runs.run(grid[i], device=device, progress=False)
            except KeyboardInterrupt as stop:
                if progress:
                    bar.close()
                    say(f"Stopped at run {bar.n + 1} of {len(missing)}. The runs before it are remembered.")
                    stop.said = True
                raise
            except Exception as error:
                failed[i] = f"{type(error).__name__}: {error}"
                if progress:
                    say(f"{said}: failed, {failed[i]}")
            else:
                rows[i] = summary(ds)
                if recordings:
                    kept[i] = ds
            bar.update()
    if not rows:
        raise RuntimeError(f"all {grid.size} runs failed; the first: {failed.flat[0]}")
    _compared(rows.values())
    table = _table(grid, axes, rows, failed)
    table.attrs |= {"config": json.dumps(base.as_dict()), "format_version": recording.FORMAT}
    return table.merge(_stacked(table, kept)) if recordings else table


def configs(base: Config, /, **axes) -> np.ndarray:
    """Return the configurations of a sweep, an array with one dimension for each axis."""
    if not isinstance(base, Config):
        raise TypeError(f"sweep({base!r}, ...): must be a Config, as in sweep(Config.smoke(), lr=[0.1, 0.2])")
    fields = base.as_dict()
    axes = {name: list(values) if _is_list(values) else [values] for name, values in axes.items()}
    for name, values in axes.items():
        if name not in fields:
            raise ValueError(f"{name}=...: must be a field of Config ({', '.join(fields)})")
        if not values:
            raise ValueError(f"{name}=[]: must have at least one value")
        for value in map(plain, values):
            if _is_list(value):
                raise ValueError(f"{name}={value!r}: must be one value of an axis, not a list of them")
    grid = np.empty(tuple(map(len, axes.values())), dtype=object)
    for i, values in zip(np.ndindex(grid.shape), itertools.product(*axes.values())):
        grid[i] = base.replace(**dict(zip(axes, values)))
    for name, values in _values(grid, axes).items():  # as Config has them: two names of a network are one
        if len(set(values)) < len(values):
            raise ValueError(f"{name}={values}: must not name a value twice")
    return grid


def _compared(rows) -> None:
    """Warn if the runs of a table are not of one kind, apart from what the table varies."""
    made = [json.loads(row["provenance"]) for row in rows]
    for key, what, usual in (("dataset_digest", "data sets", None), ("semantics", "meanings of training", 1),
                             ("precision", "precisions", None)):  # fmt: skip
        shown = "dataset" if key == "dataset_digest" else key
        kinds = {one.get(key, usual): one.get(shown, usual) for one in made}
        if len(kinds) > 1:
            warn(f"this table compares runs of {len(kinds)} {what}: {', '.join(sorted(map(str, kinds.values())))}; its "
                 "variable `provenance` says which is which")  # fmt: skip


def summary(ds: xr.Dataset) -> dict:
    """Return the row of the table that belongs to a recording: name → number, or numbers of the epochs."""
    steps, epochs = ds.sizes["step"], ds.sizes["epoch"]
    full = round(steps / recording.config(ds).epochs)  # steps of a whole epoch
    each = [slice(e * full, (e + 1) * full) for e in range(epochs)]
    row = {name: ds[name].values.astype(float) for name in ("test_loss", "test_accuracy")}
    row |= {f"train_{name}": np.array([ds[name].values[part].astype(float).mean() for part in each])
            for name in ("loss", "accuracy")}  # fmt: skip
    row |= {"final_loss": row["test_loss"][-1], "final_accuracy": row["test_accuracy"][-1]}
    row |= {name: float(ds.attrs[name]) for name in ("diverged_at", "seconds")}
    made = {name: ds.attrs[name] for name in PROVENANCE if name in ds.attrs}
    return row | {"provenance": json.dumps(made, default=lambda value: value.item())}  # what was read are numpy's


def _is_list(values) -> bool:
    """Whether these are the values of an axis; a scalar array of numpy, torch or xarray is one."""
    return not isinstance(values, (str, bytes)) and hasattr(values, "__iter__") and getattr(values, "ndim", 1) > 0


def _table(grid, axes, rows, failed) -> xr.Dataset:
    shape, dims = grid.shape, tuple(axes)
    epochs = max(min(len(row["test_loss"]), math.ceil(grid[i].epochs)) for i, row in rows.items())
    data = {}
    for name, (extra, long_name, units) in COLUMNS.items():
        values = np.full(shape + ((epochs,) if extra else ()), np.nan)
        for i, row in rows.items():
            if extra:
                values[i][: len(row[name])] = row[name][:epochs]
            else:
                values[i] = row[name]
        data[name] = (dims + ((extra,) if extra else ()), values, {"long_name": long_name, "units": units})
    digests = np.array([c.digest for c in grid.flat], dtype=object).reshape(shape)
    data["digest"] = (dims, digests, {"long_name": "digest of the run's configuration"})
    made = np.full(shape, "", dtype=object)
    for i, row in rows.items():
        made[i] = row["provenance"]
    data["provenance"] = (dims, made, {"long_name": "of what and on what the run was made"})
    data["failed"] = (dims, failed, {"long_name": "why the run failed, if it did"})
    coords = {name: ["none" if v is None else str(v) for v in values] if None in values else values
              for name, values in _values(grid, axes).items()}  # fmt: skip
    return xr.Dataset(data, coords | {"epoch": np.arange(1, epochs + 1)})


def _values(grid, axes) -> dict[str, list]:
    """The values along each axis, as Config has them."""
    return {name: [getattr(grid[i], name) for i in _along(grid, axis)] for axis, name in enumerate(axes)}


def _along(grid, axis):
    """The indices of the first runs along an axis."""
    return [tuple(n if d == axis else 0 for d in range(grid.ndim)) for n in range(grid.shape[axis])]


def _stacked(table, kept, along="step") -> xr.Dataset:
    """The recordings, or what they were thinned to, along the axes of the table."""
    dims = table.digest.dims
    layers = list(dict.fromkeys(layer for ds in kept.values() for layer in ds.layer.values))
    coords = {along: max((ds[along].values for ds in kept.values()), key=len), "layer": layers}
    first, data = next(iter(kept.values())), {}
    for name in first.data_vars:
        if not name.startswith("test_"):
            inner = first[name].dims
            values = np.full(table.digest.shape + tuple(len(coords[d]) for d in inner), np.nan, np.float32)
            for i, ds in kept.items():
                values[i] = ds[name].reindex({d: coords[d] for d in inner})
            data[name] = (dims + inner, values, first[name].attrs)
    return xr.Dataset(data, coords)


# Tables that come with the package
def record(name: str, data=None, device=None, folder: Path | None = None, progress=True):
    """Record a sweep of the manifest into the package, unless it is there. Resumable: its runs are remembered.

    With "series": true in the manifest the table holds the series of every run, too, see `evidence.thinned`, rounded as
    recordings in the package are: w2, c2, drive, growth, window_loss and window_accuracy.

    Args:
        name: in the manifest.
        data: an archive of CIFAR-10 to use in its place, as in `runs.record`.
        folder: where recordings go, the table into its folder `sweeps`; None is the package.

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
        table = sweep(base, device=device, progress=progress, **axes)
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
                ds = evidence.thinned(runs.run(grid[i], device=device, progress=False))
            except Exception as error:
                failed[i] = f"{type(error).__name__}: {error}"
            else:
                with np.errstate(over="ignore"):  # of a run that diverged
                    kept[i] = recording.thin(ds.rename(evidence.IN_TABLE))
    table = table.assign(failed=table.failed.copy(data=failed))
    if not kept:
        return table
    edges, *others = {tuple(ds.attrs["edges"]) for ds in kept.values()}
    if others:
        raise ValueError("a sweep with series: must have runs of the same number of steps")
    return table.merge(_stacked(table, kept, "window")).assign_attrs(edges=np.array(edges))


@functools.cache
def bundled_rows() -> dict[str, dict]:
    """Return digest → row of every run in the tables of the package; a broken table is named and passed over."""
    rows = {}
    for path in sorted((library.bundle_dir() / "sweeps").glob("*.nc")):
        try:
            table = recording.read(path)
        except recording.BrokenRecording as error:
            warn(f"{error}. Its runs are looked for elsewhere.")
            continue
        axes = table.digest.dims
        flat = table.stack(run=axes) if axes else table.expand_dims("run")
        for n in range(flat.sizes["run"]):
            row = flat.isel(run=n)
            if not str(row.failed.values):
                values = {name: row[name].values.astype(float) for name in COLUMNS}
                rows[str(row.digest.values)] = {n: v if v.ndim else float(v) for n, v in values.items()}
                rows[str(row.digest.values)]["provenance"] = str(row.provenance.values)
    return rows
