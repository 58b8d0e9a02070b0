"""What signatures say of an array: its axes, by name. T steps, L layers, K weights, W windows, S any shape.

For who reads a signature, and for the tests, which check every call against it (tests/hints.py). The package itself
never imports this file, and needs neither jaxtyping nor beartype. An axis has one length wherever one signature names
it; `*L` is any number of axes, `#` what broadcasts as numpy has it.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import xarray as xr
from beartype.vale import Is
from jaxtyping import Bool, Complex, Float, Float32, Float64, Int, Int64, Shaped, UInt16

__all__ = [
    "Array", "ByFilter", "ByLayer", "ByStep", "ByStepLayer", "Characters", "Codes", "Decoded", "Edges", "Filters",
    "Flags", "Full", "Lags", "LayerRows", "LayerWeights", "Layers", "Line", "Measured", "Multipliers", "Number", "One",
    "OneStep", "Part", "PerStep", "PerWindow", "Place", "Reals", "Rows", "Scores", "Series", "Share", "Sizes",
    "Squares", "Steps", "Stream", "Totals", "Weights",
]  # fmt: skip


def _by(*dims):
    """A labelled array of just these dimensions, in this order."""
    sizes = " ".join(dims)
    return Annotated[Float[xr.DataArray, sizes], Is[lambda array: array.dims == dims]]


Array = np.ndarray | xr.DataArray
Number = float | np.floating

# Equations
Reals = Number | Float[np.ndarray, "*#S"] | Float[xr.DataArray, "..."]  # what broadcasts; xarray's does by name
Flags = bool | np.bool_ | Bool[np.ndarray, "*#S"] | Bool[xr.DataArray, "..."]
Weights = Float[Array, "*K"]  # those of a layer; its gradient or momentum, of the same shape
Multipliers = Complex[np.ndarray, "*#S 3"]
Steps = Float[Array, "T"]
Series = Float[Array, "T *#L"]  # [T] or [T, L]
Layers = Number | Float[Array, "*#L"]  # a number or [L]
Sizes = Number | Float[Array, "#T *#L"]  # a number, [1, L], [T] or [T, L]
Line = Float[np.ndarray, "n"]
Lags = Sequence[float] | Float[Array, "n"] | Callable[..., Any]  # C_1, C_2, ..., or what makes them of k
Full = Float[np.ndarray, "T *S"]  # with all axes
OneStep = Float[np.ndarray, "*S"]

# Recordings
ByStep = _by("step")
ByLayer = _by("layer")
ByStepLayer = _by("step", "layer")
Measured = Float[xr.DataArray, "*S"]  # whatever its dimensions
Part = xr.Dataset | Shaped[xr.DataArray, "..."]  # a recording or a series of it
Share = tuple[float, float] | list[float]  # of a run: first and last, 0 to 1

# The recorder: torch's tensors, and Any, so that nothing here loads torch
One = Shaped[Any, ""] | Shaped[Any, "1"]
Place = Int64[Any, "1"]  # t, on the device
Rows = Float32[Any, "5 chunks 512"]
Squares = Float32[Any, "chunks 5 5"]
Totals = Float32[Any, "L 15"]
LayerWeights = Float[Any, "*K"]
LayerRows = Float32[Any, "5 *K"]
Filters = Float32[Any, "F 5 K"]
ByFilter = Float32[Any, "T _ 15"]

# The transformer: B texts of T characters, D wide
Characters = Int64[Any, "B T"]
Stream = Float[Any, "B T D"]
Scores = Float[Any, "B T characters"]

# Evidence
Edges = Int[np.ndarray, "edges"]  # W + 1 steps
PerStep = Float[np.ndarray, "T *L"]
PerWindow = Float64[np.ndarray, "edges-1 *L"]  # [W, *L]
Codes = UInt16[np.ndarray, "*S"]
Decoded = Float64[np.ndarray, "*S"]
