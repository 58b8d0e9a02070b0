"""Zip and tar as folders: what is in them, and the content of their files, in memory.

What a file is, its first bytes say: an archive that holds another one is not taken for that. A tar is read from its
beginning to its end, never backwards, and nothing of an archive is written anywhere. What it unpacks to has a limit,
`ALL`, and each file that is read has one, `LARGEST`. Links, devices and files that need a password are told apart from
files, and a name that leads out of the archive is refused, as are two archives in one.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .console import Bar

__all__ = [
    "ALL", "ALLOWED", "BESIDE", "ELSEWHERE", "LARGEST", "SYSTEM", "Entry", "Refused", "kind", "opened", "passed_over",
    "show",
]  # fmt: skip

LARGEST = 10_000_000  # bytes of one file that is read; 32 × 32 pixels are 3,072 bytes
ALL = 20_000_000_000  # bytes of all files that are read; of a compressed tar, of all that it unpacks to
ALLOWED = "must be a folder, or a zip, tar, tar.gz, tar.bz2 or tar.xz"
SYSTEM = frozenset((  # what systems, disks and programs leave in folders, in small letters; and all that is hidden
    "__macosx", "icon\r", "network trash folder", "temporary items", "thevolumesettingsfolder",  # macOS
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "system volume information",
    "recycler",  # Windows
    "@eadir", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot", "~snapshot",  # network storage
    "lost+found", "__pycache__", "picasa.ini", "zbthumbnail.info", "sync.ffs_db",
))  # fmt: skip
BESIDE = re.compile(  # what they put beside a file, under its name and theirs: marks of downloads, edits of a photo ...
    r".*(:zone\.identifier|:encryptable|@synoeastream|@synoresource|\.aae)|found\.\d{3}", re.IGNORECASE | re.DOTALL
)
ELSEWHERE = re.compile(r"\.(.+)\.icloud", re.IGNORECASE)  # what iCloud leaves of a file that it keeps to itself
ZIP = re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)")  # how a zip begins: with a file, without any, as one of parts
COMPRESSED = {  # how a compressed tar begins, and the module that opens such files
    rb"\x1f\x8b": "gzip",
    rb"BZh[1-9]1AY&SY": "bz2",
    rb"\xfd7zXZ\x00|\x5d\x00\x00\x80": "lzma",
    rb"\x28\xb5\x2f\xfd": "compression.zstd",  # of Python 3.14
}
BACKSLASHED = re.compile(r"(^|[/\\])(train|test)\\")
METHODS = {getattr(zipfile, f"ZIP_{name}", None) for name in ("STORED", "DEFLATED", "BZIP2", "LZMA", "ZSTANDARD")}
_CHUNK = 1 << 18


class Entry(NamedTuple):
    """One name in a folder or archive."""

    path: str  # from the top, with "/" between the names, as they are written there
    kind: str  # "file" or "folder", or else, in words, what is wrong with it
    size: int = 0  # bytes
    time: int = 0  # of the last change, in ns; archives have none
    at: object = None  # what an archive needs to find it

    @property
    def name(self) -> str:
        """The last of the names, composed (NFC)."""
        return unicodedata.normalize("NFC", self.path.rpartition("/")[2])

    @property
    def passed_over(self) -> bool:
        """Whether its name is hidden, or belongs to a system."""
        return passed_over(self.path.rpartition("/")[2])


class Refused(Exception):
    """What is wrong with an archive, in words."""


def passed_over(name: str) -> bool:
    """Whether a name is hidden, or belongs to a system."""
    return name.startswith(".") or name.casefold() in SYSTEM or bool(BESIDE.fullmatch(name))


def show(text: object) -> str:
    """Return the text in letters that a terminal takes as letters."""
    text = str(text)
    return text if text.isprintable() else ascii(text)[1:-1]


def kind(path: Path) -> type[_Zip | _Tar] | None:
    """Return what a file is by its first bytes, whatever its name; None if it is no archive."""
    with open(path, "rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    if ZIP.match(start):
        return _Zip
    with contextlib.suppress(tarfile.HeaderError):
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
        return _Tar
    return _Tar if any(re.match(magic, start) for magic in COMPRESSED) else None


def opened(path: Path) -> _Zip | _Tar:
    """Open an archive and list what is in it.

    Raises:
        Refused: it is none, or holds what nobody packs by accident.
    """
    if (found := kind(path)) is None:
        raise Refused(ALLOWED)
    return found(path)


class _Archive:
    """A tree of names: `top` maps each to its `Entry`, or to another such tree."""

    def __init__(self):
        self.top = {}

    def look(self, at: str = "") -> Iterator[Entry]:
        """Yield what is directly in a folder."""
        inside = self.top
        for name in at.split("/") if at else ():
            inside = inside[name]
        for name, found in inside.items():
            yield found if isinstance(found, Entry) else Entry(f"{at}/{name}" if at else name, "folder")

    def enter(self, entry: Entry) -> None:
        """Say what speaks against going into a folder: nothing."""

    def _add(self, name: str, kind: str, size: int, at: object) -> None:
        names = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in names:
            raise Refused(f"will not unpack {ascii(name)}: it is outside of the archive")
        if not names:
            return
        inside, entry = self.top, Entry("/".join(names), kind, size, at=at)
        for part in names if kind == "folder" else names[:-1]:
            below = inside.setdefault(part, {})
            if isinstance(below, Entry):
                inside[part] = below._replace(kind="a file, and also a folder")
                return
            inside = below
        if kind != "folder":
            if names[-1] in inside:
                entry = entry._replace(kind="more than once in the archive")
            inside[names[-1]] = entry


class _Zip(_Archive):
    """What is in a zip. Names are UTF-8 where they can be, else as in DOS, code page 437.

    A backslash in a name separates, as a slash does, where no slash is in any name, where the zip was packed on
    Windows, and after "train" or "test"; elsewhere it is a letter.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.file = zipfile.ZipFile(path)
        infos = self.file.infolist()
        if infos and min(info.header_offset for info in infos):
            self.file.close()
            raise Refused("begins with what is not in its list of files; if it is two zips in one, keep them apart")
        names = [info.filename if info.flag_bits & 0x800 else _dos(info.filename) for info in infos]
        flat = not any("/" in name for name in names)
        for name, info in zip(names, infos):
            if flat or info.create_system == 0 or BACKSLASHED.search(name):
                name = name.replace("\\", "/")
            kind = "folder" if name.endswith("/") else _zipped(info)
            self._add(name, kind, info.file_size, info)

    def read(self, entries: Iterable[Entry]) -> Iterator[tuple[int, bytes]]:
        """Yield the number of an entry and its content, in the order of the archive."""
        for i, entry in sorted(enumerate(entries), key=lambda pair: pair[1].at.header_offset):
            yield i, self.file.read(entry.at)

    def close(self) -> None:
        self.file.close()


