"""Controls over a function that draws: choose values, press Run, see the figure. On a page, the figure alone."""

from __future__ import annotations

import atexit
import base64
import contextlib
import contextvars
import functools
import html
import inspect
import io
import math
import numbers
import sys
import threading
import time
import weakref
from collections.abc import Iterable

import ipywidgets
import matplotlib.pyplot as plt

from . import runs
from .config import plain
from .console import words

__all__ = ["LOADING", "TRAINING", "Controls", "Twin"]


class Twin:
    """What a widget mixes in to be seen where no kernel answers: its display carries `static_html()`, too."""

    def _repr_mimebundle_(self, **given):
        inherited = getattr(super(), "_repr_mimebundle_", lambda **given: {})  # ipywidgets 7 displays in its own way
        bundle = inherited(**given)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if "google.colab" in sys.modules:  # which of the two it would show is not documented
            return data, metadata
        return {**data, "text/html": self.static_html()}, metadata


# Arguments that have a symbol in the book; others are called what they are called.
SYMBOLS = {"lr": "λ", "weight_decay": "α", "momentum": "ρ", "batch_size": "N"}
PAUSE = 1 / 3  # seconds between two words on how far it is
PATIENCE = 30  # seconds that the end of the process waits for the present step of a training
_HOOK = f"{__name__}:_made"  # what pyplot calls for each figure that it makes
_HERE = threading.local()


class _Stopped(KeyboardInterrupt):
    """The reader has pressed Stop: what draws ends as at an interrupt of the kernel; nobody takes it for a failure."""


