"""run(config): the remembered value of a run, or the run itself."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from . import recording
from .config import Config


def run(config: Config, *, filters=False, device=None, progress=True, remember=True, each=None):
    """Return the recording of a run: bundled with the package, else remembered, else trained now and remembered.

    A run is a pure function of its configuration. What comes back is what training would give, up to the arithmetic
    of another device; its attributes say where it was made. If it is there already, no torch is needed.

    Two processes that ask for the same run wait for one another: one trains, both get the result. A run that is
    interrupted is not remembered. A file that cannot be trusted is named in a warning, and the run is done again.

    Args:
        config: the run.
        filters: the recording must hold the series of every output filter, too.
        device: where to train if need be; None takes the GPU if there is one.
        progress: announce and show the training.
        remember: keep a new recording in the cache (see `recording.cache_dir`), and look for it there.
        each: called after every step of a training, see `train.train`; a run that it ends is not remembered.

    Returns:
        xarray.Dataset with dimensions step, layer, epoch (and filter).

    Example:
        >>> ds = run(Config.book(lr=4.0, momentum=0.0))
        >>> ds.w2.sel(layer="prep").plot()
    """
    if not isinstance(config, Config):
        raise TypeError(f"run({config!r}): must be a Config, as in run(Config(lr=0.4))")
    found = _find(recording.bundle_dir() / f"{config.digest}.nc", config, filters)
    if found is not None:
        return found
    if not remember:
        return _train(config, filters, device, progress, each)
    path = recording.cache_dir() / "runs" / f"{config.digest}.nc"
    found = _find(path, config, filters, warn=False)
    if found is not None:
        return found
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        found = _find(path, config, filters)  # another process may have been faster
        if found is None:
            for part in path.parent.glob(f".{path.stem}-*.part"):  # of a process that was killed while it saved
                part.unlink()
            found = _train(config, filters, device, progress, each)
            recording.save(found, path)
    return found


def remembered(config: Config) -> bool:
    """Return whether `run(config)` would return at once."""
    places = (recording.bundle_dir(), recording.cache_dir() / "runs")
    return any((place / f"{config.digest}.nc").is_file() for place in places)


def record(data=None, only=(), device=None, folder: Path | None = None, progress=True):
    """Record what is missing of the book's runs, thinned, into the package. Resumable: whole recordings stay.

    Args:
        data: an archive of CIFAR-10 to use in its place (train|test/<class>/*), or None for the original.
        only: names of the manifest; empty means all.
        device: None takes the GPU if there is one.
        folder: where the recordings go; None is the package.

    Yields:
        (name, dataset) of each run of the manifest, as it is there.
    """
    from . import datasets

    if data is not None:
        os.environ[datasets.VARIABLE] = str(data)
    runs = recording.planned()
    unknown = [name for name in only if name not in runs]
    if unknown:
        raise ValueError(f"no such run: {', '.join(unknown)}; the manifest has {', '.join(runs)}")
    for name in only or runs:
        path = Path(folder or recording.bundle_dir()) / f"{runs[name].digest}.nc"
        ds = _find(path, runs[name], filters=False)
        if ds is None:
            if progress:
                print(f"{name}: {runs[name]}", flush=True)
            ds = recording.thin(_train(runs[name], False, device, progress))
            recording.save(ds, path)
        yield name, ds


def _find(path, config, filters, warn=True):
    try:
        ds = recording.load(path, config)
    except FileNotFoundError:
        return None
    except recording.BrokenRecording as error:
        if warn:
            warnings.warn(f"{error}. The run is done again.", stacklevel=3)
        return None
    return ds if not filters or "filter" in ds.dims else None


def _train(config, filters, device, progress, each=None):
    from .train import train

    return train(config, filters=filters, device=device, progress=progress, each=each)[1]
