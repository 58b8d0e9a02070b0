"""The cache: the folder in which runs and images are remembered.

It is a help and never a condition. What cannot be read or written there is one warning in a call; the call goes on,
and what it makes comes back. Files are there as a whole or not at all, and end in a seal, the SHA-256 of what is before
it. Who makes a file holds its lock, so that others wait for it; where a file system has no locks, nobody waits.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import inspect
import os
import re
import secrets
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from .console import say, warn

__all__ = [
    "KINDS", "SEAL", "VARIABLE", "Damaged", "at", "cache_dir", "call", "clear", "files", "found", "may_write", "read",
    "recall", "regular", "remember", "seal", "shared_dirs", "turn", "unseal", "write",
]  # fmt: skip

VARIABLE = "RESNET_DYNAMICS_CACHE"  # environment: own[:shared...]; without it the system's place for caches
NOWHERE = Path(os.devnull) / "resnet_dynamics"  # neither readable nor writable
LOOK = 0.2  # seconds between two looks at a lock that somebody holds
LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, 524)  # what such file systems say
# No lock that only seems one, where a file system has none. An older filelock has no other way, and no word for it.
REAL = {"fallback_to_soft": False} if "fallback_to_soft" in inspect.signature(FileLock).parameters else {}
LEFT = 3600  # seconds after which an unfinished file is nobody's
SEAL = re.compile(rb"\nsha256 ([0-9a-f]{64})\s*\Z")


class Damaged(ValueError):
    """A file that is not as it was written."""


_AT: ContextVar[str] = ContextVar("at", default="")


@contextlib.contextmanager
def at(folders: str):
    """Let RESNET_DYNAMICS_CACHE say this, inside and in this thread, whatever it says in the environment."""
    token = _AT.set(folders)
    try:
        yield
    finally:
        _AT.reset(token)


def cache_dir() -> Path:
    """Return where runs and data are remembered. The environment variable RESNET_DYNAMICS_CACHE moves it."""
    given = _given()[0]
    if given:
        return _folder(given)
    try:
        path = Path(platformdirs.user_cache_dir("resnet_dynamics"))
    except RuntimeError:
        return NOWHERE
    return path if path.is_absolute() else NOWHERE  # a user without a home, as in containers


def shared_dirs() -> list[Path]:
    """Return the folders whose runs and images are found as well, and in which nothing is written.

    They are what RESNET_DYNAMICS_CACHE names behind the first folder, as PATH names several: "own:shared" (on Windows
    with ";"). Where the first is empty, ":shared", one's own is the usual place.
    """
    return [_folder(one) for one in _given()[1:] if one]


def found(path: Path) -> Path:
    """Return where to read a file of the cache: the path itself, or a shared folder's file if only that is there."""
    own = cache_dir()
    if own in path.parents and not os.path.lexists(path):
        for folder in shared_dirs():
            if os.path.isfile(there := folder / path.relative_to(own)):
                return there
    return path


def _given() -> list[str]:
    given = _AT.get() or os.environ.get(VARIABLE, "")
    return [one.strip() for one in given.split(os.pathsep)]


def _folder(given: str) -> Path:
    try:
        return Path(os.path.expandvars(given)).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{VARIABLE}={given!r}: must be a folder; nobody has that home") from error


# What a call does with the cache
@dataclass
class _Call:
    write: bool = True
    waiting: object = None
    said: set = field(default_factory=set)  # reasons for which the cache is of no use
    unread: set = field(default_factory=set)  # files that are there, and could not be read


_CALL: ContextVar[_Call | None] = ContextVar("call", default=None)


@contextlib.contextmanager
def call(*, write=None, waiting=None):
    """Let all inside be one call: it warns of the cache once. Calls inside of calls belong to the outermost.

    write: whether anything may be written; None leaves it as it is around.
    waiting: called as waiting(path) every 0.2 s while another process makes what is needed; what it raises ends that.
    """
    outer = _CALL.get()
    here = _Call(said=outer.said, unread=outer.unread) if outer else _Call()
    here.write = write if write is not None else outer.write if outer else True
    here.waiting = waiting or (outer.waiting if outer else None)
    token = _CALL.set(here)
    try:
        yield here
    finally:
        _CALL.reset(token)


def may_write() -> bool:
    """Return whether the call that this is a part of may write anything."""
    return _now().write


def _now() -> _Call:
    return _CALL.get() or _Call()


def _unusable(path: Path, error: OSError, text="is of no use: what is made comes back all the same, but is not "
             "remembered") -> None:  # fmt: skip
    """Warn that the cache is of no use at `path`; once a call for each reason. It ends nothing, even as an error."""
    said = _now().said
    if error.errno not in said:
        said.add(error.errno)
        at = path if os.path.lexists(path) else path.parent  # so that of many files that cannot be, all say the same
        reason = f"{type(error).__name__}: {error.strerror or error}, at {at}"
        text = f"the cache, {cache_dir()}, {text} ({reason}); {VARIABLE}=<folder> moves it"
        try:
            warn(text)
        except Warning:  # somebody makes errors of warnings; a result of hours is worth more
            say(f"warning: {text}")


# Files
def seal(content: bytes) -> bytes:
    """Return the seal of a content: a line with its SHA-256. Readers of NetCDF and zip do not see it."""
    return b"\nsha256 " + hashlib.sha256(content).hexdigest().encode()


def unseal(content: bytes) -> bytes:
    """Return the content without its seal, or raise `Damaged`. White space after the seal does no harm."""
    found = SEAL.search(content, max(0, len(content) - 100))
    if not found:
        raise Damaged("it has no checksum at its end, as files of this package have")
    if hashlib.sha256(memoryview(content)[: found.start()]).hexdigest().encode() != found[1]:
        raise Damaged("its checksum differs")
    return content[: found.start()]