class Controls(Twin, ipywidgets.VBox):
    """A slider for each argument of a function that draws a figure, and buttons that run it and stop it.

        def draw(lr=0.4):
            rd.plots.ratio(rd.run(rd.Config.smoke(lr=lr), progress=False))

        rd.Controls(draw, "Dots of eight layers and a line.", lr=[0.1, 0.2, 0.4])

    The function makes one pyplot figure and does not show it; what it prints stands below. It runs once at the start,
    with its defaults. On a page without a kernel this first picture is what there is, with the values that it is of.

    The button runs it in the background, one run at a time. While it trains, the widget says how far it is, and Stop
    ends it after the present step; what takes no steps of `rd.run` goes on to its end. After Stop, as at an interrupt
    of the kernel, the picture is the one before.

    Args:
        draw: every argument has a default.
        alt: what there is to see, in words, for who cannot see the picture.
        values: argument → list of the values to choose from, each once, the default among them: numbers, also of numpy,
            torch or xarray, or whatever else says what it is in words. lr is shown as λ, weight_decay as α, momentum as
            ρ, batch_size as N.

    Attributes:
        thread: the run in the background that was started last, or None.

    Raises:
        ValueError: names what is not so.
    """

    def __init__(self, draw, alt: str, /, **values):
        if not callable(draw):
            raise ValueError(f"draw={draw!r}: must be a function that draws")
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError(f"alt={alt!r}: must say in words what there is to see")
        arguments, of = inspect.signature(draw).parameters, _called(draw)
        for name in (*arguments, *(name for name in values if name not in arguments)):
            if name not in values or name not in arguments:
                asked, given = (", ".join(names) or "none" for names in (arguments, values))
                raise ValueError(f"{name}: must be an argument of {of} with a list of values; the arguments are "
                                 f"{asked}, the lists {given}")  # fmt: skip
            values[name] = _choices(name, values[name], arguments[name], of)
        self.draw, self.alt, self.thread = draw, alt, None
        self._end, self._guard = threading.Event(), threading.Lock()
        self.choices = {
            name: ipywidgets.SelectionSlider(description=_label(name), options=[(_shown(v), v) for v in options],
                                             index=options.index(plain(arguments[name].default)),
                                             continuous_update=False, style={"description_width": "initial"})
            for name, options in values.items()
        }  # fmt: skip
        self.button = ipywidgets.Button(description="Run")
        self.button.on_click(lambda _: self.start())
        self.stop_button = ipywidgets.Button(description="Stop", disabled=True)
        self.stop_button.on_click(lambda _: self.stop())
        self.status, self.shown = ipywidgets.HTML(), ipywidgets.HTML()
        buttons = ipywidgets.HBox([self.button, self.stop_button, self.status])
        super().__init__([*self.choices.values(), buttons, self.shown])
        self.run()

    def run(self) -> None:
        """Draw with the values that are chosen; an exception is shown, and raised no further."""
        with self._guard:
            self._work({name: one.value for name, one in self.choices.items()})

    def start(self) -> threading.Thread:
        """Do the same in the background, unless it goes on already, and return the thread."""
        if self.thread is None or not self.thread.is_alive():
            self._end.clear()
            self.button.disabled = True  # at once: the thread may take a moment
            here = contextvars.copy_context()  # what stands in for CIFAR-10 does so there, too
            self.thread = threading.Thread(target=here.run, args=(self.run,), daemon=True)
            TRAINING.add(self)
            self.thread.start()
        return self.thread

    def stop(self) -> None:
        """Ask the run in the background to end after its present step."""
        self._end.set()
        self.stop_button.disabled = True
        self._say("stopping")

    def _work(self, values):
        before = self.shown.value
        self.button.disabled, self.button.description = True, "Running"
        self.stop_button.disabled = threading.current_thread() is not self.thread
        self.shown.value = f'<div style="opacity: 0.5" aria-busy="true">{before}</div>'
        self._say("running" + (f" with{_said(values)}" if values else ""))
        after, text = before, "interrupted; the picture is the one before"
        watched = runs.watcher.set(self._watch())
        try:
            after = _picture(self.draw, self.alt, values)
            text = ""
        except _Stopped:
            text = "stopped; the picture is the one before"
        except (Exception, SystemExit) as error:  # draw may be a program that ends itself
            after, text = f'<p role="alert">{html.escape(words(error))}</p>', ""
        finally:
            runs.watcher.reset(watched)
            self.shown.value = after
            self.button.disabled, self.button.description, self.stop_button.disabled = False, "Run", True
            self._say(text)

    def _watch(self):
        """Return what follows the trainings of one drawing."""
        began = spoken = -math.inf
        steps = 0

        def each(t, so_far):
            nonlocal began, spoken, steps
            if self._end.is_set() and threading.current_thread() is self.thread:
                raise _Stopped
            now = time.monotonic()
            if t == 1:
                began, steps = now, so_far().sizes["step"]  # the first step is slow
            elif now - spoken >= PAUSE and not self._end.is_set():
                left = (now - began) / (t - 1) * (steps - t)
                self._say(f"training: step {t} of {steps}, {math.ceil(left)} s left")
                spoken = now

        return each

    def _say(self, text):
        self.status.value = f'<span role="status">{html.escape(text)}</span>'

    def static_html(self) -> str:
        """Return what stands for the widget on a page."""
        return self.shown.value


# The end of the process
TRAINING = weakref.WeakSet()  # widgets whose `thread` may train, until their `_end` is set
LOADING = []  # threads that load images


@atexit.register
def _end_quietly():
    """Let trainings end after their present step when the process does: torch's threads do not survive its end."""
    widgets, until = list(TRAINING), time.monotonic() + PATIENCE
    for widget in widgets:
        widget._end.set()
    for thread in [widget.thread for widget in widgets] + LOADING:
        thread.join(max(0.0, until - time.monotonic()))


def _label(name) -> str:
    """What an argument is called beside its slider."""
    return SYMBOLS.get(name, name.replace("_", " "))


def _said(values) -> str:
    """Values in words, with a space before them; nothing if there are none."""
    parts = [f"{_label(name)} = {_shown(value)}" for name, value in values.items()]
    return f" {', '.join(parts)}" if parts else ""


