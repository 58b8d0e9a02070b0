"""A function that somebody has written, at random settings, beside the right one and those of known mistakes.

A `Task` says what is asked for. Its right answers come from the package's own equations, and so do most mistakes: each
is the function that is written by who needs the hint. What no known mistake explains gets a hint from the units, or
from which argument moves the answer in another way than it should.
"""

from __future__ import annotations

import contextlib
import html
import inspect
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = [
    "ALIKE", "CLOSE", "EMPTY", "SETTINGS", "NotYet", "Question", "Refused", "Task", "Verdict", "call", "drawn", "empty",
    "judge", "read", "same", "signature",
]  # fmt: skip

SETTINGS = 12  # at how many settings a function is tried
CLOSE = 1e-5  # relative: float32 is right, too
ALIKE = 0.02  # a mistake in the exact law has the hint of the same mistake in the leading order
EMPTY = "There is no answer yet: write your own in place of the dots."


class NotYet(AssertionError):
    """An answer that is not right yet. A notebook shows the sentence and no traceback."""

    def _render_traceback_(self):
        return [f"Not yet. {self}"]


class Verdict:
    """What a check returns: true if the answer is right. As the last line of a cell it is shown.

    Attributes:
        right: whether it is.
        says: what is to be said, a sentence or two; where it is not right, a hint that leaves the answer to be found.
        error: the exception that the answer has raised, or None.

    Example:
        >>> Verdict(False, "This is a square.")
        Not yet. This is a square.
        >>> bool(Verdict(True, "Tried at 12 settings."))
        True
    """

    def __init__(self, right: bool, says: str, error: Exception | None = None):
        self.right, self.says, self.error = right, says, error

    def __bool__(self):
        return self.right

    def __repr__(self):
        return f"{self._opening} {self.says}".rstrip()

    def _repr_html_(self):
        says = html.escape(self.says, quote=False)
        return f'<p class="rd-verdict" role="status"><strong>{self._opening}</strong> {says}</p>'

    @property
    def _opening(self):
        return "Right." if self.right else "Not yet."

    def require(self) -> Verdict:
        """Return the verdict if the answer is right, else raise `NotYet`: what a graded cell asks for."""
        if not self.right:
            raise NotYet(self.says) from self.error
        return self


class Refused(Exception):
    """Why an answer is no answer to the question, in a sentence."""


class Question(NamedTuple):
    """One quantity that is asked for."""

    name: str  # as a hint calls it
    right: tuple[Callable, ...]  # several where the leading order and the exact law are right
    wrong: dict[str, Callable]  # hint → the mistake
    unit: int | None = None  # power of the unit of a weight, of a quantity that has no other unit but nat


class Task(NamedTuple):
    """What a function is asked for."""

    arguments: tuple[str, ...]
    draw: Callable  # of a numpy Generator: a value for each argument
    questions: tuple[Question, ...]
    series: bool = False  # one number for each step, and not one in all
    units: dict[str, int] = {}  # argument → power of the unit of a weight; of arguments in no other unit but nat
    within: float = 0.0  # how far from the right answer is right, too
    otherwise: str = ""  # the hint where there is no other

    def right(self, *values):
        """Return what a right function returns."""
        found = tuple(question.right[0](*values) for question in self.questions)
        return found if len(found) > 1 else found[0]


_RANGES = {"c": (0.3, 3.0), "lr": (0.1, 4.0), "weight_decay": (2e-4, 1e-2), "r": (0.2, 5.0), "weights": (50, 5000)}


def drawn(*arguments: str, **ranges) -> Callable:
    """Return what draws a value for each argument: log-uniform in its range; of momentum, 1 − ρ is."""

    def draw(rng):
        between = {"momentum": (0.04, 0.6), **_RANGES, **ranges}
        values = {name: float(np.exp(rng.uniform(*np.log(between[name])))) for name in arguments}
        if "momentum" in values:
            values["momentum"] = 1 - values["momentum"]
        return tuple(round(value) if name == "weights" else value for name, value in values.items())

    return draw


