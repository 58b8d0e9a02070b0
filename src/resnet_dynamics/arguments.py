"""What the arguments of an equation may be: refused by name, with the value and what is allowed.

Used by `theory` and by what it is made of; nothing here knows an equation but how large λα may be.
"""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ._shapes import Flags, Number, Reals

__all__ = ["checked", "first", "known", "numbers_only", "settling", "some_motion"]


def checked(function: Callable) -> Callable:
    """Let the function see numbers and arrays only, each as `_ARGUMENTS` below allows it, and all of them together."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError as error:
            allowed = ", ".join(signature.parameters)
            unknown = [f"{name}={value!r}" for name, value in kwargs.items() if name not in signature.parameters]
            said = unknown[0] if unknown else f"{function.__name__}: {error}"
            raise TypeError(f"{said}: must be the arguments of {function.__name__}: {allowed}") from None
        for name, value in given.arguments.items():
            if name in _ARGUMENTS and not (value is None and signature.parameters[name].default is None):
                given.arguments[name] = _read(name, value)
            elif name == "exact" and not (np.ndim(value) == 0 and isinstance(value, _TRUTH) and value in (0, 1)):
                raise ValueError(f"exact={' '.join(reprlib.repr(value).split())}: must be True or False")
        read = {name: value for name, value in given.arguments.items() if name in _ARGUMENTS}
        _of_the_same(read)
        try:
            return function(*given.args, **given.kwargs)
        except OverflowError:
            numbers = ", ".join(f"{name}={value:g}" for name, value in read.items() if isinstance(value, float))
            raise ValueError(f"{numbers}: must be smaller, {function.__name__} is beyond 1.8e308") from None
        except ValueError as error:
            if "broadcast" not in str(error):
                raise
            shapes = ", ".join(f"{name} of shape {np.shape(value)}" for name, value in read.items() if np.ndim(value))
            raise ValueError(f"{shapes}: must be shapes that broadcast, as numpy's do") from None

    return called


# What an argument may be: its name → in words, the test, and whether an array of it may have gaps. The
# recording of a run that diverged has, so what is measured may be NaN or inf; what is chosen may not.
_ARGUMENTS = {
    **dict.fromkeys(("lr", "weight_decay", "lr_t"), ("≥ 0 and finite", lambda x: x >= 0, False)),
    **dict.fromkeys(("momentum", "beta1", "beta2"), ("in [0, 1)", lambda x: (x >= 0) & (x < 1), False)),
    **dict.fromkeys(("slope", "z0", "weights", "product"), ("> 0 and finite", lambda x: x > 0, False)),
    **dict.fromkeys(("w", "g", "v", "kappa", "s", "wv_0"), ("finite", lambda x: True | (x == x), True)),
    **dict.fromkeys(("w2", "g2", "c", "c1", "c2", "square"), ("≥ 0 and finite", lambda x: ~(x < 0), True)),
    **dict.fromkeys(("v2_0", "s_0"), ("≥ 0 and finite", lambda x: ~(x < 0), True)),
    "w2_0": ("> 0 and finite", lambda x: ~(x <= 0), True),
    **dict.fromkeys(("chi", "r"), ("in [−1, 1]", lambda x: ~(abs(x) > 1), True)),
    "drift": ("≥ −1 and finite", lambda x: ~(x < -1), True),
}


def _read(name: str, value) -> Reals:
    """Return a number as it is and all else as an array, labelled if it was; ValueError where it is not allowed."""
    allowed, test, gaps = _ARGUMENTS[name]
    try:
        plain = np.asarray(value)
    except Exception:  # ragged lists, tensors of another device: each library has its own error
        plain = np.array(None)
    if plain.dtype.kind not in "iuf":
        shown = " ".join(reprlib.repr(value).split())
        raise ValueError(f"{name}={shown}: must be a real number or an array of real numbers, {allowed}")
    if name == "lr_t" and (plain.ndim == 0 or len(plain) == 0):
        raise ValueError(f"lr_t={plain.tolist()}: must be a series of at least one step")
    good = test(plain) if gaps and plain.ndim else test(plain) & np.isfinite(plain)
    if not np.all(good):
        index = np.argwhere(~good)[0].tolist() if plain.ndim else ""
        raise ValueError(f"{name}{index}={first(plain, ~good)}: must be {allowed}")
    labelled = hasattr(value, "__array_ufunc__")  # numpy's own, xarray's, pandas'
    if plain.dtype.kind in "iu":  # squares of narrow ones would wrap around
        return value.astype(float) if labelled else float(value) if isinstance(value, int) else plain.astype(float)[()]
    return value if labelled or isinstance(value, float) else plain[()]


def _of_the_same(arguments):
    """Refuse labelled series of different steps, of which xarray would silently keep those in common."""
    seen = {}
    for name, value in arguments.items():
        for dim, size in getattr(value, "sizes", {}).items():
            index = value.indexes.get(dim)
            other, its_size, its_index = seen.setdefault(dim, (name, size, index))
            if size != its_size or not (index is None or its_index is None or index.equals(its_index)):
                raise ValueError(f"{other} and {name}: must be of the same values of {dim}, of which they have others")


_TRUTH = (bool, np.bool_, int)


def first(values, bad: Flags) -> Number:
    """The first of the values that are bad, as a number of Python."""
    return np.broadcast_to(values, np.shape(bad))[np.asarray(bad)].flat[0].item()


def numbers_only(**values: Reals) -> None:
    """Refuse arrays where an equation takes numbers."""
    for name, value in values.items():
        if np.ndim(value):
            raise ValueError(f"{name} of shape {np.shape(value)}: must be a number here, not an array")


def some_motion(lr: Reals, weight_decay: Reals) -> None:
    """Refuse λ = α = 0 at once: nothing moves."""
    if np.any(lr + weight_decay == 0):
        raise ValueError("lr=0 and weight_decay=0: must not both be 0, nothing moves and no equilibrium is reached")


def settling(x: Reals, momentum: Reals, optimizer: str) -> Reals:
    """Return x = λα, if it is small enough that |w| comes to an equilibrium."""
    rho = momentum
    most = {"sgd": 2 * (1 + rho), "nesterov": 2 * (1 + rho) / (1 + 2 * rho), "sgdw": 2 + 0 * rho}[known(optimizer)]
    over = np.asarray(x > most)
    if over.any():
        bad, limit = first(x + 0 * most, over), first(0 * x + most, over)
        raise ValueError(f"lr * weight_decay={bad:g}: must be ≤ {limit:g} with optimizer={optimizer!r} and this "
                         "momentum, beyond it |w| has no equilibrium")  # fmt: skip
    return x


def known(optimizer: str, *more: str) -> str:
    """Return the name of an optimizer, if it is one of those that the equations know, or of `more`."""
    *most, last = known = ("sgd", "nesterov", "sgdw", *more)
    if not isinstance(optimizer, str) or optimizer not in known:
        raise ValueError(f"optimizer={optimizer!r}: must be {', '.join(map(repr, most))} or {last!r}")
    return optimizer
