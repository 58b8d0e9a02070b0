"""Controls over a function that draws: choose values, press Run, see the figure. On a page, the figure alone."""

from __future__ import annotations

import base64
import contextlib
import html
import inspect
import io
import sys

import ipywidgets
import matplotlib.pyplot as plt


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
        values: argument → list of the values to choose from, the default among them.

    Raises:
        ValueError: an argument has no list, a list no argument, or the default is not in it.
    """

    def __init__(self, draw, alt: str, **values):
        defaults = {name: one.default for name, one in inspect.signature(draw).parameters.items()}
        for name in {**defaults, **values}:
            if name not in values or name not in defaults or defaults[name] not in values[name]:
                raise ValueError(
                    f"{name}: must be an argument of {draw.__name__} and a list of values with its default in it; "
                    f"they are {defaults} and {values}"
                )
        self.draw, self.alt = draw, alt
        self.choices = {
            name: ipywidgets.SelectionSlider(description=name, options=[(f"{v:g}", v) for v in options],
                                             value=defaults[name], continuous_update=False)
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
        except Exception as error:
            self.shown.value = f'<p role="alert">{html.escape(f"{type(error).__name__}: {error}")}</p>'
        finally:
            self.button.disabled, self.button.description = False, "Run"

    def static_html(self) -> str:
        """Return what stands for the widget on a page."""
        return self.shown.value


def picture(draw, alt, **values) -> str:
    """Return the figure that draw(**values) makes, and what it prints, as HTML."""
    printed, file = io.StringIO(), io.BytesIO()
    before = plt.get_fignums()
    try:
        with contextlib.redirect_stdout(printed):
            draw(**values)
        made = [number for number in plt.get_fignums() if number not in before]
        if not made:
            raise ValueError(f"{draw.__name__} made no figure, or has shown it already")
        plt.figure(made[-1]).savefig(file, format="png", dpi=110)
    finally:
        for number in set(plt.get_fignums()) - set(before):
            plt.close(number)
    data = base64.b64encode(file.getvalue()).decode()
    text = f"<pre>{html.escape(printed.getvalue())}</pre>" if printed.getvalue() else ""
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" style="max-width: 100%">{text}'
