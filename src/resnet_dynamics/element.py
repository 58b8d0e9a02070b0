"""What the widgets have in common: values that are checked, and the element of a page that stands for each of them.

In a notebook a widget is an anywidget. On a page without a kernel it is an element: its values as JSON, a picture and a
table for where there is no JavaScript, and the files that draw it, `SHARED`. `static_html` has these files inside, so
that a saved notebook is whole wherever it is opened. The book leaves them out of its pages and serves each once.
"""

from __future__ import annotations

import functools
import json
import numbers
import re
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import anywidget
import numpy as np
import traitlets

from . import page_data
from .config import plain
from .controls import Twin

__all__ = [
    "BUNDLE", "SHARED", "BadValue", "Element", "Shared", "Value", "as_module", "bad", "flag", "number", "one_of",
    "shared", "some_of",
]  # fmt: skip

BUNDLE = Path(__file__).with_name("explorer.js").read_text(encoding="utf-8")  # a classic script: var weightDecay


class BadValue(traitlets.TraitError, ValueError):
    """A value that is not allowed. As a TraitError it takes the change back, also if it came from the front end."""


class Value(traitlets.Any):
    """A trait that takes what its owner's `VALUES` allow."""

    allow_none = False  # whether None is allowed is said there, too

    def validate(self, owner, value):
        return owner.VALUES[self.name](self.name, value)


class Element(Twin, anywidget.AnyWidget):
    """A widget with checked values, and with an element `TAG` that stands for it on a page.

    A class says what it takes, VALUES: name → what returns a value as the trait has it, such as `number`, and of which
    files of `SHARED` its element is drawn, FILES. `fallback()` returns what is seen without JavaScript.
    """

    TAG: str
    FILES: tuple[str, ...]
    VALUES: dict[str, Callable]
    fallback: Callable[[], str]

    def __init__(self, unnamed, unknown, given, **more):
        if unnamed or unknown:
            of = type(self).__name__
            bad = next((f"{name}={value!r}" for name, value in unknown.items()), f"{of}({unnamed[:1]!r:.60})")
            raise TypeError(f"{bad}: must be one of the arguments, by name: {', '.join(self.VALUES)}")
        super().__init__(**{name: self.VALUES[name](name, value) for name, value in given.items()}, **more)

    def static_html(self) -> str:
        """Return the element that stands for the widget on a page: its values, what they show, and what draws it."""
        values = _json({name: getattr(self, name) for name in self.VALUES})
        inside = f'<script type="application/json">{values}</script>\n{self.fallback()}'
        files = "\n".join(f'<script{SHARED[name].attributes} data-shared="{name}">\n{SHARED[name].text()}\n</script>'
                          for name in self.FILES)  # fmt: skip
        return f"<{self.TAG}>\n{inside}\n</{self.TAG}>\n{files}\n"


def as_module(name: str) -> str:
    """Return the bundle as the ES module of one widget: anywidget asks for a default export."""
    return f"{BUNDLE}\nexport default weightDecay.{name};"


def _json(values) -> str:
    """JSON that can stand in a script of a page."""
    return json.dumps(values, allow_nan=False, ensure_ascii=False).replace("<", r"\u003c")


@functools.cache
def _evidence() -> str:
    """A script that gives a page the recorded runs, and says so to the elements that wait for them."""
    text = _json(page_data.pack())
    return f'globalThis.weightDecayEvidence = {text};\ndispatchEvent(new Event("weight-decay-evidence"));'


class Shared(NamedTuple):
    """A file that draws elements: its text, and what it is when it stands in a page."""

    text: Callable[[], str]
    attributes: str = ""


# A module runs when all of the page is there, as a script does that comes from a file and is deferred.
SHARED = {"explorer.js": Shared(lambda: BUNDLE, ' type="module"'), "evidence.js": Shared(_evidence)}


def shared(page: str) -> tuple[str, list[str]]:
    """Return a page without the files of `SHARED` that stand in it, and their names."""
    found = re.compile(r'<script[^>]* data-shared="([\w.-]+)">.*?</script>\n?', re.S)
    return found.sub("", page), [name for name in SHARED if name in {one[1] for one in found.finditer(page)}]


# What can be allowed
def number(words: str, low: float, high: float, whole: bool = False) -> Callable:
    """Take numbers from low to high, `words` as "in [0, 1]", and return them as floats; as int if they are whole."""

    def take(name, value):
        own = plain(value)
        real = isinstance(own, numbers.Real) and not isinstance(own, (bool, np.bool_))
        if not (real and low <= own <= high and (not whole or own == int(own))):
            raise bad(name, value, f"a {'whole ' if whole else ''}number {words}")
        return int(own) if whole else float(own)

    return take


def one_of(*names: str | None) -> Callable:
    """Take one of some words, or None if that is among them."""

    def take(name, value):
        own = plain(value)
        if not (own is None or isinstance(own, str)) or own not in names:
            raise bad(name, value, f"one of {_quoted(names)}")
        return own if own is None else str(own)

    return take


def some_of(*names: str) -> Callable:
    """Take a list of some of the words, each once, at least one."""

    def take(name, value):
        own = plain(value)
        own = [str(one) for one in own if isinstance(one, str)] if isinstance(own, (list, tuple)) else []
        if not (own and {*own} <= {*names} and len({*own}) == len(own) == len(value)):
            raise bad(name, value, f"a list of some of {_quoted(names)}")
        return own

    return take


def flag(name, value) -> bool:
    """Take True or False."""
    own = plain(value)
    if not isinstance(own, (bool, np.bool_)):
        raise bad(name, value, "True or False")
    return bool(own)


def bad(name, value, allowed) -> BadValue:
    """Return the error of a value, which names it and what is allowed."""
    return BadValue(f"{name}={' '.join(reprlib.repr(value).split())}: must be {allowed}")


def _quoted(names) -> str:
    return ", ".join("None" if name is None else f'"{name}"' for name in names)
