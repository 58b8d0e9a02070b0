"""What somebody says of the symmetries of ResNet-9, beside its wiring (`models`), and a run that somebody has made."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import xarray as xr

from . import library, measure
from .answers import EMPTY, Refused, Verdict, call, empty
from .arms import SEPARATE
from .config import Config
from .fields import CONVS
from .recording import config as config_of

__all__ = ["GROUPS", "judge_groups", "judge_layers", "judge_run"]

FILTER = "one filter of layer1"
GROUPS = (
    FILTER, "layer1", "linear", "prep γ", "prep (γ, β)", "layer1 (γ, β)", "layer1 (γ, β) ∪ layer1.res2 (γ, β)",
    "layer3 (γ, β)",
)  # fmt: skip

_HINTS = {
    FILTER: "Batch norm takes a mean and a deviation of each channel by itself: what does that say of a filter?",
    "layer1": "All filters of a layer are multiplied by the same number: does any batch norm after it notice?",
    "linear": "The classifier: what does the softmax do when all logits are multiplied?",
    "prep γ": "γ without β: multiply one, leave the other: is what comes out a multiple of what came out before?",
    "prep (γ, β)": "γ and β of prep: who reads them, and what does the next batch norm divide out?",
    "layer1 (γ, β)": "γ and β of layer1 alone: something else is added to what layer1 puts out.",
    "layer1 (γ, β) ∪ layer1.res2 (γ, β)": "Both terms of the sum are multiplied: who reads the sum?",
    "layer3 (γ, β)": "γ and β of layer3: who reads them, and is there a batch norm on the way?",
}
_ADDED = "A layer of which you say that it stays invariant is added to another one before any batch norm sees it."
_FOLLOWED = "A layer of which you say the opposite is read by one with a batch norm: what is left of a factor?"


def judge_groups(answer) -> Verdict:
    """Return the verdict on {group: True if invariant} for all of `GROUPS`, or on a function of a group's name."""
    from .models import ResNet9

    model = ResNet9(width=4)
    said = _said(answer, GROUPS)
    wrong = [group for group in GROUPS if _truth(said[group], group) != _invariant(model, group)]
    return _verdict([_HINTS[group] for group in wrong], len(GROUPS))


def judge_layers(answer) -> Verdict:
    """Return the verdict on {layer: (layer, each filter)}, what stays invariant when the layer loses its batch norm."""
    from .models import ResNet9

    said, hints = _said(answer, CONVS), {}
    for layer in CONVS:
        model = ResNet9(width=4, no_norm=layer)
        pair = said[layer]
        if isinstance(pair, (str, bytes)) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise Refused(f"{layer}: two answers are asked for, (the layer as a whole, each of its filters).")
        whole, single = (_truth(one, layer) for one in pair)
        if single:
            hints["filters"] = "Single filters: what does a factor on one of them do to what the next layer adds up?"
        if whole != _invariant(model, layer):
            hints[whole] = _ADDED if whole else _FOLLOWED
    return _verdict([hints[key] for key in (True, False, "filters") if key in hints], None)


def _invariant(model, group):
    """Whether a group of parameters is made up of whole groups that are invariant."""
    from .models import symmetries

    found, pieces = symmetries(model), {}
    for one in found:
        parameters = list(one.parameters)
        for name in one.name.split(" ∪ "):
            pieces[name] = {parameters.pop(0) for _ in range(2 if "γ" in name else 1)}
            if "γ" in name:
                pieces[name.replace("(γ, β)", "γ")] = {min(pieces[name], key=lambda x: not x.endswith("weight"))}
    if group == FILTER:
        return next(one.per_filter for one in found if one.name == "layer1")
    asked = set().union(*(pieces[name] for name in group.split(" ∪ ")))
    whole = [{*one.parameters} for one in found if one.invariant and {*one.parameters} <= asked]
    return set().union(*whole) == asked


def _said(answer, names):
    """What is said of each name."""
    if empty(answer):
        raise Refused(EMPTY)
    if isinstance(answer, Mapping):
        said = dict(answer)
    elif callable(answer):
        said = {name: call(answer, ("name",), (name,)) for name in names}
    else:
        raise Refused(f"This is of type {type(answer).__name__}: a dictionary is asked for, or a function of a name.")
    missing = [name for name in names if name not in said or empty(said[name])]
    if len(missing) == len(names):
        raise Refused(EMPTY)
    if missing:
        raise Refused(f"There is no answer yet to {', '.join(missing)}.")
    return said


def _truth(value, name):
    value = value.item() if hasattr(value, "item") and np.size(value) == 1 else value
    if isinstance(value, str) or value not in (True, False):
        raise Refused(f"{name}: {value!r} is neither True nor False.")
    return bool(value)


def _verdict(hints, n):
    if not hints:
        return Verdict(True, "")
    more = f" ({len(hints)} of {n} are not right yet.)" if n and len(hints) > 1 else ""
    return Verdict(False, hints[0] + more)


# A recording of one's own
def judge_run(ds, wanted: dict) -> Verdict:
    """Return the verdict on a recording; `wanted` has values of fields, or functions that say whether a value will do.

    Raises:
        ValueError: there is no such field of `Config`.
        Refused: it is no recording.
    """
    names = [field.name for field in dataclasses.fields(Config)]
    if unknown := [name for name in wanted if name not in names]:
        raise ValueError(f"{unknown[0]}={wanted[unknown[0]]!r}: must be a field of Config: {', '.join(names)}")
    if empty(ds):
        raise Refused(EMPTY)
    if isinstance(ds, Config):
        raise Refused("This is a Config: rd.run(config) makes a recording of it.")
    if not isinstance(ds, xr.Dataset) or "digest" not in ds.attrs:
        raise Refused(f"This is of type {type(ds).__name__}, and not a recording, as rd.run(config) returns it.")
    own = config_of(ds)
    if other := [name for name, value in wanted.items() if not _fits(getattr(own, name), value)]:
        told = ", ".join(f"{name}={getattr(own, name)!r}" for name in other)
        return Verdict(False, f"The run has {told}: another setting was asked for.")
    if own.digest in {one.digest for one in library.planned().values()}:
        return Verdict(False, "This recording comes with the book: change something that is free, the seed at least, "
                              "and train.")  # fmt: skip
    if (step := int(ds.attrs.get("diverged_at", -1))) >= 0:
        return Verdict(False, f"The run diverged at step {step}: it has no equilibrium to show.")
    return Verdict(True, _shown(ds, own))


def _fits(value, wanted):
    return bool(wanted(value)) if callable(wanted) else value == wanted


def _shown(ds, config):
    """`measure.acceptance` in words."""
    accuracy = f"Test accuracy at the end: {float(ds.test_accuracy[-1]):.0%}."
    if config.optimizer.startswith("lars") or config.optimizer in SEPARATE or not config.weight_decay * config.lr:
        return accuracy
    try:
        found = measure.acceptance(ds)
    except ValueError as error:
        return f"{accuracy} Of the balance nothing can be said: {error}."
    raw, corrected = found.raw.values, found.corrected.values
    causes = "drift and correlation" if config.momentum else "drift"
    return (f"{accuracy} Dots over line, in the middle half, by layer: {raw.min():.2f} to {raw.max():.2f}; corrected "
            f"for {causes}, {corrected.min():.2f} to {corrected.max():.2f}.")  # fmt: skip
