"""The dynamics of weight decay, measured: the package under the book *Weight Decay in Motion*."""

import importlib

from . import cache, compare, library, measure, page_data, peaks, plots, recording, schedules, theory
from .config import Config
from .library import bundled, bundled_sweeps
from .runs import run
from .sweep import recorded, sweep
from .tables import table

__version__ = "0.1.0"
__all__ = [
    "Config", "Controls", "Crossing", "Explorer", "Live", "bundled", "bundled_sweeps", "cache", "check", "compare",
    "correlation", "data", "datasets", "invariant_parameters", "language", "library", "machine", "measure", "models",
    "optim", "page_data", "pairs", "peaks", "plots", "predict", "predictions", "random_updates", "recorded",
    "recorder", "recording", "run", "schedules", "successive", "sweep", "table", "theory", "train", "transformer",
    "watch",
]  # fmt: skip


_LATE = {"Controls": "controls", "Crossing": "crossing", "Explorer": "explorer", "Live": "live",
         "invariant_parameters": "invariance", "predict": "predictions", "watch": "watching"}  # fmt: skip


def __getattr__(name):
    # What needs torch is imported when it is first used: torch takes seconds, a recorded run does not need it. The
    # widgets are, too, as few need them.
    if name in _LATE:
        return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
