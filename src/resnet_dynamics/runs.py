"""run(config): the remembered value of a run, or the run itself."""

from __future__ import annotations

import contextlib
import contextvars
import os
from pathlib import Path

from . import cache, library, recording
from .config import Config
from .console import say, warn

__all__ = ["keep", "place", "recalled", "record", "remembered", "run", "watcher"]

# What is called after every step of trainings in a context, where the call of `run` names nothing itself: so a function
# that trains can be followed, and stopped, from outside.
watcher = contextvars.ContextVar("watcher", default=None)


def run(config: Config, *, filters=False, device=None, progress=True, remember=True, each=None, waiting=None):
    """Return the recording of a run: bundled with the package, else remembered, else trained now and remembered.

    A run is a pure function of its configuration. What comes back is what training gives: on this CPU with this
    number of threads the same bit for bit; elsewhere rounding differs, and training amplifies it. The attributes of the
    recording say where and of what images it was made. If it is there already, no torch is needed.

    A bundled run is of the images that it was made of, CIFAR-10 (JPEG), whatever is on this machine. All others are of
    the images that `datasets.load(config.data)` gives now: what is remembered of other images, or was made when
    training meant something else (`recording.SEMANTICS`), is another run with another file.

    Two processes that ask for the same run wait for one another: one trains, both get the result. A run that is
    interrupted is not remembered. A file that cannot be trusted is named in a warning, and the run is done again. A
    cache that cannot be read or written is one warning, and the recording comes back all the same.

    Args:
        config: the run.
        filters: the recording must hold the series of every output filter, too.
        device: where to train if need be; None takes the GPU if there is one.
        progress: announce and show the training.
        remember: keep a new recording in the cache (see `cache.cache_dir`), and look for it there, and in folders that
            are shared (see `cache.shared_dirs`). False writes nothing there, images neither: what has to be downloaded
            is downloaded each time.
        each: called after every step of a training, see `train.train`; a run that it ends is not remembered.
        waiting: called about five times a second while another process makes the run, or its images; what it raises
            ends the waiting, and passes on.

    Returns:
        xarray.Dataset with dimensions step, layer, epoch (and filter).

    Raises:
        ValueError, FileNotFoundError, ConnectionError: there are no such images, or they do not fit the configuration.

    Example:
        >>> ds = run(Config.book(lr=4.0, momentum=0.0))
        >>> ds.attrs["dataset"], ds.sizes["step"]
        ('CIFAR-10 (JPEG)', 2328)
    """
    if not isinstance(config, Config):
        raise TypeError(f"run({config!r}): must be a Config, as in run(Config(lr=0.4))")
    found = _bundled(config, filters)
    if found is not None:
        return found
    with cache.call(write=None if remember else False, waiting=_announced(progress, waiting)):
        if not remember:
            return _train(config, filters, device, progress, each)
        from . import datasets

        images = datasets.expected(config.data)
        path = place(config, images)
        found = _remembered(path, config, filters, images)
        if found is not None:
            return found
        with cache.turn(path):
            found = _remembered(path, config, filters, images, settle=True)  # another process may have been faster
            if found is None:
                found = _train(config, filters, device, progress, each)
                if "disturbed" not in found.attrs:
                    cache.remember(path, recording.content(found))
    return found


def place(config: Config, images) -> Path:
    """Return the file of the cache in which a run is remembered: its name is all that determines it.

    That is the digest of the configuration; only what departs from the usual is added to it, so that old names stay:
    the digest of what stands in for CIFAR-10, and the number of what training means, from 2 on.
    """
    name = config.digest
    if config.data == "cifar10" and images.digest is not None:
        name += f"-{images.digest}"
    if recording.SEMANTICS > 1:
        name += f"-s{recording.SEMANTICS}"
    return cache.cache_dir() / "runs" / f"{name}.nc"


def remembered(config: Config) -> bool:
    """Return whether `run(config)` would return at once."""
    from . import datasets

    if os.path.isfile(library.recording_file(config)):
        return True
    return os.path.isfile(cache.found(place(config, datasets.expected(config.data))))


def recalled(config: Config):
    """Return the recording that `run(config)` would return at once, or None if it would train."""
    from . import datasets

    found = _bundled(config)
    if found is None:
        images = datasets.expected(config.data)
        found = _remembered(place(config, images), config, False, images)
    return found


def keep(config: Config, ds) -> None:
    """Remember a recording that another process has made, if `run(config)` here would take it and has none."""
    from . import datasets

    images = datasets.expected(config.data)
    path = place(config, images)
    ours = _of(images, ds) and ds.attrs.get("semantics", 1) == recording.SEMANTICS and "disturbed" not in ds.attrs
    if ours and not path.is_file():
        cache.remember(path, recording.content(ds))


