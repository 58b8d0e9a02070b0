"""Your own images in a folder, zip or tar: which files count, and their pixels.

Only `train/<class>/` and `test/<class>/` are looked at, which may be inside one folder more. There every file is read,
or else named in an error, or on this list of what is passed over:

- what is hidden, and what systems and disks add, `archives.SYSTEM` and `BESIDE`: `__MACOSX`, `@eaDir`, `lost+found`,
  `Thumbs.db`, `*:Zone.Identifier`... But a folder of such a name in the place of a class must hold no image, and what
  iCloud has left of a file that it keeps to itself, `.*.icloud`, is named
- notes: README, LICENSE, and files that end in .txt, .md, .csv, .tsv, .json, .xml, .yaml or .yml

What names and sizes can tell is said before anything is decoded. Names are compared, and sorted, as Unicode composes
them (NFC), so the order is the same on every machine. In a folder links are followed, and every folder is read once: a
link that leads upward, in a circle, nowhere, or where another one has led already, is an error. In an archive (see
`archives`) links are refused.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from . import archives
from .archives import Entry, passed_over, show
from .console import Bar
from .decode import decoded
from .synthetic import SIZE

__all__ = ["Origin", "as_text", "expanded"]

READING = 3  # another number whenever the same files would give other pixels
ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
           ".ppm", ".pgm", ".pbm", ".pnm")  # fmt: skip
NOTES = re.compile(r"(readme|licen[cs]e)|.*\.(txt|md|csv|tsv|json|xml|ya?ml)", re.IGNORECASE)


def _locate(path: str | os.PathLike, called: str = "path") -> Path:
    """Return the real path of a folder or file. `called` is what errors call it.

    Raises:
        TypeError, ValueError: it is no path.
        FileNotFoundError: nothing is there.
        OSError: it cannot be looked at.
    """
    text = as_text(path, called, "the path of a folder, zip or tar")
    found = expanded(text, called)
    shown = _shown(found, called)
    try:
        kind = os.stat(found).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        if re.match(r"[a-z][a-z0-9+.-]+:/", text, re.IGNORECASE):
            raise ValueError(f"{called}={text!r}: is an address; download it, and give the file") from error
        raise FileNotFoundError(f"{shown}: no such file or folder") from error
    except OSError as error:
        raise type(error)(f"{shown}: cannot be opened ({error.strerror})") from error
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        raise ValueError(f"{shown}: {archives.ALLOWED}; it is a device, FIFO or socket")
    return Path(os.path.realpath(found))


def _shown(path: Path, called: str) -> str:
    return show(path if called == "path" else f"{called}={path}")


def as_text(path: str | os.PathLike, called: str, what: str) -> str:
    """Return a path as a str; say that it must be `what`, if it is none."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"{called}={path!r}: must be {what}, as a str or Path")
    if not text.strip() or "\0" in text:
        raise ValueError(f"{called}={text!r}: must be {what}")
    return text