def judge(function, task: Task) -> Verdict:
    """Return the verdict on a function."""
    rng = np.random.default_rng(6)
    settings = [task.draw(rng) for _ in range(SETTINGS)]
    try:
        f = signature(function, task.arguments)
        answers = [_parts(call(f, task.arguments, values), task, values) for values in settings]
    except Refused as why:
        return Verdict(False, str(why), why.__cause__)
    for which, question in enumerate(task.questions):
        found = [parts[which] for parts in answers]
        if not any(_agree(right, settings, found, task.within) for right in question.right):
            hint = _hint(f, task, which, settings, found)
            return Verdict(False, f"{question.name}: {hint}" if len(task.questions) > 1 else hint)
    return Verdict(True, f"Tried at {SETTINGS} settings.")


# What somebody's function is, takes and returns
def empty(value) -> bool:
    """Whether a value is what a stub returns."""
    return value is None or value is Ellipsis or value is NotImplemented


def signature(function, arguments: tuple[str, ...]) -> Callable:
    """Return a function that takes the arguments in this order; where its own have these names, they are told by name.

    Raises:
        Refused: it is no function, or it takes others.
    """
    takes = ", ".join(arguments)
    if empty(function):
        raise Refused(EMPTY)
    if not callable(function):
        kind = type(function).__name__
        raise Refused(f"This is of type {kind}: hand over the function itself, without calling it; it takes {takes}.")
    with contextlib.suppress(ValueError, TypeError):  # some builtins tell nothing
        own = inspect.signature(function)
        if {*own.parameters} == {*arguments} and not any(p.kind == p.POSITIONAL_ONLY for p in own.parameters.values()):
            return lambda *values: function(**dict(zip(arguments, values)))
        try:
            own.bind(*arguments)
        except TypeError:
            raise Refused(f"Your function takes ({', '.join(own.parameters)}): it must take ({takes}).") from None
    return function


def call(function: Callable, arguments: tuple[str, ...], values: tuple):
    """Return what a function makes of values: numbers and arrays, or, if it cannot take them, tensors of float64.

    Raises:
        Refused: it does nothing yet, or it raises; the exception is the cause.
    """
    try:
        try:
            return _quietly(function, values)
        except (TypeError, AttributeError):
            torch = sys.modules.get("torch")
            if torch is None:
                raise
            with contextlib.suppress(TypeError, AttributeError):
                return _quietly(function, [torch.as_tensor(value, dtype=torch.float64) for value in values])
            raise
    except NotImplementedError:
        raise Refused(EMPTY) from None
    except Exception as error:  # whatever a student's function raises
        given = ", ".join(f"{name}={value:.3g}" for name, value in zip(arguments, values) if np.ndim(value) == 0)
        said = f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
        at = f" at {given}: call it there yourself to see where" if given else ""
        raise Refused(f"Your function ends with {said}{at}.") from error


def _quietly(function, values):
    copies = [value.copy() if isinstance(value, np.ndarray) else value for value in values]
    with np.errstate(all="ignore"):
        return function(*copies)


def read(value, name: str = "the answer", series: bool = False) -> np.ndarray:
    """Return a number, or a series of numbers, of whatever library, as an array of float64.

    Raises:
        Refused: it is none.
    """
    if empty(value):
        raise Refused(EMPTY)
    if hasattr(value, "detach"):  # a tensor of torch, which may have a gradient, or be on another device
        value = value.detach().cpu()
    if isinstance(value, (list, tuple)):
        value = [float(read(one, name)) for one in value]
    try:
        array = np.asarray(value)
        if array.dtype.kind == "O" and array.ndim == 0:  # a Fraction, a number of sympy
            array = np.asarray(float(value))
    except Exception:
        array = np.asarray("")
    if array.dtype.kind == "c":
        raise Refused(f"{name} is a complex number: is there a root of something negative?")
    if array.dtype.kind not in "iuf":
        wanted = "a series of numbers" if series else "a number"
        raise Refused(f"{name} is of type {type(value).__name__}, and must be {wanted}.")
    array = array.astype(float)
    if not series and array.size != 1:
        raise Refused(f"{name} is an array of shape {array.shape}, and must be a single number.")
    if series and array.ndim != 1:
        raise Refused(f"{name} has the shape {array.shape}, and must be a series: one number for each step.")
    if not np.isfinite(array).all():
        raise Refused(f"{name} is {array[~np.isfinite(array)][0]:g} somewhere: is there a division by zero?")
    return array if series else array.reshape(())