def _dos(name: str) -> str:
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _zipped(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 if it was packed on Windows
    if kind == stat.S_IFLNK:
        return "a link, which is not followed in an archive"
    if kind not in (0, stat.S_IFREG):
        return "neither a file nor a folder"
    if info.flag_bits & 1:
        return "protected by a password"
    if info.compress_type not in METHODS:
        method = zipfile.compressor_names.get(info.compress_type, f"method {info.compress_type}")
        return f"compressed by {method}, which Python does not read; pack the zip again, by deflate"
    return "file"


class _Tar(_Archive):
    """What is in a tar, compressed or not. It is gone through twice: for the names, then for what is read."""

    def __init__(self, path: Path):
        super().__init__()
        self.file = open(path, "rb")  # noqa: SIM115
        try:
            with Bar(desc=f"looking through {show(path.name)}", unit=" files") as bar:
                for number, info, _ in self._members():
                    self._add(info.name, _tarred(info), info.size, number)
                    bar.update()
        except BaseException:
            self.file.close()
            raise

    def read(self, entries: Iterable[Entry]) -> Iterator[tuple[int, bytes]]:
        """Yield the number of an entry and its content, in the order of the archive."""
        wanted = {entry.at: i for i, entry in enumerate(entries)}
        for number, info, archive in self._members():
            if number in wanted:
                yield wanted.pop(number), archive.extractfile(info).read()
                if not wanted:
                    return

    def close(self) -> None:
        self.file.close()

    def _members(self) -> Iterator[tuple[int, tarfile.TarInfo, tarfile.TarFile]]:
        self.file.seek(0)
        stream = _unpacked(self.file)
        try:
            archive = tarfile.TarFile(fileobj=stream, tarinfo=_Header, encoding="utf-8")
        except tarfile.ReadError as error:
            inside = "" if stream is self.file else "; what is compressed in it is no tar, or damaged"
            raise Refused(f"{ALLOWED}{inside}") from error
        number = 0
        while (info := archive.next()) is not None:
            archive.members.clear()  # it would keep them all
            yield number, info, archive
            number += 1
        while rest := stream.read(_CHUNK):  # checksums are at the end
            if rest.strip(b"\0"):
                raise Refused("goes on after the end of the tar; if it is two tars in one, keep them apart")


def _tarred(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "a link, which is not followed in an archive"
    return "folder" if info.isdir() else "file" if info.isreg() else "neither a file nor a folder"


class _Header(tarfile.TarInfo):
    """The head of a member. An archive has to end with a block of zeros: all else is damage, not the end."""

    @classmethod
    def fromtarfile(cls, archive):
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _unpacked(file: io.BufferedReader) -> io.BufferedReader | _Forward:
    start = file.peek(10)
    for magic, module in COMPRESSED.items():
        if re.match(magic, start):
            try:
                return _Forward(importlib.import_module(module).open(file))
            except ImportError as error:
                raise Refused(f"this Python cannot unpack it: it has no module {module}") from error
    return file


class _Forward:
    """What a compressed file unpacks to, forward only: going back would unpack it again from its beginning."""

    def __init__(self, file):
        self.file, self.at, self.last, self.again = file, 0, b"", False

    def tell(self) -> int:
        return self.at - self.again

    def seek(self, to: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or to < self.at - len(self.last):
            raise io.UnsupportedOperation("this only goes forward")
        self.again = to < self.at  # tarfile looks at the byte before each header
        while self.tell() < to and self.read(min(to - self.tell(), _CHUNK)):
            pass
        return self.tell()

    def read(self, size: int) -> bytes:
        if size > LARGEST:
            raise Refused(f"a part of it has {size:,} bytes, at most {LARGEST:,} are read at once")
        if not size:
            return b""
        start, self.again = self.last if self.again else b"", False
        new = self.file.read(size - len(start))
        self.at += len(new)
        if self.at > ALL:
            raise Refused(f"it unpacks to more than {ALL:,} bytes, which is the limit")
        self.last = new[-1:] or self.last
        return start + new
