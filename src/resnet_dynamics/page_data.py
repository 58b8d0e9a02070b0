"""What a page gets: recordings as means over windows, small enough to travel where nothing is trained.

A run is cut into windows of steps, short at the start where all is quick. Of each window and layer four numbers are
kept, enough to draw the norm, its balance and its rate, and to predict them anew:
    w2      |w|² at the first step of the window
    c2      c² = |g|²|w|², a mean over the window: the size of the gradients whatever |w| is
    drive   c²(1 + 2ρκ), what drives the norm when successive batches are correlated, a mean over the window
    growth  what they add to |w|², a mean over the window, as `measure.growth` has it
with loss and accuracy of the training batches, means as well, and those of the tests after each epoch. On the page a
number is 16 bits of its logarithm, see `encode`. A reader's own run takes the same form while it trains, see `curve`.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import math
import numbers
import warnings
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from . import library, measure, recording
from .arms import SEPARATE, apart
from .config import CONVS, Config
from .series import checked

if TYPE_CHECKING:
    from ._shapes import Codes, Decoded, Edges, Number, PerStep, PerWindow, Reals

__all__ = [
    "IN_TABLE", "ONE", "OCTAVE", "SERIES", "TRAINING_IMAGES", "configs", "curve", "decode", "encode", "grid", "kind",
    "nearest", "pack", "plans", "windowed", "windows",
]  # fmt: skip

# What is kept: name → (dimensions, symbol, what it is, unit).
SERIES = {
    "w2": (("layer", "window"), "|w|²", "squared weight norm at the first step of the window", "u²"),
    "c2": (("layer", "window"), "c²", "squared gradient times squared weight, mean over the window", "nat²"),
    "drive": (("layer", "window"), "c²(1 + 2ρκ)", "c² with the correlation of batches, mean over the window", "nat²"),
    "growth": (("layer", "window"), "growth", "what the gradients add to |w|² in a step, mean over the window", "u²"),
    "loss": (("window",), "loss", "training loss, mean over the window", "nat"),
    "accuracy": (("window",), "accuracy", "training accuracy, mean over the window", "1"),
    "test_loss": (("epoch",), "test loss", "test loss after the epoch", "nat"),
    "test_accuracy": (("epoch",), "test accuracy", "test accuracy after the epoch", "1"),
}
IN_TABLE = {"loss": "window_loss", "accuracy": "window_accuracy"}  # what a table of `sweep` calls them
TRAINING_IMAGES = {"cifar10": 50_000, "synthetic": 20_000}
ONE, OCTAVE = 32768, 512  # the code of 1, and how many codes double a value


# Recordings, as means over windows
def windows(steps: int) -> Edges:
    """Return the edges of the windows of a run, int [W + 1]: 0, 1, 2, 4, 8, 16, then every 8 steps, or about a 64th."""
    if not isinstance(steps, numbers.Integral) or steps < 1:
        raise ValueError(f"steps={steps!r}: must be a whole number, at least 1")
    long = max(8, 8 * math.ceil(math.ceil(steps / 64) / 8))
    return np.array([e for e in (0, 1, 2, 4, 8, *range(16, steps, long)) if e < steps] + [steps])


def windowed(ds: xr.Dataset, edges: Edges | list[int] | None = None) -> xr.Dataset:
    """Return the `SERIES` of a recording, float64 [window, layer], [window], [epoch]; NaN after a divergence.

    edges [W + 1] are those of the windows, None takes `windows` of all steps; they are kept as an attribute, and the
    coordinate `window` is the first step. For LARS growth is λ_eff²(|d|² + 2ρ d·v), λ_eff = λ_LARS/(1 − ρ), as of
    momentum, with its own rate and its own d. Where layers have settings of their own, norms are fixed, or an optimizer
    is of the convolutions alone (AdamW and so on), growth and drive are missing.
    """
    steps = checked(ds).sizes["step"]
    edges = np.asarray(windows(steps) if edges is None else edges)
    whole = edges.dtype.kind in "iu" and edges.ndim == 1 and len(edges) > 1
    if not (whole and edges[0] == 0 and edges[-1] <= steps and (np.diff(edges) > 0).all()):
        raise ValueError(f"edges={edges.tolist()}: must be whole numbers that rise from 0 to at most {steps}")
    setting = recording.config(ds)
    rho = setting.momentum
    with np.errstate(over="ignore", invalid="ignore"):  # a run that diverges has norms beyond float32
        full = {"w2": ds.w2.isel(step=edges[:-1]).values.astype(float)}
        size, kept = ds.g2.astype(float) * ds.w2, ds.loss.where(np.isfinite(ds.loss))
        if apart(setting) or setting.optimizer in SEPARATE:
            pushed = grown = size * np.nan
        elif "lars_lr" in ds:
            grown = (ds.lars_lr.astype(float) / (1 - rho)) ** 2 * (ds.d2 + 2 * rho * ds.dv)
            pushed, grown = size, measure.moved(grown, ds, 0.0)
        else:
            pushed, grown = measure.drive(ds), measure.growth(ds)
        means = {"c2": size, "drive": pushed, "growth": grown, "loss": kept, "accuracy": ds.accuracy}
        full |= {name: _means(a.transpose("step", ...).values[: edges[-1]], edges) for name, a in means.items()}
    full |= {name: ds[name].values.astype(float) for name in ("test_loss", "test_accuracy")}
    data = {}
    for name, (dims, symbol, long_name, units) in SERIES.items():
        data[name] = (dims[::-1], full[name], {"symbol": symbol, "long_name": long_name, "units": units})
    coords = {"window": edges[:-1], "layer": ds.layer.values, "epoch": ds.epoch.values}
    return xr.Dataset(data, coords, ds.attrs | {"edges": edges})


def _means(x: PerStep, edges: Edges) -> PerWindow:
    """Means over the windows [W, ...] of x [T, ...], of what is there."""
    there = ~np.isnan(x)
    total = np.add.reduceat(np.where(there, x, 0.0).astype(float), edges[:-1])
    count = np.add.reduceat(there, edges[:-1], dtype=int)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def encode(values: Reals | list[float]) -> Codes:
    """Return values as uint16 codes of their logarithm: a relative error of at most 0.07 %, from 2^-63.9 to 2^63.9.

        code 0: missing; else value = 2^((code − 32768)/512)
    What is smaller, 0 or negative has the code 1; what is greater, or infinite, 65535.
    """
    values = np.asarray(values, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = np.log2(np.clip(values, 0, None))
    codes = np.round(OCTAVE * np.clip(bits, -63.9, 63.9)) + ONE
    codes = np.where(bits < -63.9, 1, np.where(bits > 63.9, 65535, codes))
    return np.where(np.isnan(values), 0, codes).astype("<u2")


def decode(codes: Codes | list[int]) -> Decoded:
    """Return what `encode` made codes of, float64; NaN where it is missing, 0 where it was too small."""
    codes = np.asarray(codes)
    return np.where(codes < 2, np.where(codes, 0.0, np.nan), 2.0 ** ((codes.astype(float) - ONE) / OCTAVE))


def curve(ds: xr.Dataset, *, id: int = 0, plan: str = "", state: str = "done") -> dict:
    """Return a recording, whole or as far as it is, in windows and as plain values: JSON, None for what is no number.

    The edges of its windows [n + 1], the series [L][n], [n] or [e], and what run it is. Where its steps end in NaN the
    windows end, too; the tests end at the last that is known.
    """
    c, steps = recording.config(checked(ds)), ds.sizes["step"]
    done = 1 + max(np.flatnonzero(ds.w2.notnull().any("layer")), default=0)
    edges = windows(steps)
    part = windowed(ds, np.append(edges[edges < done], done))
    part = part.isel(epoch=slice(0, 1 + max(np.flatnonzero(ds.test_loss.notnull()), default=-1)))
    fields = {name: getattr(c, name) for name in ("lr", "weight_decay", "momentum", "schedule", "epochs", "warmup")}
    series = {name: _plain(part[name].transpose(*dims).values) for name, (dims, *_) in SERIES.items()}
    return {"id": id, "plan": plan, "digest": c.digest, "optimizer": kind(c), **fields, "what": recording.describe(ds),
            "edges": part.attrs["edges"].tolist(), **series, "steps": steps, "steps_per_epoch": round(steps / c.epochs),
            "dataset": ds.attrs["dataset"], "diverged_at": int(ds.attrs["diverged_at"]), "state": state}  # fmt: skip


def _plain(values: Reals) -> float | list | None:
    if np.ndim(values):
        return [_plain(value) for value in values]
    return float(f"{values:.6g}") if np.isfinite(values) else None  # more digits than a picture shows


# Plans: how long a run is, whatever its λ, α, ρ and optimizer
def configs() -> dict[str, Config]:
    """Return plan → the run of that length, of which the reader chooses λ, α, ρ and the optimizer."""
    grid, _ = library.planned_sweeps()["explorer"]
    quick = Config.smoke(epochs=10.0, warmup=2.0)  # long enough to learn: 160 steps, some 40 % of ten classes
    return {"short": grid, "book": Config.book(), "smoke": quick, "class": Config.classroom(), "full": Config.full()}


def kind(config: Config) -> str:
    """Return the optimizer of a run in the explorer's words: "sgd" and "heavy-ball" are torch's SGD, ρ = 0 or not.

    Raises:
        ValueError: the explorer does not have it.
    """
    if config.optimizer in SEPARATE:
        raise ValueError(f"optimizer={config.optimizer!r}: must be one that the explorer has, SGD with or without "
                         "momentum, Nesterov's or LARS")  # fmt: skip
    return config.optimizer if config.optimizer != "sgd" else "heavy-ball" if config.momentum else "sgd"


def plans() -> dict[str, dict]:
    """Return plan → {label, steps, steps_per_epoch, epochs, warmup, schedule, batch_size, what, set}."""
    return pack()["plans"]


def _plan(name: str, config: Config) -> dict:
    images = config.train_images or TRAINING_IMAGES[config.data]
    per_epoch = images // config.batch_size
    words = {"short": "λ constant", "book": "λ up and down", "smoke": "generated images (half a minute)",
             "class": f"width {config.width} (minutes)", "full": f"width {config.width} (for a GPU)"}  # fmt: skip
    of = "images of CIFAR-10" if config.data == "cifar10" else "generated images"
    return {
        "label": f"{config.epochs:g} epochs, {words[name]}",
        "steps": round(config.epochs * per_epoch), "steps_per_epoch": per_epoch,
        **{key: getattr(config, key) for key in ("epochs", "warmup", "schedule", "batch_size")},
        "what": f"ResNet-9 of width {config.width}, {images:,} {of}, batches of {config.batch_size}",
        "set": {"short": 0, "book": 1}.get(name),
    }  # fmt: skip


# All of it, for the page
def grid() -> xr.Dataset:
    """Return the table of the grid, as `sweep.record` made it: the plan "short" at many λ, α and ρ."""
    return recording.read(library.sweep_file("explorer"))


@functools.cache
def pack() -> dict:
    """Return the evidence: {"layers": names, "plans": see `plans`, "sets": [the grid, the book's own runs]}.

    A set is {what, edges, epochs, runs: [{optimizer, lr, weight_decay, momentum, diverged_at, name}], codes}; codes is
    the base64 of uint16, little endian, run after run in the order of `SERIES`: w2, c2, drive, growth [L, W] each,
    loss, accuracy [W], test_loss, test_accuracy [E]. The grid is what the manifest's sweeps with "series": true have
    recorded; as long as there is no such table it has no runs. A run that failed, or has an optimizer that the explorer
    has not, is left out.
    """
    plans = {name: _plan(name, config) for name, config in configs().items()}
    sets = [_set(plans["short"], _tables()), _set(plans["book"], _recordings())]
    for plan in plans.values():
        if plan["set"] is not None and sets[plan["set"]]["runs"]:
            plan["label"] += f" ({len(sets[plan['set']]['runs'])} recorded settings)"
    return {"layers": list(CONVS), "plans": plans, "sets": sets}


def _set(plan, found) -> dict:
    """The set of what was found, (name, table with its axes or a recording) each, over the windows of a plan."""
    edges, runs, codes, images = windows(plan["steps"]).tolist(), [], [], {}
    for name, ds in found:
        if list(ds.attrs["edges"]) != edges:
            raise ValueError(f"{name}: its windows are not those of {plan['steps']} steps, as of the rest of its set")
        axes = ds.digest.dims if "digest" in ds else ()
        made = [json.loads(text) for text in ds.provenance.values.ravel() if text] if axes else [ds.attrs]
        images |= dict.fromkeys(one["dataset"] for one in made)
        ends = ds.diverged_at.values.ravel() if axes else [ds.attrs["diverged_at"]]
        there = ds.failed.values.ravel() == "" if axes else [True]
        parts = [ds[IN_TABLE.get(key, key) if axes else key].transpose(*axes, *dims).values
                 for key, (dims, *_) in SERIES.items()]  # fmt: skip
        rows = encode(np.concatenate([part.reshape(len(ends), -1) for part in parts], axis=1))
        settings = itertools.product(*(ds[axis].values.tolist() for axis in axes))
        for values, end, row in itertools.compress(zip(settings, ends, rows), there):
            c = recording.config(ds).replace(**dict(zip(axes, values)))
            if c.optimizer in SEPARATE:
                continue
            runs.append({"optimizer": kind(c), "lr": c.lr, "weight_decay": c.weight_decay, "momentum": c.momentum,
                         "diverged_at": int(end), "name": name})  # fmt: skip
            codes.append(row.tobytes())
    return {"what": plan["what"].replace("CIFAR-10", " and ".join(images) or "CIFAR-10"), "edges": edges,
            "epochs": math.ceil(plan["epochs"]), "runs": runs,
            "codes": base64.b64encode(b"".join(codes)).decode()}  # fmt: skip


CHOSEN = ("lr", "weight_decay", "momentum", "optimizer")  # by the reader


def _as(plan: Config, config: Config) -> bool:
    """Whether a run differs from that of a plan in nothing but λ, α, ρ and the optimizer."""
    return config.replace(**{name: getattr(plan, name) for name in CHOSEN}) == plan


def _tables():
    """(name, table) of the sweeps of the plan "short" that keep series, as far as they are here."""
    sweeps, short = library.planned_sweeps(), configs()["short"]
    for name, entry in library.manifest()["sweeps"].items():
        (base, axes), path = sweeps[name], library.sweep_file(name)
        if entry.get("series") and axes.keys() <= {*CHOSEN} and _as(short, base) and path.is_file():
            yield from ((name, table) for table in _trusted(recording.read, path) if "drive" in table)


def _recordings():
    """(name, windows) of the book's own runs, which differ from its baseline in λ, α, ρ and optimizer alone."""
    for name, config in library.bundled().items():
        if config.optimizer not in SEPARATE and _as(Config.book(), config):
            found = _trusted(recording.load, library.recording_file(config), config)
            yield from ((name, windowed(ds)) for ds in found)


def _trusted(read, *given):
    try:
        yield read(*given)
    except recording.BrokenRecording as error:
        warnings.warn(f"{error}. It is not shown.", stacklevel=2)


def nearest(runs: list[dict], lr: Number, weight_decay: Number, momentum: Number, optimizer: str) -> int | None:
    """Return the index of the run of a set that is nearest to a setting, the first of equals, or None.

        distance² = (Δ ln λ)² + (Δ ln α)² + (Δ ln(1 − ρ))²
    among the runs of its optimizer ("sgd" is "heavy-ball" with ρ = 0), with decay if it has decay, without if not.
    """

    def place(lr, weight_decay, momentum, optimizer):
        rest = 1 if optimizer == "sgd" else 1 - momentum
        return np.log([lr, weight_decay or 1, rest]), (optimizer.replace("sgd", "heavy-ball"), weight_decay > 0)

    here, group = place(lr, weight_decay, momentum, optimizer)
    best, least = None, math.inf
    for i, run in enumerate(runs):
        there, theirs = place(*(run[name] for name in ("lr", "weight_decay", "momentum", "optimizer")))
        distance = ((there - here) ** 2).sum()
        if theirs == group and distance < least - 1e-9:  # rounding does not decide between equals
            best, least = i, distance
    return best