def expanded(path: str | os.PathLike, called: str) -> Path:
    """Return a path with the home that ~ stands for."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{called}={str(path)!r}: nobody has that home") from error


class Origin:
    """Where images come from: a folder, zip or tar. `called` is what errors call the path.

    Attributes:
        path: the real path; `shown` is how errors begin.
        fingerprint: 16 hex digits that change with the name, size or time of any file that is read. For a folder this
            walks through it, so it raises what is wrong there.
    """

    def __init__(self, path: str | os.PathLike, called: str = "path"):
        self.path = _locate(path, called)
        self.shown = _shown(self.path, called)

    def plausible(self) -> bool:
        """Whether images could be here: in any folder, and in what begins as an archive does."""
        return self.path.is_dir() or archives.kind(self.path) is not None

    @cached_property
    def fingerprint(self) -> str:
        text = f"{READING}\n{self.path}"
        if self.path.is_dir():
            _, *parts = self._folder
            for entry, _ in (pair for part in parts for pair in part):
                text += f"\n{entry.path}\0{entry.size}\0{entry.time}"
        else:
            found = self.path.stat()
            text += f"\n{found.st_size}\0{found.st_mtime_ns}"
        return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]

    def decode(self) -> tuple:
        """Return train_x, train_y, test_x, test_y as `datasets.Images` has them, but as arrays, and the classes.

        Raises:
            ValueError: something cannot be used; it is named, and says why.
            OSError: something cannot be read.
        """
        if self.path.is_dir():
            return self._decode(_Folder(self.path), *self._folder)
        with self._in_words():
            archive = archives.opened(self.path)
        with contextlib.closing(archive):
            return self._decode(archive, *self._survey(archive))

    @cached_property
    def _folder(self) -> tuple:
        return self._survey(_Folder(self.path))

    @contextlib.contextmanager
    def _in_words(self):
        """Let what a folder or archive raises be one sentence."""
        try:
            yield
        except archives.Refused as error:
            raise ValueError(f"{self.shown}: {error}") from error
        except MemoryError:
            raise
        except Exception as error:  # decoders raise OSError, EOFError, RuntimeError, struct.error ...
            if isinstance(error, OSError) and error.errno is not None:
                file = os.path.relpath(error.filename, self.path) if error.filename else "."
                inside = f": {show(file)}" if file != "." else ""
                raise type(error)(f"{self.shown}{inside}: cannot be read ({error.strerror})") from error
            reason = show(error) or type(error).__name__
            raise ValueError(f"{self.shown}: cannot be unpacked, is it whole? ({reason})") from error

    def _complain(self, text: str) -> ValueError:
        return ValueError(f"{self.shown}: {text}")

    def _survey(self, source) -> tuple:
        """Return the classes, and for train and for test a list of (entry, label), in the order of names."""
        top, wrong = self._top(source), {}  # what is wrong: where
        classes, files, hidden = {}, {}, {}
        for part in ("train", "test"):
            folders, loose, hidden[part] = self._inside(source, top[part], wrong)
            _note(wrong, "in no class folder", loose)
            classes[part] = {folder.name: folder for folder in folders}
            _note(wrong, "the name of another class, whose letters are composed in another way",
                  [folder for folder in folders if classes[part][folder.name] is not folder])  # fmt: skip
            files[part] = {name: self._walk(source, classes[part][name], wrong) for name in sorted(classes[part])}
        for folder in (one for part in hidden.values() for one in part):
            if self._holds_image(source, folder):
                _note(wrong, "holds images, and its name is hidden or of a system; if it is a class, rename it, "
                      "else move it away", [folder])  # fmt: skip
        for entry in (one for part in files.values() for found in part.values() for one in found):
            if not entry.name.lower().endswith(ENDINGS):
                _note(wrong, f"no image of a kind that is read ({', '.join(ENDINGS)})", [entry])
            elif entry.size > archives.LARGEST:
                _note(wrong, f"larger than {archives.LARGEST:,} bytes", [entry])
        for reason, paths in wrong.items():
            raise self._complain(f"{_some(map(show, paths))}: {reason}")
        self._check(classes, files)
        names = sorted(classes["train"])
        return names, *([(e, i) for i, name in enumerate(names) for e in files[part][name]] for part in files)

    def _check(self, classes: dict, files: dict) -> None:
        """Say what is wrong with the classes."""
        train, test = (set(classes[part]) for part in ("train", "test"))
        for name in sorted(train | test):
            if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
                raise self._complain(f"the class {ascii(name)}: must be named in UTF-8, without control characters")
        if odd := sorted(train ^ test):
            raise self._complain(f"only one of train and test has the class {_some(map(repr, odd))}")
        if len(train) < 2:
            raise self._complain(f"two classes are needed, train/ has {sorted(train) or 'none'}")
        for part, found in files.items():
            for name, entries in found.items():
                if not entries:
                    raise self._complain(f"{part}/{name} holds no image")
        if sum(one.size for found in files.values() for entries in found.values() for one in entries) > archives.ALL:
            raise self._complain(f"its images have more than {archives.ALL:,} bytes, which is the limit")

    def _top(self, source) -> dict[str, Entry]:
        """Return train and test, which may be in one folder more."""
        with self._in_words():
            inside = {entry.name: entry for entry in source.look() if not entry.passed_over}
        folders = [entry for entry in inside.values() if entry.kind == "folder"]
        if len(folders) == 1 and folders[0].name not in ("train", "test"):
            if against := source.enter(folders[0]):
                raise self._complain(f"{show(folders[0].path)}: {against}")
            with self._in_words():
                inside = {entry.name: entry for entry in source.look(folders[0].path) if not entry.passed_over}
        for part in ("train", "test"):
            kind = inside[part].kind if part in inside else "file"
            if kind == "file":
                there = f"; it holds {_some(map(repr, sorted(inside)))}" if inside else ""
                raise self._complain(f"holds no {part}/<class>/* (train and test are needed{there})")
            if kind != "folder":
                raise self._complain(f"{show(inside[part].path)}: {kind}")
        return inside

    def _inside(self, source, folder: Entry, wrong: dict) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """Return what is directly in a folder: the folders, the files but notes, and the folders to pass over."""
        if against := source.enter(folder):
            _note(wrong, against, [folder])
            return [], [], []
        with self._in_words():
            entries = sorted(source.look(folder.path), key=lambda entry: entry.path)
        there = [entry for entry in entries if not entry.passed_over]
        hidden = [entry for entry in entries if entry.passed_over]
        for entry in there:
            if entry.kind not in ("folder", "file"):
                _note(wrong, entry.kind, [entry])
        _note(wrong, "not on this machine, iCloud keeps it; download it first",
              [entry for entry in hidden if archives.ELSEWHERE.fullmatch(entry.name)])  # fmt: skip
        return ([entry for entry in there if entry.kind == "folder"],
                [entry for entry in there if entry.kind == "file" and not NOTES.fullmatch(entry.name)],
                [entry for entry in hidden if entry.kind == "folder"])  # fmt: skip

    def _holds_image(self, source, folder: Entry) -> bool:
        """Return whether an image is anywhere in a folder that is passed over, as far as it can be looked at."""
        waiting = [folder]
        while waiting:
            with contextlib.suppress(OSError):  # systems keep theirs to themselves
                if source.enter(folder := waiting.pop()):  # its images have been read
                    continue
                for entry in source.look(folder.path):
                    if entry.kind == "folder":
                        waiting.append(entry)
                    elif entry.name.lower().endswith(ENDINGS) and not entry.name.startswith("._"):
                        return True
        return False

    def _walk(self, source, folder: Entry, wrong: dict) -> list[Entry]:
        """Return the files in a folder and in those below it, by folder, then by name."""
        found, waiting = [], [folder]
        while waiting:
            folders, files, _ = self._inside(source, waiting.pop(), wrong)
            found += files
            waiting += reversed(folders)
        return sorted(found, key=lambda entry: unicodedata.normalize("NFC", entry.path).rpartition("/")[::2])

    def _decode(self, source, classes: list[str], train: list, test: list) -> tuple:
        """Decode what the survey found."""
        pairs = train + test
        pixels = np.empty((len(pairs), SIZE, SIZE, 3), np.uint8)
        labels = np.array([label for _, label in pairs])
        contents = source.read([entry for entry, _ in pairs])
        with Bar(total=len(pairs), desc=f"decoding {show(self.path.name)}", unit=" images") as bar:
            for _ in pairs:
                with self._in_words():
                    i, content = next(contents)
                try:
                    pixels[i] = decoded(content)
                except ValueError as error:
                    raise self._complain(f"{show(pairs[i][0].path)}: {error}") from error
                bar.update()
        n = len(train)
        return pixels[:n], labels[:n], pixels[n:], labels[n:], classes


def _note(wrong: dict, what: str, entries: list[Entry]) -> None:
    if entries:
        wrong.setdefault(what, []).extend(entry.path for entry in entries)


def _some(names) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


class _Folder:
    """A real folder, looked at as `archives` are."""

    def __init__(self, path: Path):
        self.path = path
        self.visited = {_identity(one): "a folder above it" for one in (path, *path.parents)}

    def look(self, at: str = "") -> Iterator[Entry]:
        """Yield what is directly in a folder. Nothing is opened, and no link followed of what is passed over."""
        with os.scandir(self.path / at) as found:
            for one in found:
                path = f"{at}/{one.name}" if at else one.name
                if passed_over(one.name):
                    yield Entry(path, "folder" if one.is_dir(follow_symlinks=False) else "file")
                else:
                    yield Entry(path, *_kind(one))

    def enter(self, entry: Entry) -> str | None:
        """Go into a folder; or say what speaks against it."""
        identity = _identity(self.path / entry.path)
        if before := self.visited.get(identity):
            return f"a link to {before}, which can be read only once"
        self.visited[identity] = show(entry.path)
        return None

    def read(self, entries: list[Entry]) -> Iterator[tuple[int, bytes]]:
        """Yield the number of an entry and its content."""
        for i, entry in enumerate(entries):
            yield i, (self.path / entry.path).read_bytes()


def _identity(path: Path) -> object:
    found = os.stat(path)
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)  # some disks number no files


def _kind(found: os.DirEntry) -> tuple[str, int, int]:
    """Return kind, size and time of what a link leads to, or else of the thing itself."""
    try:
        there = found.stat()
    except OSError as error:
        nowhere = "a link that leads nowhere" if found.is_symlink() else "gone again"
        kinds = {errno.ENOENT: nowhere, errno.ELOOP: "a link that leads in a circle"}
        return kinds.get(error.errno, f"cannot be looked at ({error.strerror})"), 0, 0
    if stat.S_ISDIR(there.st_mode):
        return "folder", 0, 0
    kind = "file" if stat.S_ISREG(there.st_mode) else "neither a file nor a folder"
    return kind, there.st_size, there.st_mtime_ns
