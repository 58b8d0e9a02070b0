"""Numbers side by side, as a page, a notebook and a terminal can show them."""

from __future__ import annotations

import html

import numpy as np

from .config import plain

__all__ = ["Table", "power", "table"]


class Table:
    """What `table` returns: HTML in a notebook and on a page, aligned text elsewhere."""

    def __init__(self, columns: dict[str, list[str]], caption: str, numeric: set[str]):
        self.columns, self.caption, self.numeric = columns, caption, numeric

    def _repr_html_(self):
        names = list(self.columns)

        def cell(name, text, head=False):
            text = html.escape(text, quote=False)
            if head or name == names[0]:
                return f'<th scope="{"col" if head else "row"}"{self._side(name)}>{text}</th>'
            return f"<td{self._side(name)}>{text}</td>"

        rows = "\n".join("<tr>" + "".join(map(cell, names, row)) + "</tr>" for row in zip(*self.columns.values()))
        top = "".join(cell(name, name, head=True) for name in names)
        caption = f"<caption>{html.escape(self.caption, quote=False)}</caption>\n" if self.caption else ""
        return (f'<div class="rd-table"><table>\n{caption}<thead><tr>{top}</tr></thead>\n'
                f"<tbody>\n{rows}\n</tbody></table></div>")  # fmt: skip

    def _side(self, name):
        return ' class="number"' if name in self.numeric else ""

    def __repr__(self):
        side = {name: str.rjust if name in self.numeric else str.ljust for name in self.columns}
        parts = [[name, *texts] for name, texts in self.columns.items()]
        wide = [[side[part[0]](text, max(map(len, part))) for text in part] for part in parts]
        lines = ["  ".join(line).rstrip() for line in zip(*wide)]
        return "\n".join([self.caption] * bool(self.caption) + lines)


def table(columns: dict, caption: str = "", *, digits: int = 3) -> Table:
    """Show columns side by side.

    A phone has room for four narrow columns, so put what is many (layers, settings) into rows.

    Args:
        columns: name → its values, a list or a one-dimensional array; or (values, format), as in (x, ".2f") or
            (x, "{:.0%}"). The first names the rows. None and NaN are shown as a dash.
        caption: what the numbers are, their n and their spread.
        digits: of numbers that come without a format: significant ones.

    Raises:
        ValueError: columns of different lengths, or none, or a format that does not fit a value.

    Example:
        >>> table({"layer": ["prep", "layer1"], "√z": ([0.98712, 1.0041], ".2f")}, "Dots over line.")
        Dots over line.
        layer     √z
        prep    0.99
        layer1  1.00
    """
    texts, numeric = {}, set()
    for name, values in dict(columns).items():
        form = f".{digits}g"
        if isinstance(values, tuple) and len(values) == 2 and isinstance(values[1], str) and np.ndim(values[0]) == 1:
            values, form = values
        if np.ndim(values) != 1:
            raise ValueError(f"{name}={values!r}: must be a list or a one-dimensional array of values")
        values = [plain(value) for value in (getattr(values, "values", values))]
        numbers = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in values]
        if any(numbers):
            numeric.add(str(name))
        texts[str(name)] = [_text(name, value, form) if number else _word(value)
                            for value, number in zip(values, numbers)]  # fmt: skip
    lengths = {name: len(column) for name, column in texts.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"columns of lengths {lengths}: must be at least one column, all of one length")
    return Table(texts, caption, numeric)


def _word(value):
    return "–" if value is None else str(value)


def _text(name, value, form):
    """Return a number as a text, with a true minus."""
    if value != value:
        return "–"
    if isinstance(value, int) and form.endswith("g"):
        form = ",d"
    try:
        text = form.format(value) if "{" in form else format(value, form)
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{name}: format {form!r} of {value!r}: {error}") from None
    return text.replace("-", "−") if "e" not in text else power(text)


def power(text):
    """Return 1.2e-05 as 1.2·10⁻⁵."""
    factor, power = text.split("e")
    return f"{factor}·10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}".replace("-", "−")
