"""Controls over a function that draws: choose values, press Run, see the figure. On a page, the figure alone."""

from __future__ import annotations

import base64
import contextlib
import functools
import html
import inspect
import io
import numbers
import sys
from collections.abc import Iterable

import ipywidgets
import matplotlib.pyplot as plt

from .config import plain


class Twin:
    """What a widget mixes in to be seen where no kernel answers: its display carries `static_html()`, too."""

    def _repr_mimebundle_(self, **given):
        inherited = getattr(super(), "_repr_mimebundle_", lambda **given: {})  # ipywidgets 7 displays in its own way
        bundle = inherited(**given)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if "google.colab" in sys.modules:  # which of the two it would show is not documented
            return data, metadata
        return {**data, "text/html": self.static_html()}, metadata


class Controls(Twin, ipywidgets.VBox):
    """A slider for each argument of a function that draws a figure, and a button that runs it.

        def draw(lr=0.4):
            rd.plots.ratio(rd.run(rd.Config.smoke(lr=lr), progress=False))

        rd.Controls(draw, "Dots of eight layers and a line.", lr=[0.1, 0.2, 0.4])

    The function makes one pyplot figure and does not show it; what it prints stands below. It runs once at the start,
    with its defaults. On a page without a kernel this first picture is what there is.

    Args:
        draw: every argument has a default.
        alt: what there is to see, in words, for who cannot see the picture.
        values: argument → list of the values to choose from, each once, the default among them: numbers, also of numpy,
            torch or xarray, or whatever else says what it is in words.

    Raises:
        ValueError: names what is not so.
    """

    def __init__(self, draw, alt: str, /, **values):
        if not callable(draw):
            raise ValueError(f"draw={draw!r}: must be a function that draws")
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError(f"alt={alt!r}: must say in words what there is to see")
        arguments, of = inspect.signature(draw).parameters, called(draw)
        for name in (*arguments, *(name for name in values if name not in arguments)):
            if name not in values or name not in arguments:
                asked, given = (", ".join(names) or "none" for names in (arguments, values))
                raise ValueError(f"{name}: must be an argument of {of} with a list of values; the arguments are "
                                 f"{asked}, the lists {given}")  # fmt: skip
            values[name] = choices(name, values[name], arguments[name], of)
        self.draw, self.alt = draw, alt
        self.choices = {
            name: ipywidgets.SelectionSlider(description=name, options=[(shown(v), v) for v in options],
                                             index=options.index(plain(arguments[name].default)),
                                             continuous_update=False)
            for name, options in values.items()
        }  # fmt: skip
        self.button = ipywidgets.Button(description="Run")
        self.button.on_click(lambda _: self.run())
        self.shown = ipywidgets.HTML()
        super().__init__([*self.choices.values(), self.button, self.shown])
        self.run()

    def run(self) -> None:
        """Draw with the values that are chosen; an exception is shown, and raised no further."""
        self.button.disabled, self.button.description = True, "Running"
        self.shown.value = f'<div style="opacity: 0.5" aria-busy="true">{self.shown.value}</div>'
        try:
            self.shown.value = picture(self.draw, self.alt, **{name: one.value for name, one in self.choices.items()})
        except (Exception, SystemExit) as error:  # draw may be a program that ends itself
            self.shown.value = f'<p role="alert">{html.escape(f"{type(error).__name__}: {error}")}</p>'
        finally:
            self.button.disabled, self.button.description = False, "Run"

    def static_html(self) -> str:
        """Return what stands for the widget on a page."""
        return self.shown.value


def called(draw) -> str:
    """What a function is called; what it is a part of, if it has no name of its own."""
    if isinstance(draw, functools.partial):
        return called(draw.func)
    return getattr(draw, "__name__", type(draw).__name__)


def shown(value) -> str:
    """A value as it is chosen."""
    number = isinstance(value, numbers.Number) and not isinstance(value, (bool, complex))
    return f"{value:g}" if number else str(value)


def choices(name, options, argument, of) -> list:
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
    if len({*map(shown, options)}) < len(options):
        raise ValueError(f"{name}={options}: must be values that look different: {', '.join(map(shown, options))}")
    return options


def picture(draw, alt, /, **values) -> str:
    """Return the figure that draw(**values) makes, and what it prints, as HTML."""
    printed, file = io.StringIO(), io.BytesIO()
    before = plt.get_fignums()
    try:
        with contextlib.redirect_stdout(printed):
            draw(**values)
        made = [number for number in plt.get_fignums() if number not in before]
        if not made:
            raise ValueError(f"{called(draw)} made no figure, or has shown it already")
        plt.figure(made[-1]).savefig(file, format="png", dpi=110)
    finally:
        for number in set(plt.get_fignums()) - set(before):
            plt.close(number)
    data = base64.b64encode(file.getvalue()).decode()
    text = f"<pre>{html.escape(printed.getvalue())}</pre>" if printed.getvalue() else ""
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" style="max-width: 100%">{text}'