def record(data=None, only=(), device=None, folder: Path | None = None, progress=True):
    """Record what is missing of the book's runs, thinned, into the package. Resumable: whole recordings stay.

    Those that the manifest names in "with_filters" hold the series of every output filter, too.

    Args:
        data: an archive of CIFAR-10 to use in its place (train|test/<class>/*), or None for the original.
        only: names of the manifest; empty means all.
        device: None takes the GPU if there is one.
        folder: where the recordings go; None is the package.

    Yields:
        (name, dataset) of each run of the manifest, as it is there.

    Raises:
        OSError: it cannot be saved; the message says where the recording is kept instead.
    """
    from . import datasets

    runs, only = library.planned(), [only] if isinstance(only, str) else only
    unknown = [name for name in only if name not in runs]
    if unknown:
        raise ValueError(f"no such run: {', '.join(unknown)}; the manifest has {', '.join(runs)}")
    for name in only or runs:
        config = runs[name]
        path = library.recording_file(config, folder)
        ds = _trusted(path, config)
        if ds is None:
            if progress:
                say(f"{name}: {config}")
            with datasets.standing_in(data):
                whole = _train(config, name in library.manifest().get("with_filters", ()), device, progress)
                kept = place(config, datasets.expected(config.data))
            ds = recording.thin(whole)
            _save(ds, path, whole, kept)
        yield name, ds


def _save(thinned, path, whole, kept):
    """Save a recording of hours; if that cannot be, keep it in the cache, where the next call finds it."""
    try:
        recording.save(thinned, path)
    except OSError as error:
        there = cache.remember(kept, recording.content(whole))
        hint = f"the recording is kept at {kept}, and found by run(config)" if there else "the recording is lost"
        raise OSError(f"{path}: cannot be written ({error.strerror or error}); {hint}") from error


def _bundled(config, filters=False):
    ds = _trusted(library.recording_file(config), config)
    return ds if ds is None else _asked(ds, filters)


def _asked(ds, filters):
    """What was asked for of a recording that may hold more; None if it lacks something."""
    if filters:
        return ds if "filter" in ds.dims else None
    return ds.drop_dims("filter", errors="ignore")


def _trusted(path, config):
    """The recording of a file that comes with the package, or None; what is wrong with it is a warning."""
    try:
        return recording.load(path, config, sealed=True)
    except FileNotFoundError:
        return None
    except recording.BrokenRecording as error:
        warn(f"{error}. The run is done again.")
        return None


def _remembered(path, config, filters, images, settle=False):
    """The recording of a file of the cache, if it is whole, and of this run; else None.

    settle: warn of what is wrong with the file, and let the next one have its place: what is damaged will be replaced,
    what is whole is kept under another name.
    """
    try:
        there = cache.found(path)
        file = cache.read(there)
        if file is None:
            return None
        ds = recording.checked(recording.parsed(file, there, sealed=True), there, config)
        if not _of(images, ds):
            raise recording.OtherRecording(f"{there}: is of other images ({_called(ds)}) than there are now "
                                           f"({images.name})")  # fmt: skip
        if ds.attrs.get("semantics", 1) != recording.SEMANTICS:
            raise recording.OtherRecording(f"{there}: was made when training meant something else "
                                           f"({ds.attrs.get('semantics', 1)}, now {recording.SEMANTICS})")  # fmt: skip
    except recording.OtherRecording as error:
        if settle:
            aside = next(p for n in range(1, 1000) if not (p := path.with_name(f"{path.stem}.other{n}.nc")).exists())
            with contextlib.suppress(OSError):
                path.rename(aside)
            warn(f"{error}. The run is done again." + (f" The file is now {aside.name}." if aside.exists() else ""))
        return None
    except recording.BrokenRecording as error:
        if settle:
            warn(f"{error}. The run is done again.")
        return None
    return _asked(ds, filters)


def _of(images, ds) -> bool:
    """Whether a recording is of these images. The original CIFAR-10 is known by its name, which nothing else has."""
    if images.digest is None:
        return ds.attrs.get("dataset") == images.name
    return ds.attrs.get("dataset_digest") == images.digest


def _called(ds) -> str:
    digest = ds.attrs.get("dataset_digest", "of no digest")
    return f"{ds.attrs.get('dataset', 'of no name')}, {digest}"


def _announced(progress, waiting):
    """What is done while somebody else is waited for: say so once, if progress is shown, and call `waiting`."""
    if not progress and waiting is None:
        return None
    said = set()

    def wait(path):
        if progress and not said:
            say(f"Another process is making {path.stem}. Waiting for it; Ctrl-C, or Stop, ends that.")
        said.add(path)
        if waiting is not None:
            waiting()

    return wait


def _train(config, filters, device, progress, each=None):
    from .train import train

    source = run(config.source, device=device, progress=progress) if config.source else None
    each = each or watcher.get()
    return train(config, filters=filters, device=device, progress=progress, each=each, source=source)[1]
