"""What the value of a field may be: numbers, names, networks. A value that it may not be is named."""

from __future__ import annotations

import math
import re
import warnings

__all__ = [
    "CONVS", "FOREIGN", "among", "canonical_model", "check", "conv_shapes", "integer", "model_convs", "model_parts",
    "number", "one_of", "plain",
]  # fmt: skip

CONVS = (
    "prep", "layer1", "layer1.res1", "layer1.res2", "layer2", "layer3", "layer3.res1", "layer3.res2",
)  # fmt: skip
"""The convolutions of ResNet-9, from the image to the classifier."""

FOREIGN = ("resnet18", "vgg11")
"""Networks that are not of the ResNet-9 family."""

_MODEL = re.compile(r"(resnet18|vgg11|resnet9|backbone)((?:\+(?:res|extra)[123])*)")


def model_convs(model: str) -> list[str]:
    """Return the names of the convolutions of a network of the ResNet-9 family, in order."""
    parts = set(model_parts(model))
    convs = ["prep"]
    for i in "123":
        convs.append(f"layer{i}")
        convs += [f"layer{i}.res1", f"layer{i}.res2"] if f"res{i}" in parts else []
        convs += [f"layer{i}.extra"] if f"extra{i}" in parts else []
    return convs


def model_parts(model: str) -> list[str]:
    """Return the parts that a model's name adds to the backbone: "resnet9" → ["res1", "res3"]."""
    base, *parts = model.split("+")
    return (["res1", "res3"] if base == "resnet9" else []) + parts


def conv_shapes(model: str, width: int) -> dict[str, tuple[int, int]]:
    """Return the convolutions of a network as matrices: name → (output channels, input channels · kernel)."""
    c, found = [width * 2**i for i in range(4)], {}
    if model == "vgg11":
        sides = [3, c[0], c[1], c[2], c[2], c[3], c[3], c[3], c[3]]
        places = (0, 4, 8, 11, 15, 18, 22, 25)
        return {f"features.{at}": (sides[i + 1], 9 * sides[i]) for i, at in enumerate(places)}
    if model == "resnet18":
        for i, (inputs, outputs) in enumerate(zip([c[0], *c], c), start=1):
            convs = {name: (outputs, 9 * outputs) for name in ("0.conv1", "0.conv2", "1.conv1", "1.conv2")}
            convs |= {"0.conv1": (outputs, 9 * inputs)} | ({"0.downsample.0": (outputs, inputs)} if i > 1 else {})
            found |= {f"layer{i}.{name}": shape for name, shape in convs.items()}
        return {"conv1": (c[0], 27), **found}
    for name in model_convs(model):
        stage = 0 if name == "prep" else int(name.removeprefix("layer")[0])
        inputs = 3 if name == "prep" else c[stage] if "." in name else c[stage - 1]
        found[name] = c[stage], 9 * inputs
    return found


def canonical_model(model) -> str:
    """Return the one name of a network that can be written in several ways."""
    match = _MODEL.fullmatch(model) if isinstance(model, str) else None
    allowed = (
        '"resnet9", "resnet18", "vgg11", or "backbone" or "resnet9" followed by any of '
        "+res1 +res2 +res3 +extra1 +extra2 +extra3"
    )
    check("model", model, match and not (match[1] in FOREIGN and match[2]), allowed)
    if model in FOREIGN:
        return model
    parts = sorted(set(model_parts(model)), key=lambda p: (p.startswith("extra"), p))
    if {"res1", "res3"} <= set(parts):
        return "+".join(["resnet9"] + [p for p in parts if p not in ("res1", "res3")])
    return "+".join(["backbone"] + parts)


def check(name, value, ok, allowed):
    """Raise a ValueError that names a value and says what is allowed, unless it is."""
    if not ok:
        shown = repr(value)
        raise ValueError(f"{name}={shown if len(shown) < 100 else shown[:60] + '...'}: must be {allowed}")


def among(value, names) -> bool:
    """Return whether a value is one of these names."""
    return isinstance(value, str) and value in names


def one_of(names) -> str:
    """Return "one of" and the names, for a message."""
    return "one of " + ", ".join(f'"{n}"' for n in names)


def number(name, value) -> float:
    """Return a finite number as a float, and warn of one that is all but another."""
    try:
        given = math.nan if isinstance(value, (bool, str, bytes)) or getattr(value, "ndim", 0) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        given = math.nan
    check(name, value, math.isfinite(given), "a finite number")
    short = float(f"{given:.12g}")
    if 0 < abs(short - given) <= 4 * math.ulp(given) and short != 1:  # as 0.1 + 0.2, or np.arange(0.1, 0.5, 0.1)
        warnings.warn(f"{name}={given!r} is another run than {name}={short!r}; round it, if that is meant",
                      stacklevel=5)  # fmt: skip
    return given + 0.0  # -0.0 becomes 0.0: equal configurations have one digest


def integer(name, value) -> int:
    """Return a whole number."""
    given = number(name, value)
    check(name, value, given == int(given), "an integer")
    return int(given)


def plain(value):
    """Return what a scalar of numpy, torch or xarray means as Python has it, else the value itself.

    A narrow number is the shortest decimal that it is rounded from: np.float32(0.1) is 0.1, and not 0.10000000149.
    """
    if hasattr(value, "dims") and hasattr(value, "values"):  # xarray's
        value = value.values
    if getattr(value, "ndim", None) != 0 or not hasattr(value, "item"):
        return value
    if getattr(value, "mask", False) is not False and value.mask:  # numpy's masked values are none
        return math.nan
    try:
        item = value.item()
    except RuntimeError:  # of torch's "meta" device
        return value
    if isinstance(item, float) and math.isfinite(item) and "64" not in str(value.dtype):
        narrow = value.new_tensor if hasattr(value, "new_tensor") else value.dtype.type
        decimals = (float(f"{item:.{digits}g}") for digits in range(1, 10))
        return next((decimal for decimal in decimals if float(narrow(decimal)) == item), item)
    return item
