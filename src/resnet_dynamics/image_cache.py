"""What data sets keep in the cache: their arrays under their digest, decoded, drawn or downloaded once."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import cache
from .folders import Origin

__all__ = [
    "Arrays", "arrays", "decoded_once", "digest_of", "folder", "own_file", "recalled", "remembered", "seen_file",
    "stored",
]  # fmt: skip


class Arrays(NamedTuple):
    """`Images` without torch."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    classes: tuple[str, ...]
    digest: str


_unkept: dict[Path, Arrays] = {}  # the last set that could not be written, so that it is not made twice


def arrays(train_x, train_y, test_x, test_y, classes) -> Arrays:
    """Return the arrays, or lists, as they are kept, with their digest."""
    pixels = [
        np.ascontiguousarray(array, np.int64 if np.ndim(array) == 1 else np.uint8)
        for array in (train_x, train_y, test_x, test_y)
    ]
    sha = hashlib.sha256("\n".join(classes).encode())
    for array in pixels:
        sha.update(f"\n{array.shape}\n".encode())
        sha.update(array)
    return Arrays(*pixels, tuple(classes), sha.hexdigest()[:16])


def folder() -> Path:
    """Return the folder of the data sets in the cache."""
    return cache.cache_dir() / "datasets"


def own_file(digest: str) -> Path:
    """Return the file of a set of images, named by its digest."""
    return folder() / f"images-{digest}.npz"


def seen_file(origin: Origin) -> Path:
    """Return the file with the digest of what a folder or archive gave when it was decoded."""
    return folder() / f"seen-{origin.fingerprint}.txt"


def digest_of(origin: Origin) -> str:
    """Return the digest of what is in a folder or archive; it is decoded only if nobody has done so before."""
    try:
        found = (cache.recall(cache.found(seen_file(origin))) or b"").decode()
    except (ValueError, IsADirectoryError):
        found = ""
    return found if re.fullmatch("[0-9a-f]{16}", found) else decoded_once(origin).digest


def decoded_once(origin: Origin) -> Arrays:
    """Return what is in a folder or archive: decoded, or remembered."""

    def recall(file: Path) -> Arrays | None:
        with contextlib.suppress(ValueError, IsADirectoryError):
            if digest := cache.recall(cache.found(file)):
                return recalled(own_file(digest.decode()))
        return None

    def remember(file: Path, made: Arrays) -> bool:
        own = own_file(made.digest)
        with cache.turn(own):
            return stored(own, made) and cache.remember(file, made.digest.encode())

    return _once(seen_file(origin), recall, lambda: arrays(*origin.decode()), remember)


def remembered(key: str, make: Callable[[], Arrays]) -> Arrays:
    """Return what the cache holds under `key`. If nothing: made and stored, once for all who wait."""
    return _once(folder() / f"{key}.npz", recalled, make, stored)


def _once(file: Path, recall: Callable, make: Callable, remember: Callable) -> Arrays:
    found = _copied(file) or recall(file)
    if found is None:
        with cache.turn(file):
            found = _copied(file) or recall(file)  # another process may have made it meanwhile
            if found is None:
                found = make()
                if not remember(file, found):
                    _unkept.clear()
                    _unkept[file] = found
                    found = _copied(file)
    return found


def _copied(file: Path) -> Arrays | None:
    found = _unkept.get(file)
    return found and found._replace(**{name: getattr(found, name).copy() for name in Arrays._fields[:4]})


def recalled(file: Path) -> Arrays | None:
    """Read a file of the cache; None if it is not there, not as it was written, or a copy under another name."""
    try:
        content = cache.recall(cache.found(file))
        if content is None:
            return None
        with np.load(io.BytesIO(content)) as saved:
            *pixels, classes, digest = (saved[name] for name in Arrays._fields)
            called = saved["called"].item() if "called" in saved else f"images-{digest}"  # so in earlier versions
            return Arrays(*pixels, tuple(classes.tolist()), digest.item()) if called == file.stem else None
    except (ValueError, KeyError, EOFError, IsADirectoryError, zipfile.BadZipFile):
        return None


def stored(file: Path, made: Arrays) -> bool:
    """Write a set of images; return whether it could be."""
    content = io.BytesIO()
    np.savez(content, called=file.stem, **made._asdict())
    return cache.remember(file, content.getvalue())
