"""One file of known size and MD5 from several hosts: each goes on where the one before has ended.

What has come is a part of the file, its first bytes, whoever sent them. It is in memory, and also in the cache for the
next process, where that can be written. Nothing of it is believed before the whole has the right MD5.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import re
import time
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from . import cache
from .console import Bar, say

__all__ = ["fetch", "forget"]

TIMEOUT = 30.0  # seconds without a byte, after which the next host is asked
SLOW, PATIENCE = 200e3, 20.0  # bytes/s, over so many seconds: a host that gives less is left for another one
CHUNK = 1 << 18
GZIP = b"\x1f\x8b"  # how the file begins
clock = time.monotonic


def fetch(urls: tuple[str, ...], size: int, md5: str, path: Path, instead: str) -> bytes:
    """Return the gzip file that has this size and MD5 from the first of `urls` that gives the end of it.

    Each is asked for what is missing (HTTP Range). One that gives less than 200 kB/s over 20 s is left for the next; if
    all do, the fastest is kept. Where the file comes from its beginning, it takes the place of the part from the first
    byte in which they differ: from a host that knows no ranges; where ETag or Last-Modified are not what they were; and
    if what was put together has another MD5.

    Args:
        path: where the part is kept, until `forget`. Who calls holds its lock.
        instead: what to do without the file, said behind the bar.

    Raises:
        ConnectionError: none gives it; a line for each says why.
    """
    untried, slow, failures = list(urls), {}, []
    with contextlib.closing(_Part(path, size)) as part:
        if part.md5() == md5:
            return part.content.getvalue()
        while untried or slow:
            if untried:
                url = untried.pop(0)
                least = SLOW if untried else max(slow.values(), default=0.0)
            else:
                url, least = max(slow, key=slow.get), 0.0
                del slow[url]
                say(f"{_host(url)} is kept, no other is faster; {instead}")
            try:
                _complete(part, url, md5, least, instead)
                return part.content.getvalue()
            except _Slow as left:
                slow[url] = left.rate
                say(f"{_host(url)} gives {left.rate / 1e3:.0f} kB/s: with {part}, another host is asked for the rest")
            except KeyboardInterrupt:
                if part.kept:
                    say(f"stopped: {part} are kept, and the next download goes on from there")
                raise
            except Exception as error:  # also ValueError and UnicodeError, from where a host leads to
                failures.append(f"  {url}: {' '.join(str(error).split()) or type(error).__name__}")
        if part.kept:
            failures.append(f"{part} are kept, and the next download goes on from there.")
    raise ConnectionError("\n".join(failures))


def forget(path: Path) -> None:
    """Remove the part that is kept at `path`, if the call may write."""
    for file in (path, _versions(path)) if cache.may_write() else ():
        with contextlib.suppress(OSError):
            file.unlink()


def _complete(part: _Part, url: str, md5: str, least: float, instead: str) -> None:
    """Ask a host for what is missing; if that does not make the file, for all of it."""
    missing = len(part) if len(part) < part.size else 0
    began = _take(part, url, missing, least, instead)
    if began and part.md5() != md5:
        _take(part, url, 0, least, instead)
    if part.md5() != md5:
        part.clear()
        raise ValueError(f"{part.size:,} bytes came, with another MD5")


def _take(part: _Part, url: str, at: int, least: float, instead: str) -> int:
    """Put what a host sends, asked for all from `at` on, into the part; return where it began to send."""
    headers = {"User-Agent": "resnet_dynamics"} | ({"Range": f"bytes={at}-"} if at else {})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as reply:
        began, version = _begins(reply, part), _version(reply)
        if not began or part.versions.get(url, version) == version:
            part.note(url, version)
            with Bar(total=part.size, initial=began, desc=_host(url), unit="B", unit_scale=True) as bar:
                bar.update(0, says=instead)
                _read(reply, part, began, least, bar)
            return began
    return _take(part, url, 0, least, instead)  # its file has changed


def _begins(reply: HTTPResponse, part: _Part) -> int:
    """Return the place of the reply's first byte in the file; ValueError if it is another file, by its size."""
    began, size = 0, reply.length  # None if it is not said
    if reply.status == 206:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", reply.headers.get("Content-Range", ""))
        if not said or int(said[1]) > len(part):
            raise ValueError(f"sent another range than was asked for: {reply.headers.get('Content-Range')}")
        began, size = int(said[1]), None if said[2] == "*" else int(said[2])
    if size not in (None, part.size):
        raise ValueError(f"{size:,} bytes are there, must be {part.size:,}")
    return began


