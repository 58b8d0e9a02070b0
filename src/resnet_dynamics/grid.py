"""The runs of a sweep: a configuration for every combination of some values."""

from __future__ import annotations

import itertools

import numpy as np

from .config import Config, plain

__all__ = ["configs", "values"]


def configs(base: Config, /, **axes) -> np.ndarray:
    """Return the configurations of a sweep, an array with one dimension for each axis.

    Raises:
        TypeError: `base` is no Config.
        ValueError: an axis is no field of Config, is empty or names a value twice, or a combination is not allowed.
    """
    if not isinstance(base, Config):
        raise TypeError(f"sweep({base!r}, ...): must be a Config, as in sweep(Config.smoke(), lr=[0.1, 0.2])")
    axes = {name: list(given) if _is_list(given) else [given] for name, given in axes.items()}
    for name, given in axes.items():
        _check(name, given, base.as_dict())
    grid = np.empty(tuple(map(len, axes.values())), dtype=object)
    for i, combination in zip(np.ndindex(grid.shape), itertools.product(*axes.values())):
        grid[i] = base.replace(**dict(zip(axes, combination)))
    for name, found in values(grid, axes).items():  # as Config has them: two names of a network are one
        if len(set(found)) < len(found):
            raise ValueError(f"{name}={found}: must not name a value twice")
    return grid


def _check(name, given, fields) -> None:
    if name not in fields:
        raise ValueError(f"{name}=...: must be a field of Config ({', '.join(fields)})")
    if not given:
        raise ValueError(f"{name}=[]: must have at least one value")
    for value in map(plain, given):
        if _is_list(value):
            raise ValueError(f"{name}={value!r}: must be one value of an axis, not a list of them")


def _is_list(given) -> bool:
    """Whether these are the values of an axis; a scalar array of numpy, torch or xarray is one."""
    return not isinstance(given, (str, bytes)) and hasattr(given, "__iter__") and getattr(given, "ndim", 1) > 0


def values(grid: np.ndarray, axes) -> dict[str, list]:
    """Return axis → its values, as Config has them."""
    return {name: [getattr(grid[i], name) for i in _along(grid, axis)] for axis, name in enumerate(axes)}


def _along(grid, axis):
    """The indices of the first runs along an axis."""
    return [tuple(n if d == axis else 0 for d in range(grid.ndim)) for n in range(grid.shape[axis])]
