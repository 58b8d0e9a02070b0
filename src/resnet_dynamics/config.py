"""Everything that determines a run, and nothing else."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
import re
from dataclasses import dataclass

from . import arms
from .fields import (
    CONVS,
    FOREIGN,
    among,
    canonical_model,
    check,
    integer,
    model_convs,
    model_parts,
    number,
    one_of,
    plain,
)

__all__ = ["BUDGETS", "CONVS", "FOREIGN", "Config", "model_convs", "model_parts", "plain"]

_OPTIMIZERS = ("sgd", "nesterov", "lars", "lars-filter", *arms.SEPARATE)
_SCHEDULES = ("triangular", "constant", "cosine", "wsd")
_NORMALIZATIONS = ("batch", "instance", "layer", "group")
_DECAY_SCHEDULES = ("constant", "lr")
_OTHER_NAMES = {"learning_rate": "lr", "wd": "weight_decay", "alpha": "weight_decay", "rho": "momentum"}
_EPOCHS = 24.0
_LARGEST = 1e30  # of λ, α and their like; the arithmetic is in float32


def _named(cls):
    """Let the constructor say which names there are."""
    construct = cls.__init__

    @functools.wraps(construct)
    def __init__(self, *values, **fields):
        known = [field.name for field in dataclasses.fields(cls)]
        if values:
            raise TypeError(f"Config({', '.join(map(repr, values))}): every value must be named, as in Config(lr=0.4)")
        for name in fields:
            if name not in known:
                near = [_OTHER_NAMES[name]] if name in _OTHER_NAMES else difflib.get_close_matches(name, known, 1, 0.7)
                hint = f"; perhaps {near[0]} is meant" if near else ""
                raise TypeError(f"{name}={fields[name]!r}: must be a field of Config ({', '.join(known)}){hint}")
        construct(self, **fields)

    cls.__init__ = __init__
    return cls


@_named
@dataclass(frozen=True, kw_only=True)
class Config:
    """One training run, described by value.

    Two equal configurations are the same run. The defaults are the baseline of the book, which is the setting of
    Page's series: ResNet-9 on CIFAR-10, 24 epochs, batches of 512, λ rising to 0.4 and falling to 0, α = 5e-4,
    ρ = 0.9. Device, precision and place of the data are not here. On one machine's CPU, with one number of
    threads and one precision, a run comes out bit for bit the same. Elsewhere rounding differs, and training amplifies
    it: the details are others. A recording says where it was made.

    Numbers of numpy, torch and xarray are taken as what they print: np.float32(0.1) is 0.1.

    Attributes:
        data: "cifar10", or what stands in for it (see `datasets.standing_in`); "synthetic"; or "images:<digest>" for
            images of your own (see `datasets.images`).
        train_images: use only the first n training images of a fixed shuffle; None means all.
        augment: random crop of the image padded by 4, flip, and cutout of 8 × 8 pixels.
        model: "resnet9", "backbone" with any of "+res1" ... "+res3", "+extra1" ... "+extra3", or
            "resnet18" or "vgg11" (torchvision's, for images of 32 × 32).
        width: channels of the first layer; the others are 2, 4 and 8 times as wide.
        no_norm: name of a convolution whose batch norm is left out (negative control), or None.
        normalization: "batch"; "instance", "group" (four groups of channels) or "layer" (one group), image by image,
            after every convolution of the ResNet-9 family.
        init_scale: factor on the initial weights of every convolution.
        batch_size: images a step, N. The last, incomplete batch of an epoch is dropped.
        epochs: passes over the training images; may be a fraction.
        optimizer: "sgd" (heavy ball where momentum > 0), "nesterov", "lars" (a norm per layer, equations (4) and
            (8)), "lars-filter" (a norm per output filter). Or one of convolutions with batch norm alone, see
            `directions`: "sgdw", "adamw", "lion" and "muon", whose decay is decoupled, w ← w − λ(u + αw), and "adam",
            where it is part of the gradient. lr, weight_decay and momentum are theirs then, and the rest has SGD with
            rest_lr, rest_weight_decay and rest_momentum.
        lr: λ, the highest learning rate of the schedule; at most 1e30, as all that multiplies.
        schedule: "triangular": 0 → lr at `warmup` → 0 at `epochs`, piecewise linear. "cosine": the fall is half a
            cosine. "wsd" (warm-up, stable, decay): it is linear and takes the last `cooldown` epochs. "constant": lr.
        warmup: length of the rise, in epochs.
        cooldown: length of the fall of "wsd", in epochs; of no effect otherwise.
        weight_decay: α, coupled as in torch.optim.SGD: d = g + αw; of sgdw, adamw, lion and muon decoupled.
        weight_decay_schedule: "constant", or "lr": α(t) = weight_decay · λ(t)/lr, so that α/λ stays (SGDC of Defazio
            2025, arXiv 2506.02285; with adamw it is AdamC).
        momentum: ρ, as in torch.optim.SGD: v ← ρv + d. Of Adam, AdamW and Lion β₁. Of Muon usually 0.95.
        rest_lr_scale: factor on λ for the rest: all parameters but the weights of convolutions with batch norm.
        rest_weight_decay_scale: factor on α for the rest. 0: only convolutions with batch norm decay.
        lars_rate: for LARS, how the rate of the convolutions follows from the λ, α, ρ of the SGD run that it should
            equal. "equilibrium": √(2λ(t)α(1−ρ)), equations (6) and (9). "ode": times √z(t), the lag that the master
            equation predicts. "replay": λ|g|/|w| of each layer as the SGD run of the next seed had it (`source`), a
            mean over 50 steps. All other parameters keep SGD with lr, weight_decay and momentum.
        lars_memory: β; LARS divides by a running rms of |g||w|, whose weights fall as β^k, and not by the present one.
        init_spread: standard deviation of x, in octaves; the initial weights of each convolution are multiplied by 2^x,
            with a normal x for each, drawn by the seed.
        init_norms: "drawn"; "equilibrium": convolutions start at the length |w|⁴ = λc²/(2α(1−ρ)) that goes with the
            size c of their gradients in the first 20 batches.
        norms: "free"; "fixed": after each step a convolution is put back to its initial length (not with nesterov and
            LARS); "hyperball": the step has a set length as well, λ|w| (Wen et al. 2026, arXiv 2606.16899; with sgdw,
            adam, adamw, lion and muon, at weight_decay=0).
        warmup_shape: "linear"; "root": λ rises as the square root of time.
        rest_decays: which of the rest decay: "gains" and "offsets" of batch norm, "linear" (all else), joined by "+".
        rate_rule: by what SGD multiplies the gradient of a convolution, κ being what would bring its rate λ|g|/|w| to
            the line, √(2λα(1−ρ)): "none": 1. "clip": min(1, κ). "boost": max(1, κ). "line": κ.
        rate_line: a factor on that line.
        rate_from: the epoch from which on the rule applies.
        rate_until: the epoch at which it ends.
        label_bursts: share of the batches whose labels are drawn anew, from those of the training images.
        layer_settings: λ, α or ρ of single convolutions, as "prep.lr=0.05, layer1.momentum=0.97"; λ is the highest.
            With LARS they are those of the SGD run that it should equal.
        beta2: β₂ of Adam, AdamW and Lion; None: 0.999, of Lion 0.99.
        eps: ε of Adam and AdamW.
        cautious: a weight decays only in steps that make it smaller anyway, u·w ≥ 0 (Chen et al. 2025, arXiv
            2510.12402); with sgdw, adamw, lion and muon.
        rest_lr: the highest λ of the rest, before rest_lr_scale. None: lr; but 0.4, that of the baseline, where the
            optimizer is of the convolutions alone, so that the rest of all such runs is the same.
        rest_weight_decay: α of the rest, likewise; None: weight_decay, or 0.0005. It follows λ where α does.
        rest_momentum: ρ of the rest, likewise; None: momentum, or 0.9.
        seed: of initial weights, order of the images and augmentation.

    Raises:
        ValueError: names the value and what is allowed.
        TypeError: there is no such field.

    Example:
        >>> Config(lr=4.0, momentum=0.0).digest == Config(momentum=0, lr=4).digest
        True
    """

    data: str = "cifar10"
    train_images: int | None = None
    augment: bool = True
    model: str = "resnet9"
    width: int = 64
    no_norm: str | None = None
    normalization: str = "batch"
    init_scale: float = 1.0
    batch_size: int = 512
    epochs: float = _EPOCHS
    optimizer: str = "sgd"
    lr: float = 0.4
    schedule: str = "triangular"
    warmup: float = 5.0
    cooldown: float = 5.0
    weight_decay: float = 5e-4
    weight_decay_schedule: str = "constant"
    momentum: float = 0.9
    rest_lr_scale: float = 1.0
    rest_weight_decay_scale: float = 1.0
    lars_rate: str = "equilibrium"
    lars_memory: float = 0.0
    init_spread: float = 0.0
    init_norms: str = "drawn"
    norms: str = "free"
    warmup_shape: str = "linear"
    rest_decays: str = "gains+offsets+linear"
    rate_rule: str = "none"
    rate_line: float = 1.0
    rate_from: float = 0.0
    rate_until: float = 1e6
    label_bursts: float = 0.0
    layer_settings: str = ""
    beta2: float | None = None
    eps: float = 1e-8
    cautious: bool = False
    rest_lr: float | None = None
    rest_weight_decay: float | None = None
    rest_momentum: float | None = None
    seed: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = plain(getattr(self, field.name))
            if field.type == "float" or (field.type.startswith("float") and value is not None):
                value = number(field.name, value)
            elif field.type.startswith("int") and value is not None:
                value = integer(field.name, value)
            self._set(field.name, str(value) if isinstance(value, str) else value)

        check(
            "data",
            self.data,
            isinstance(self.data, str) and re.fullmatch(r"cifar10|synthetic|images:[0-9a-f]{16}", self.data),
            '"cifar10", "synthetic" or "images:<digest>" as datasets.images(path).key gives it',
        )
        for name in ("width", "batch_size", "seed"):
            check(name, getattr(self, name), getattr(self, name) is not None, "an integer")
        check("batch_size", self.batch_size, self.batch_size >= 2, "an integer of at least 2 (batch norm)")
        check(
            "train_images",
            self.train_images,
            self.train_images is None or self.train_images >= self.batch_size,
            f"at least one batch ({self.batch_size}), or None for all",
        )
        check("augment", self.augment, isinstance(self.augment, bool), "True or False")
        self._set("model", canonical_model(self.model))
        check("width", self.width, 1 <= self.width <= 1024, "an integer from 1 to 1024")
        convs = [] if self.model in FOREIGN else model_convs(self.model)
        check(
            "no_norm",
            self.no_norm,
            self.no_norm is None or among(self.no_norm, convs),
            f"None, or a convolution of {self.model} ({', '.join(convs) or 'none can lose its norm'})",
        )
        known = _NORMALIZATIONS[: 1 if not convs else 3 if self.width % 4 else 4]  # four groups of whole channels
        check("normalization", self.normalization, among(self.normalization, known),
              one_of(known) + f" with model={self.model!r} and width={self.width}")  # fmt: skip
        check("init_scale", self.init_scale, 0 < self.init_scale <= _LARGEST, "positive, at most 1e30")
        check("epochs", self.epochs, 0 < self.epochs <= 1e6, "positive, at most 1e6")
        check("optimizer", self.optimizer, among(self.optimizer, _OPTIMIZERS), one_of(_OPTIMIZERS))
        check("normalization", self.normalization, self.optimizer != "lars-filter" or self.normalization in known[:2],
              'one of "batch", "instance" with optimizer="lars-filter"')  # fmt: skip
        for name in ("lr", "weight_decay", "rest_lr_scale", "rest_weight_decay_scale"):
            check(name, getattr(self, name), 0 <= getattr(self, name) <= _LARGEST, "not negative, at most 1e30")
        for name in ("lr", "weight_decay"):
            own, scale = getattr(self, f"rest_{name}"), getattr(self, f"rest_{name}_scale")
            check(f"rest_{name}", own, own is None or 0 <= own <= _LARGEST, "None, or not negative, at most 1e30")
            by = name if own is None else f"rest_{name}"
            check(f"rest_{name}_scale", scale, self.of_rest(name) <= _LARGEST, f"at most 1e30 when multiplied by {by}")
        check("schedule", self.schedule, among(self.schedule, _SCHEDULES), one_of(_SCHEDULES))
        if self.schedule != "constant" and self.warmup > self.epochs != _EPOCHS:
            check("epochs", self.epochs, False, f"at least warmup, which is {self.warmup:g}; give both")
        check(
            "warmup",
            self.warmup,
            0 <= self.warmup <= self.epochs or self.schedule == "constant",
            f"from 0 to epochs ({self.epochs:g})",
        )
        check(
            "cooldown",
            self.cooldown,
            0 <= self.cooldown and (self.schedule != "wsd" or self.warmup + self.cooldown <= self.epochs),
            f"from 0 to what warmup leaves of epochs ({max(self.epochs - self.warmup, 0):g})",
        )
        known = _DECAY_SCHEDULES
        check(
            "weight_decay_schedule",
            self.weight_decay_schedule,
            among(self.weight_decay_schedule, known),
            one_of(known),
        )
        check("lr", self.lr, self.lr > 0 or self.weight_decay_schedule == "constant", "above 0 where α follows λ")
        check("momentum", self.momentum, 0 <= self.momentum < 1, "in [0, 1)")
        check(
            "momentum",
            self.momentum,
            self.optimizer != "nesterov" or self.momentum > 0,
            'above 0 with optimizer="nesterov"',
        )
        check(
            "rest_momentum",
            self.rest_momentum,
            self.optimizer != "nesterov" or self.rest_momentum != 0,
            'None, or above 0 with optimizer="nesterov"',
        )
        check(
            "rest_momentum",
            self.rest_momentum,
            self.rest_momentum is None or 0 <= self.rest_momentum < 1,
            "None, or in [0, 1)",
        )
        for name in ("lr", "weight_decay"):
            check(
                name,
                getattr(self, name),
                not self.optimizer.startswith("lars") or getattr(self, name) > 0,
                f'above 0 with optimizer="{self.optimizer}", whose rate is √(2λα(1−ρ))',
            )
        for name, value in arms.checked(self).items():
            self._set(name, value)
        check("seed", self.seed, 0 <= self.seed < 2**32, "an integer from 0 to 4294967295")

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    # Budgets: how much of the baseline there is time for.
    @classmethod
    def smoke(cls, **changes) -> Config:
        """Seconds on any machine: 2 epochs of 2,048 generated images at width 8. For tests, not for conclusions."""
        return cls(**{**_SMOKE, **changes})

    @classmethod
    def classroom(cls, **changes) -> Config:
        """About a minute on a T4, two on a 2-core CPU: 5 epochs at width 16."""
        return cls(**{**_CLASS, **changes})

    @classmethod
    def full(cls, **changes) -> Config:
        """The baseline itself."""
        return cls(**changes)

    @classmethod
    def book(cls, **changes) -> Config:
        """The baseline at the scale at which the runs of the book were recorded: width 16."""
        return cls(**{**_BOOK, **changes})

    def replace(self, **changes) -> Config:
        """Return the configuration with some values changed."""
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict:
        """Return all fields, in order, as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> Config:
        """The inverse of `as_dict`; fields that this version does not know are an error."""
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise ValueError(
                f"unknown configuration fields {', '.join(unknown)}: allowed are {', '.join(sorted(known))}"
            )
        return cls(**fields)

    @property
    def source(self) -> Config | None:
        """The run whose rates this one replays, or None."""
        if self.lars_rate != "replay":
            return None
        return self.replace(optimizer="sgd", lars_rate="equilibrium", lars_memory=0, seed=(self.seed + 1) % 2**32)

    def of_layer(self, layer: str, name: str) -> float:
        """Return lr, weight_decay or momentum of a convolution: its own, or that of the run."""
        return arms.settings(self.layer_settings).get((layer, name), getattr(self, name))

    def of_rest(self, name: str) -> float:
        """Return the highest lr, weight_decay or momentum of the SGD that moves the rest, with its factor."""
        own = getattr(self, f"rest_{name}")
        if own is None:
            own = getattr(type(self) if self.optimizer in arms.SEPARATE else self, name)
        return own * getattr(self, f"rest_{name}_scale", 1.0)

    @property
    def betas(self) -> tuple[float, float]:
        """β₁ and β₂ of Adam, AdamW and Lion."""
        return self.momentum, arms.BETA2[self.optimizer] if self.beta2 is None else self.beta2

    @property
    def changes(self) -> dict:
        """The fields that differ from the baseline."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}

    @property
    def digest(self) -> str:
        """A name for the run: 16 hexadecimal digits of the SHA-256 of `changes`.

        It does not depend on the order of the fields, and since only departures from the defaults enter, a field that
        is added later with its default leaves old digests as they were. So a default, once published, never changes.
        """
        text = json.dumps(self.changes, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self):
        return f"Config({', '.join(f'{k}={v!r}' for k, v in self.changes.items())})"


_SMOKE = dict(data="synthetic", train_images=2048, width=8, batch_size=128, epochs=2, warmup=0.5)
_CLASS = dict(width=16, epochs=5, warmup=1)
_BOOK = dict(width=16)
BUDGETS = {"smoke": _SMOKE, "class": _CLASS, "book": _BOOK, "full": {}}