def _version(reply: HTTPResponse) -> str:
    return reply.headers.get("ETag") or reply.headers.get("Last-Modified") or ""


def _read(reply: HTTPResponse, part: _Part, at: int, least: float, bar: Bar) -> None:
    """Put the reply into the part, as it comes; `_Slow` if over `PATIENCE` it is less than `least` bytes a second."""
    began, since = at, clock()
    while chunk := reply.read1(CHUNK):
        if at == 0 and not chunk.startswith(GZIP[: len(chunk)]):
            raise ValueError("sent something else than a gzip file")
        if at + len(chunk) > part.size:
            raise ValueError(f"more than {part.size:,} bytes came")
        part.put(at, chunk)
        at += len(chunk)
        bar.update(len(chunk))
        if (seconds := clock() - since) >= PATIENCE:
            if (rate := (at - began) / seconds) < least:
                raise _Slow(rate)
            began, since = at, clock()
    if at < part.size:
        raise ConnectionError(f"ended after {at:,} of {part.size:,} bytes")


class _Slow(Exception):
    """A host gives `rate` bytes a second."""

    def __init__(self, rate: float):
        super().__init__(rate)
        self.rate = rate


class _Part:
    """The first bytes of a file of `size` bytes, in memory, and at `path` if that can be written.

    Attributes:
        content: all that has come.
        versions: ETag, or Last-Modified, of the file at each address that has sent of it.
    """

    def __init__(self, path: Path, size: int):
        self.path, self.size, self.content, self.versions = path, size, io.BytesIO(), {}
        self._file, self._writes = None, cache.may_write()
        with contextlib.suppress(OSError):
            self._file = open(cache.regular(path), "r+b" if self._writes else "rb", buffering=0)
            self.content.write(self._file.read(size))
        with contextlib.suppress(OSError, ValueError, TypeError):
            self.versions = dict(json.loads(_versions(path).read_text(encoding="utf-8")))

    def __len__(self):
        return self.content.getbuffer().nbytes

    def __str__(self):
        return f"{len(self) / 1e6:.1f} of {self.size / 1e6:.1f} MB"

    @property
    def kept(self) -> bool:
        """Whether the next process finds it."""
        return self._writes and len(self) > 0

    def md5(self) -> str:
        return hashlib.md5(self.content.getbuffer(), usedforsecurity=False).hexdigest()

    def put(self, at: int, chunk: bytes) -> None:
        """Take bytes of the file that begin at `at`; if others were there, they go, and all behind them."""
        with self.content.getbuffer() as known:
            differs = known[at : at + len(chunk)] != chunk[: len(known) - at]
        _write(self.content, at, chunk, differs)
        if self._writes:
            try:
                if self._file is None:  # nothing has come yet, so `at` is 0
                    self._file = open(self.path, "xb", buffering=0)
                _write(self._file, at, chunk, differs)
            except OSError:  # a full disk: what was written stays, and the rest is in memory alone
                self._writes = False

    def note(self, url: str, version: str) -> None:
        """Remember which version of the file an address has."""
        self.versions[url] = version
        if self._writes:
            with contextlib.suppress(OSError):
                _versions(self.path).write_text(json.dumps(self.versions), encoding="utf-8")

    def clear(self) -> None:
        """Begin anew: nothing has come."""
        self.content, self.versions = io.BytesIO(), {}
        self.close()

    def close(self) -> None:
        """Close the file at `path`; if nothing has come, there is none."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if not len(self):
            forget(self.path)


def _write(file: io.RawIOBase | io.BytesIO, at: int, chunk: bytes, cut: bool) -> None:
    file.seek(at)
    if cut:
        file.truncate()
    if file.write(chunk) < len(chunk):
        raise OSError(errno.ENOSPC, "No space left on device")


def _versions(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
