"""Where the images come from: CIFAR-10, your own, or a built-in synthetic set.

Every source returns the same thing, `Images`: 32 × 32 RGB bytes in host memory, with labels and a digest. What the
first call downloads, decodes or draws is kept in the cache, in files that are sealed; whatever is wrong with one, it is
made again. Later calls read them, in well under a second. Where nothing can be kept, the images come all the same.

Your own images are kept under their digest, `images-<digest>.npz`, so that one set has one file, wherever and how
often it was decoded; a small file, `seen-<fingerprint>.txt`, says which digest a folder or archive gave. A set stays
when its folder changes, since a remembered run may name it. It can be removed: `images` decodes it again, under the
same key.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from . import cache, cifar
from . import image_cache as kept
from .folders import Origin, as_text, expanded
from .synthetic import CLASSES, DIGEST, draw

__all__ = [
    "VARIABLE", "Images", "Source", "available", "cifar10", "expected", "given_stand_in", "images", "load", "stand_in",
    "standing_in", "synthetic", "torchvision",
]  # fmt: skip

# torch takes seconds to import, so it is imported where images are handed out: what they are called, `expected` says at
# once. torchvision is imported for CIFAR-10 alone.
if TYPE_CHECKING:
    import torch

VARIABLE = "RESNET_DYNAMICS_CIFAR10"  # environment: a folder or archive that stands in for CIFAR-10
KNOWN = {"06535f03e982adf7": "CIFAR-10 (JPEG)"}  # stand-ins by their digest; any other one is "stand-in <digest>"
_STAND_IN: ContextVar[str | os.PathLike | None] = ContextVar("stand-in", default=None)


@dataclass(frozen=True, eq=False)
class Images:
    """A training set and a test set in host memory.

    Attributes:
        train_x, test_x: pixels, uint8 [N, 32, 32, 3]: height, width, RGB.
        train_y, test_y: labels, int64 [N], indices into `classes`.
        classes: names of the classes.
        name: what recordings call the set: "CIFAR-10", "synthetic", "images <digest>" ...
        digest: 16 hex digits of the SHA-256 of class names, labels and pixels.
        key: what `Config(data=...)` and `load` call it; "images:<digest>" if nothing else is said.
    """

    train_x: torch.Tensor = field(repr=False)
    train_y: torch.Tensor = field(repr=False)
    test_x: torch.Tensor = field(repr=False)
    test_y: torch.Tensor = field(repr=False)
    classes: tuple[str, ...]
    name: str
    digest: str
    key: str = ""

    def __post_init__(self):
        object.__setattr__(self, "key", self.key or f"images:{self.digest}")


class Source(NamedTuple):
    """What a set of images is called in recordings, and its digest."""

    name: str
    digest: str | None


def load(key: str) -> Images:
    """Return the images of `Config(data=key)`: "cifar10", "synthetic" or "images:<digest>"."""
    kind, digest = _kind(key)
    if kind == "synthetic":
        return synthetic()
    if kind == "cifar10":
        found = _stand_in()
        return cifar10() if found is None else _in_place_of_cifar10(found)
    with cache.call():
        if found := kept.recalled(kept.own_file(digest)):
            return _images(found)
    raise FileNotFoundError(
        f"data={key!r}: these images are not in the cache, {kept.folder()}. Call rd.datasets.images once with the "
        "folder or archive that they came from: it decodes them under the same key"
    )


def expected(key: str) -> Source:
    """Return what `load(key)` would give now, without torch.

    CIFAR-10 itself has no digest here: it is known by the MD5 of its archive, and is always the same. What stands in
    for it is decoded, if it has not been yet.
    """
    kind, digest = _kind(key)
    if kind == "synthetic":
        return Source("synthetic", DIGEST)
    if kind == "images":
        return Source(f"images {digest}", digest)
    found = _stand_in()
    if found is None:
        return Source("CIFAR-10", None)
    with cache.call():
        digest = kept.digest_of(found)
    return Source(_stand_in_name(digest), digest)


def available(key: str) -> bool:
    """Whether `load(key)` would need no download, for "cifar10" or "synthetic".

    A look at names and sizes, and at how an archive that stands in begins. A folder that does so counts whatever it
    holds: what is wrong there, `load` says.
    """
    if key not in ("cifar10", "synthetic"):
        raise ValueError(f"data={key!r}: must be 'cifar10' or 'synthetic' here")
    if key == "synthetic":
        return True
    try:
        if (found := _stand_in()) is not None:
            return found.plausible()
        return (kept.folder() / "cifar10.npz").is_file() or cifar.there(kept.folder())
    except (OSError, TypeError, ValueError):  # a stand-in that is not there, or cannot be read
        return False


@contextlib.contextmanager
def standing_in(path: str | os.PathLike | None) -> Iterator[None]:
    """Let a folder or archive stand in for CIFAR-10, before the environment variable; None changes nothing.

    It holds for what runs inside, in the same thread. A thread that is started inside does not know of it.

    Example:
        with standing_in("cifar10.tar.xz"):
            run(Config.book())
    """
    token = _STAND_IN.set(path) if path is not None else None
    try:
        yield
    finally:
        if token is not None:
            _STAND_IN.reset(token)


def _kind(key: str) -> tuple[str, str | None]:
    """Return "cifar10", "synthetic" or "images", and the digest of these."""
    if key in ("cifar10", "synthetic"):
        return key, None
    if isinstance(key, str) and (found := re.fullmatch("images:([0-9a-f]{16})", key)):
        return "images", found[1]
    raise ValueError(
        f"data={key!r}: must be 'cifar10', 'synthetic' or 'images:<16 hex digits>', which is "
        "the key of your own images: rd.datasets.images(path).key"
    )


def given_stand_in() -> str | os.PathLike | None:
    """Return the folder or archive that stands in for CIFAR-10, as it was given; None if there is none."""
    return _STAND_IN.get() if _STAND_IN.get() is not None else os.environ.get(VARIABLE) or None


def _stand_in() -> Origin | None:
    """Return where the images are that stand in for CIFAR-10, if any do."""
    if (path := _STAND_IN.get()) is not None:
        return Origin(path)
    return Origin(os.environ[VARIABLE], VARIABLE) if os.environ.get(VARIABLE) else None


# ----------------------------------------------------------------------------------------- CIFAR-10

def torchvision():
    """Return the module torchvision.

    Raises:
        ImportError: it is missing, lacks what is needed here, or was built for another torch or numpy.
    """
    try:
        import torchvision
        import torchvision.datasets
        import torchvision.models

        _ = torchvision.datasets.CIFAR10, torchvision.models.resnet, torchvision.models.vgg
    except Exception as error:  # whatever an import runs into: ValueError of another numpy's ABI, SyntaxError ...
        from importlib.metadata import PackageNotFoundError, version

        def found(package: str) -> str:
            try:
                return f"{package} {version(package)}"
            except PackageNotFoundError:
                return f"{package} (not installed)"

        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ImportError(
            f"{found('torchvision')} does not fit {found('torch')}: {reason}. Install the two together, as by "
            "pip install --upgrade torch torchvision, and start Python again"
        ) from error
    return torchvision


def cifar10(root: str | os.PathLike | None = None) -> Images:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 photographs in ten classes.

    Args:
        root: a folder with `cifar-10-python.tar.gz`, or with the `cifar-10-batches-py` that
            torchvision unpacks from it; None is the package's cache. If neither is there, the
            archive is downloaded to it (170 MB). No file of yours is ever replaced.

    Nothing is used, downloaded or found, unless it has the MD5 that torchvision knows. The archive is read as it is,
    and nothing is unpacked. Six hosts are asked for it in turn. What has come when a download ends, by whatever, stays
    in the cache, and the next one goes on from there.

    Raises:
        TypeError, ValueError, NotADirectoryError: `root` is no folder.
        FileExistsError: in `root`, something else is in the archive's place.
        ConnectionError: no host gives the archive; the error has the reason of each.
    """
    folder = kept.folder() if root is None else expanded(as_text(root, "root", "a folder"), "root")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise NotADirectoryError(f"root={str(folder)!r}: must be a folder")
    own = os.path.realpath(folder) != os.path.realpath(kept.folder())

    def make() -> kept.Arrays:
        return kept.arrays(*cifar.read(torchvision().datasets.CIFAR10, folder, own))

    with cache.call():
        found = kept.remembered("cifar10", make)
        return _images(found, "CIFAR-10", "cifar10")