def write(path: Path, content: bytes, sealed=True) -> None:
    """Write a file, with its seal unless it is known otherwise: under another name first, then renamed."""
    path = regular(path)
    _make_folder(path.parent)
    for part in path.parent.glob(f".{glob.escape(path.name)}-*.part"):  # of processes that were killed
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > LEFT:
                part.unlink()
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.write(seal(content) if sealed else b"")
        folder = path.parent.stat().st_mode
        if path.is_file():
            part.chmod(path.stat().st_mode & 0o777)
        elif folder & 0o022:  # others share it
            part.chmod(folder & 0o666 | 0o600)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def regular(path: Path) -> Path:
    """Return where a path leads, through links, if a file is there or can be; a device or a pipe is not replaced.

    Raises:
        OSError: a folder, device or pipe is there.
    """
    real = Path(os.path.realpath(path))
    if real.is_dir():
        raise IsADirectoryError(f"{path}: a folder is where a file should be")
    if real.exists() and not real.is_file():
        raise OSError(f"{path}: must be a file; a device or pipe is there, which is not replaced")
    return real


def remember(path: Path, content: bytes, sealed=True) -> bool:
    """Write a file of the cache, if the call may; return whether it is there now. That it cannot be is a warning."""
    if not may_write() or path in _now().unread:
        return False
    try:
        write(path, content, sealed)
    except OSError as error:
        _unusable(path, error)
        return False
    return True


def read(path: Path) -> bytes | None:
    """Return the bytes of a file of the cache, with their seal, or None if there are none, or they cannot be read.

    The bytes are read once, without a lock: whoever else has the file open is not in the way. That they cannot be read
    is a warning, and says nothing about the file: it is not replaced.

    Raises:
        IsADirectoryError: a folder is in its place.
    """
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):  # a pipe would wait for ever
        _unusable(path, OSError(errno.EINVAL, "neither a file nor a folder"))
        _now().unread.add(path)
        return None
    if os.path.isdir(path):  # on Windows an error of permission
        raise IsADirectoryError(f"{path}: a folder is where a file of the cache should be; move it away")
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        _unusable(path, error)
        _now().unread.add(path)
        return None


def recall(path: Path) -> bytes | None:
    """Return the content of a file of the cache, without its seal, or None; as `read`, and

    Raises:
        Damaged: it is not as it was written.
    """
    file = read(path)
    return file if file is None else unseal(file)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it. Inside a cache that others share, new folders are as open as it is."""
    root, missing = cache_dir(), [one for one in (folder, *folder.parents) if not one.exists()]
    shared = root.stat().st_mode & 0o7777 if root.is_dir() and root in folder.parents else None
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        if shared is not None:
            with contextlib.suppress(OSError):
                one.chmod(shared)
    folder.mkdir(parents=True, exist_ok=True)  # says what is in the way, if something is


# Locks
_MINE = threading.local()


@contextlib.contextmanager
def turn(path: Path):
    """Hold the lock of a file while it is made; wait for another process, or thread, that does.

    Where there is no lock to be had (no right to write, a file system without locks) it goes on without one.

    Raises:
        RuntimeError: this thread is making the file already, and would wait for itself.
    """
    mine = _MINE.__dict__.setdefault("paths", set())
    if path in mine:
        raise RuntimeError(f"{path.stem} is asked for while it is being made: it would wait for itself")
    with contextlib.ExitStack() as stack:
        if may_write():
            try:
                stack.enter_context(_held(path))
            except (OSError, NotImplementedError) as error:
                known = error if isinstance(error, OSError) else OSError(errno.ENOSYS, str(error))
                lock = path.with_name(f"{path.name}.lock")
                if known.errno in LOCKLESS:
                    _unusable(lock, known, "has no locks: two processes may make the same at once")
                else:
                    _unusable(lock, known)
            else:
                for part in path.parent.glob(f".{glob.escape(path.name)}-*.part"):  # nobody else writes it now
                    part.unlink(missing_ok=True)
        mine.add(path)
        stack.callback(mine.discard, path)
        yield


@contextlib.contextmanager
def _held(path):
    _make_folder(path.parent)
    file, mode = f"{path}.lock", path.parent.stat().st_mode & 0o666 | 0o600
    lock = FileLock(file, mode=mode, **REAL)
    waiting = _now().waiting
    while True:
        try:
            lock.acquire(timeout=LOOK, poll_interval=0.05)
            break
        except Timeout:
            if waiting is not None:
                waiting(path)
    try:
        yield
    finally:
        lock.release()


# What is there
KINDS = ("runs", "images", "downloads")


def files(kind: str) -> dict[Path, int]:
    """Return the files of a kind and their sizes in bytes: "runs", "images" (decoded or drawn), "downloads".

    Locks, and what processes that were killed have left, belong to their kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}: must be one of {', '.join(KINDS)}")
    folder = cache_dir() / ("runs" if kind == "runs" else "datasets")
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        downloaded = ".tar.gz" in path.name
        if path.is_file() and (kind == "runs" or downloaded == (kind == "downloads")):
            found[path] = path.stat().st_size
    return found


def clear(kind: str) -> dict[Path, int]:
    """Remove the files of a kind; return those that were removed, and their sizes. What is being made now stays."""
    removed = {}
    for lock in [path for path in files(kind) if path.suffix == ".lock"]:
        with contextlib.suppress(Timeout, OSError, NotImplementedError), FileLock(lock, timeout=0):
            removed[lock] = 0
    busy = [path.name.removesuffix(".lock") for path in files(kind) if path.suffix == ".lock" and path not in removed]
    for path, size in files(kind).items():
        if not any(name in path.name for name in busy):
            path.unlink(missing_ok=True)
            removed[path] = size
    return removed
