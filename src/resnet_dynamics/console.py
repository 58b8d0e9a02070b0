"""What is said while work goes on: sentences, warnings and bars. None of it can end the work.

A process may have no stderr (a service, pythonw), one that is closed, or one that knows no "λ": then less is said.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from contextvars import ContextVar
from pathlib import Path

from tqdm.auto import tqdm

__all__ = ["Bar", "following", "heard", "say", "warn", "words"]

_HERE = str(Path(__file__).parent)
_WIDGETS = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)  # what tqdm.auto has found


def say(text: str) -> None:
    """Print a line to stdout, above the bars that are shown."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # gone, closed, or not there
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        tqdm.write(text.encode(encoding, "replace").decode(encoding))


_HEARD: ContextVar[list[str] | None] = ContextVar("heard", default=None)


@contextlib.contextmanager
def heard():
    """Let what is warned of inside come as a list of texts, for somebody else to say."""
    token = _HEARD.set([])
    try:
        yield _HEARD.get()
    finally:
        _HEARD.reset(token)


def warn(text: str) -> None:
    """Warn, as of the line outside of this package that called into it."""
    if (texts := _HEARD.get()) is not None:
        texts.append(text)
        return
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_stack(sys._getframe())]  # this function's first
    level = max(i for i, file in enumerate(files) if file.startswith(_HERE))
    warnings.warn(text, stacklevel=level + 2)


class _Patient:
    """A stream that does not complain when it cannot be written.

    tqdm holds a lock while it writes, and does not let go of it on an error: every bar of another thread would wait for
    ever.
    """

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __eq__(self, other):  # so that a line on stdout is put above the bar, as tqdm does for stderr itself
        return other is self or other is self._stream

    __hash__ = None

    def write(self, text):
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self):
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class Bar(contextlib.AbstractContextManager):
    """A progress bar of tqdm, or nothing where there is nowhere to draw it.

        with Bar(total=3, unit="run") as bar:
            bar.update(says="lr=0.4")

    Attributes:
        n: how far it is.
    """

    def __init__(self, *, show=True, **given):
        self.n, self._bar = given.get("initial", 0), None
        if show and sys.stderr is not None:
            as_text = {} if _WIDGETS else {"file": _Patient(sys.stderr)}
            self._bar = tqdm(dynamic_ncols=True, **as_text, **given)

    def update(self, n=1, says=None) -> None:
        """Go on by n, which may be 0, and say something behind the bar."""
        self.n += n
        if self._bar is not None:
            if says is not None:
                self._bar.set_postfix_str(says, refresh=n == 0)
            self._bar.update(n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __exit__(self, *error):
        self.close()


def following(items, **given):
    """Yield the items, with a bar: `for member in following(members, desc="unpacking")`."""
    with Bar(**{"total": len(items) if hasattr(items, "__len__") else None, **given}) as bar:
        for item in items:
            yield item
            bar.update()


def words(error: BaseException) -> str:
    """Return an error as a reader sees it: its kind and what it says, or its kind alone."""
    return ": ".join(filter(None, (type(error).__name__, str(error))))