def _parts(value, task, values):
    """What is asked for, part by part."""
    if len(task.questions) == 1:
        return [read(value, task.questions[0].name, task.series)]
    names = [question.name for question in task.questions]
    try:
        parts = [] if empty(value) else [*value]
    except TypeError:
        parts = [value]
    if not parts or all(map(empty, parts)):
        raise Refused(EMPTY)
    if len(parts) != len(names):
        raise Refused(f"Your function returns {len(parts)} of what is asked for: {', '.join(names)}, in this order.")
    return [read(part, name, task.series) for part, name in zip(parts, names)]


# Right, a known mistake, or what can be said of any other
def same(found, wanted, close: float = CLOSE, within: float = 0.0) -> bool:
    """Whether two answers are the same number, or the same series: to a share of it, or to an amount."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    return found.shape == wanted.shape and bool(np.all(np.abs(found - wanted) <= close * np.abs(wanted) + within))


def _agree(function, settings, found, within=0.0, close=CLOSE):
    with np.errstate(all="ignore"):
        return all(same(one, function(*values), close, within) for one, values in zip(found, settings))


def _hint(f, task, which, settings, found):
    """One sentence that leads on from what was found."""
    question = task.questions[which]
    if hint := _known(question, settings, found, CLOSE):
        return hint
    if task.series:
        return _first_wrong(question.right[0], settings, found)
    wanted = [float(question.right[0](*values)) for values in settings]
    if all(same(one, found[0], 1e-9) for one in found) and not same(wanted, np.full(len(wanted), wanted[0])):
        return "It is the same number at every setting: the answer must depend on what the function is given."
    if task.otherwise:
        return task.otherwise
    if _agree(question.right[0], settings, found, close=ALIKE):
        return "It is close, but not equal: something small is missing, or is there and should not be."
    if hint := _known(question, settings, found, ALIKE):
        return hint
    if all(float(one).is_integer() and abs(one - right) < 1 for one, right in zip(found, wanted)):
        return "It is rounded: leave it as it is."
    ratios = [float(one) / right for one, right in zip(found, wanted)]
    if max(ratios) < 0:
        return "The sign is wrong."
    if max(ratios) - min(ratios) < 1e-4 * max(ratios):
        return "It depends on everything as it should; a constant factor is wrong."
    return _elsewhere(f, task, which, settings[0])


def _known(question, settings, found, close):
    """The hint of the mistake that explains every answer."""
    for hint, mistake in question.wrong.items():
        if _agree(mistake, settings, found, close=close):
            return hint
    return None


def _first_wrong(right, settings, found):
    """Where a series leaves the right one."""
    wanted = [right(*values) for values in settings]
    if odd := [(len(a), len(b)) for a, b in zip(found, wanted) if len(a) != len(b)]:
        return f"The series has {odd[0][0]} entries, and the run has {odd[0][1]} steps."
    entry = min(np.flatnonzero(abs(a - b) > CLOSE * abs(b))[0] for a, b in zip(found, wanted) if not same(a, b))
    if entry == 0:
        return "Not even the first entry is right: it is the state before the first step."
    return f"It is right up to entry {entry - 1}, and not from entry {entry} on."


def _elsewhere(f, task, which, values):
    """What the units say, or which arguments move the answer as they should not."""
    question = task.questions[which]

    def ratio(changed):
        found = _parts(call(f, task.arguments, changed), task, changed)[which]
        return float(found) / float(question.right[0](*changed))

    try:
        base = ratio(values)
        if question.unit is not None and task.units:
            other = tuple(value * 2.0 ** task.units[name] for name, value in zip(task.arguments, values))
            if abs(ratio(other) / base - 1) > 1e-3:
                return "Its unit is not the right one: c is in nat, λ in u²/nat, α in nat/u², and u is arbitrary."
        moved = []
        for i, name in enumerate(task.arguments):
            changed = 1 - (1 - values[i]) / 1.7 if name == "momentum" else values[i] * 1.7
            if abs(ratio((*values[:i], type(values[i])(changed), *values[i + 1 :])) / base - 1) > 1e-3:
                moved.append(name)
    except Refused:
        return "It is right at no setting that was tried."
    if not moved:
        return "A part of it does not depend on what the function is given."
    if len(moved) > 2 or len(moved) == len(values) > 1:
        return "It changes with hardly anything as it should: begin with what stays the same, or with the units."
    return f"With all else as it is, it does not change with {' nor with '.join(moved)} as it should."