# ------------------------------------------------------------------------------- drawn, and your own


def synthetic() -> Images:
    """The built-in set: 20,000 training and 2,000 test images of drawn shapes, nothing to download.

    A plain shape belongs to the class of its outline, a patterned one (of any outline) to that of
    its pattern. Colors, size, place, angle, slope of the background, clutter and noise vary. Made
    for test accuracies of 60 to 90 %, with a ResNet-9 of width 16 after five epochs.

    The same bytes on every machine: uniform random numbers of a fixed seed, then only + - * / |x|,
    floor and sqrt in float32, which IEEE 754 rounds in one way.
    """

    def make() -> kept.Arrays:
        drawn = kept.arrays(*draw(), CLASSES)
        if drawn.digest != DIGEST:
            raise RuntimeError(f"the synthetic set came out as {drawn.digest}, must be {DIGEST}: this machine rounds "
                               "float32 in another way than IEEE 754")  # fmt: skip
        return drawn

    with cache.call():
        found = kept.remembered("synthetic-1", make)  # another number if it is drawn anew
        return _images(found, "synthetic", "synthetic")


def images(path: str | os.PathLike) -> Images:
    """Read your own images: a folder, tar or zip with `train/<class>/*` and `test/<class>/*`.

    Classes are numbered by name, and images are in the order of their names. Every image is 32 × 32, 8 bits a channel:
    PNG, JPEG, BMP, GIF, TIFF, WebP or PPM. Gray, palettes, CMYK and RGBA become RGB; EXIF orientation is applied, so
    what is learnt is what a viewer shows; of several frames the first one is taken.

    What is no such image is an error that names it, but for what is hidden, what systems leave in folders, and notes
    (see `folders`, also for links, names and limits of archives).

    Decoded once, about 5,000 images a second, and again when a file's name, size or time changes: other pixels in a
    file of the same size and time are not noticed.

    Example:
        leaves = rd.datasets.images("leaves.zip")
        run = rd.run(rd.Config(data=leaves.key))
    """
    with cache.call():
        return _images(kept.decoded_once(Origin(path)))


def stand_in(path: str | os.PathLike) -> Images:
    """Read images as `images` does, in place of CIFAR-10. Recordings call them as `KNOWN` does, or by their digest."""
    return _in_place_of_cifar10(Origin(path))


def _in_place_of_cifar10(origin: Origin) -> Images:
    with cache.call():
        found = kept.decoded_once(origin)
        return _images(found, _stand_in_name(found.digest), "cifar10")


def _stand_in_name(digest: str) -> str:
    return KNOWN.get(digest, f"stand-in {digest}")


def _images(made: kept.Arrays, name: str | None = None, key: str = "") -> Images:
    import torch

    *arrays, classes, digest = made
    return Images(*map(torch.from_numpy, arrays), classes, name or f"images {digest}", digest, key)