def _called(draw) -> str:
    """What a function is called; what it is a part of, if it has no name of its own."""
    if isinstance(draw, functools.partial):
        return _called(draw.func)
    return getattr(draw, "__name__", type(draw).__name__)


def _shown(value) -> str:
    """A value as it is chosen."""
    number = isinstance(value, numbers.Number) and not isinstance(value, (bool, complex))
    return f"{value:g}" if number else str(value)


def _choices(name, options, argument, of) -> list:
    """Return the values of an argument to choose from, or say what is wrong with them."""
    if argument.kind not in (argument.POSITIONAL_OR_KEYWORD, argument.KEYWORD_ONLY):
        raise ValueError(f"{argument}: must be an argument that is given by its name, of {of}")
    default = plain(argument.default)
    if default is argument.empty:
        raise ValueError(f"{name}: must have a default in {of}, with which it draws at first")
    if isinstance(options, (str, bytes)) or not isinstance(options, Iterable):
        raise ValueError(f"{name}={options!r}: must be a list of values, with the default {default!r} in it")
    if getattr(options, "ndim", 1) == 0:
        raise ValueError(f"{name}={options!r:.60}: must be a list of values, with the default {default!r} in it")
    options = [plain(option) for option in options]
    for value in (default, *options):
        if getattr(value, "ndim", 0):
            said = " ".join(repr(value).split())
            raise ValueError(f"{name}={said:.60}: must be single values to choose from, and the default one of them")
    if default not in options:
        raise ValueError(f"{name}={options}: must be a list of values with the default {default!r} in it")
    if len({*map(_shown, options)}) < len(options):
        raise ValueError(f"{name}={options}: must be values that look different: {', '.join(map(_shown, options))}")
    return options


def _picture(draw, alt, values) -> str:
    """Return the figure that draw(**values) makes, what it prints, and the values, as HTML."""
    printed, file = io.StringIO(), io.BytesIO()
    try:
        with _figures() as made, _prints_to(printed):
            draw(**values)
        if not made:
            raise ValueError(f"{_called(draw)} made no figure, or has shown it already")
        made[-1].savefig(file, format="png", dpi=110)
    finally:
        for one in made:
            plt.close(one)
    data = base64.b64encode(file.getvalue()).decode()
    text = f"<pre>{html.escape(printed.getvalue())}</pre>" if printed.getvalue() else ""
    of = f"<p>Drawn with{html.escape(_said(values))}.</p>" if values else ""
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" style="max-width: 100%">{of}{text}'


def _made(figure):
    getattr(_HERE, "figures", []).append(figure)


@contextlib.contextmanager
def _figures():
    """Give the list of the figures that pyplot makes in this thread, whoever closes them; others may make more."""
    outer, _HERE.figures = getattr(_HERE, "figures", None), []
    if _HOOK not in plt.rcParams["figure.hooks"]:
        plt.rcParams["figure.hooks"] = [*plt.rcParams["figure.hooks"], _HOOK]
    try:
        yield _HERE.figures
    finally:
        plt.rcParams["figure.hooks"] = [hook for hook in plt.rcParams["figure.hooks"] if hook != _HOOK]
        if outer is None:
            del _HERE.figures
        else:
            _HERE.figures = outer


class _Divided:
    """A stream that takes what one thread writes apart."""

    def __init__(self, others, ours):
        self._others, self._ours, self._thread = others, ours, threading.get_ident()

    def __getattr__(self, name):
        return getattr(self._ours if threading.get_ident() == self._thread else self._others, name)


@contextlib.contextmanager
def _prints_to(text):
    """As contextlib.redirect_stdout, for this thread alone."""
    before = sys.stdout
    sys.stdout = divided = _Divided(before, text)
    try:
        yield
    finally:
        divided._thread = None
        if sys.stdout is divided:
            sys.stdout = before
