"""The fields of a configuration that change one thing about training, for experiments on single causes."""

from __future__ import annotations

from .fields import FOREIGN, among, check, model_convs, number, one_of

__all__ = [
    "BETA2", "DECOUPLED", "LARS", "OWN", "REST", "SEPARATE", "alike", "apart", "checked", "of_sgd", "own_rate",
    "positive", "settings",
]  # fmt: skip

REST = ("gains", "offsets", "linear")
"""The parameters that are not weights of a convolution with batch norm, in the words of `rest_decays`."""

_CHOICES = {
    "lars_rate": ("equilibrium", "ode", "replay"),
    "init_norms": ("drawn", "equilibrium"),
    "norms": ("free", "fixed", "hyperball"),
    "warmup_shape": ("linear", "root"),
    "rate_rule": ("none", "clip", "boost", "line"),
}
LARS = ("lars", "lars-filter")

SEPARATE = ("sgdw", "adam", "adamw", "lion", "muon")
"""Optimizers of normalized convolutions alone: their λ, α, ρ say nothing of the rest, their v is what λ multiplies."""

DECOUPLED = ("sgdw", "adamw", "lion", "muon")
"""Those whose decay is no part of the gradient: w ← w − λ(v + αw)."""

BETA2 = {"adam": 0.999, "adamw": 0.999, "lion": 0.99}
"""β₂ as their papers have it, of those that have one."""

OWN = ("lr", "weight_decay", "momentum")
"""What a convolution can have of its own, in `layer_settings`."""


def checked(config) -> dict[str, str]:
    """Return field → value, in one spelling, of those that can be written in several ways.

    Raises:
        ValueError: names the value and what is allowed.
    """
    for name, allowed in _CHOICES.items():
        check(name, getattr(config, name), among(getattr(config, name), allowed), one_of(allowed))
    lars = config.optimizer.startswith("lars")
    check("lars_rate", config.lars_rate, lars or config.lars_rate != "replay", '"equilibrium" without LARS')
    check("lars_memory", config.lars_memory, 0 <= config.lars_memory < 1, "in [0, 1)")
    check("lars_memory", config.lars_memory, not config.lars_memory or config.optimizer == "lars",
          '0 unless optimizer="lars"')  # fmt: skip
    check("init_spread", config.init_spread, 0 <= config.init_spread <= 10, "from 0 to 10 octaves")
    check("rate_rule", config.rate_rule, config.rate_rule == "none" or config.optimizer == "sgd",
          '"none" unless optimizer="sgd"')  # fmt: skip
    _check_separate(config)
    for name in ("lr", "weight_decay"):
        asks = {"rate_rule": config.rate_rule != "none", "init_norms": config.init_norms != "drawn"}
        for field in [field for field, asked in asks.items() if asked]:
            value = getattr(config, field)
            check(name, getattr(config, name), getattr(config, name) > 0, f'above 0 with {field}="{value}"')
    check("rate_line", config.rate_line, 0 < config.rate_line <= 1e6, "positive, at most 1e6")
    check("rate_from", config.rate_from, 0 <= config.rate_from <= 1e6, "from 0 to 1e6 epochs")
    check("rate_until", config.rate_until, config.rate_from < config.rate_until <= 1e6,
          f"after rate_from ({config.rate_from:g}), at most 1e6 epochs")  # fmt: skip
    check("label_bursts", config.label_bursts, 0 <= config.label_bursts <= 1, "from 0 to 1")
    return {"rest_decays": _rest_decays(config.rest_decays), "layer_settings": _layer_settings(config)}


def _check_separate(config):
    """Check what the optimizers of the convolutions alone have, and others have not."""
    separate, adam = config.optimizer in SEPARATE, config.optimizer.startswith("adam")
    named = f'with optimizer="{config.optimizer}"'
    norms = _CHOICES["norms"][: 3 if separate else 2 if config.optimizer == "sgd" else 1]
    check("norms", config.norms, config.norms in norms, " or ".join(f'"{n}"' for n in norms) + f" {named}")
    sphere = config.norms == "hyperball"
    check("weight_decay", config.weight_decay, not (sphere and config.weight_decay),
          '0 with norms="hyperball", where only the rest decays, by rest_weight_decay')  # fmt: skip
    check("init_norms", config.init_norms, config.init_norms == "drawn" or not separate, f'"drawn" {named}')
    check("cautious", config.cautious, isinstance(config.cautious, bool), "True or False")
    check("cautious", config.cautious, not config.cautious or config.optimizer in DECOUPLED,
          f"False {named}, whose decay is part of the gradient")  # fmt: skip
    check("cautious", config.cautious, not (config.cautious and sphere), 'False with norms="hyperball"')
    check("beta2", config.beta2, config.beta2 is None or config.optimizer in BETA2, f"None {named}, which has no β₂")
    check("beta2", config.beta2, config.beta2 is None or 0 <= config.beta2 < 1, "in [0, 1)")
    check("eps", config.eps, adam or config.eps == 1e-8, f"1e-08 {named}, which has no ε")
    check("eps", config.eps, 0 < config.eps <= 1, "positive, at most 1")
    if separate or config.rest_lr is not None:
        check("lr", config.lr, config.lr > 0, "above 0 where the rest has a λ of its own, whose schedule is that of lr")


def apart(config) -> str:
    """Say why the norms of a run do not follow from one λ, α and ρ for all layers; "" if they do."""
    for name, usual, said in (("norms", "free", "whose norms move freely"),
                              ("cautious", False, "in which all weights decay"),
                              ("layer_settings", "", "with one λ, α and ρ for all layers")):  # fmt: skip
        value = getattr(config, name, usual)  # a recording without a configuration has neither
        if value != usual:
            return f"of a run with {name}={value!r}: must be a run {said}"
    return ""


def alike(config, what: str):
    """Return the configuration of a run whose norms follow from one λ, α and ρ for all layers; refuse any other."""
    if said := apart(config):
        raise ValueError(f"{what} {said}")
    return config


def of_sgd(config, what: str, *more: str):
    """Return the configuration of a run that moves as SGD does, or Nesterov's, or one of `more`; refuse any other."""
    if config.optimizer not in ("sgd", "nesterov", *more):
        why = "LARS has no decay" if config.optimizer.startswith("lars") else "whose equations these are"
        raise ValueError(f"{what} of a run with optimizer={config.optimizer!r}: must be a run of SGD, {why}")
    return config


def positive(config, what: str, *names: str) -> None:
    """Refuse a run of which a quantity is relative to something that is 0."""
    for name in names:
        if getattr(config, name) == 0:
            said = {"weight_decay": f"{what} is relative to the decay", "lr": "nothing moves"}[name]
            raise ValueError(f"{what} of a run with {name}=0.0: must be > 0, {said}")


def own_rate(config, layer: str) -> float:
    """Return by what the rate of a layer differs from that of the run where it has settings of its own.

    SGD: λ_ℓ/λ. LARS: √(λ_ℓα_ℓ(1−ρ_ℓ)/(λα(1−ρ))).
    """
    lr = config.of_layer(layer, "lr") / config.lr
    if not config.optimizer.startswith("lars"):
        return lr
    weight_decay = config.of_layer(layer, "weight_decay") / config.weight_decay
    return (lr * weight_decay * (1 - config.of_layer(layer, "momentum")) / (1 - config.momentum)) ** 0.5


def _rest_decays(value) -> str:
    names = value.split("+") if isinstance(value, str) else []
    check("rest_decays", value, names and set(names) <= set(REST) and len(set(names)) == len(names),
          f'{", ".join(REST)}, or several of them joined by "+"')  # fmt: skip
    return "+".join(name for name in REST if name in names)


def settings(text: str) -> dict[tuple[str, str], float]:
    """Return (convolution, field) → value of `layer_settings` as Config keeps it."""
    parts = [part.split("=") for part in text.split(", ") if part]
    return {tuple(place.rsplit(".", 1)): float(value) for place, value in parts}


def _layer_settings(config) -> str:
    text = config.layer_settings
    convs = [] if config.model in FOREIGN else [name for name in model_convs(config.model) if name != config.no_norm]
    allowed = f"as prep.lr=0.05, layer1.momentum=0.97: {', '.join(OWN)} of {', '.join(convs) or 'no convolution'}"
    check("layer_settings", text, isinstance(text, str), allowed)
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        place, equals, value = (word.strip() for word in part.partition("="))
        layer, _, field = place.rpartition(".")
        try:
            value = float(value)
        except ValueError:
            equals = ""
        known = equals and layer in convs and field in OWN and (layer, field) not in found
        check("layer_settings", text, known, allowed)
        found[layer, field] = number(f"layer_settings: {place}", value)
        range_ = "in [0, 1)" if field == "momentum" else "not negative, at most 1e30"
        check(f"layer_settings: {place}", value, 0 <= value < 1 if field == "momentum" else 0 <= value <= 1e30, range_)
        check(f"layer_settings: {place}", value, field == "momentum" or value > 0 or config.init_norms == "drawn",
              f'above 0 with init_norms="{config.init_norms}"')  # fmt: skip
        check(field, getattr(config, field), field == "momentum" or getattr(config, field) > 0,
              f"above 0 where {place} is set")  # fmt: skip
    check("layer_settings", text, not found or config.lars_rate != "replay", 'empty with lars_rate="replay"')
    order = [(layer, field) for layer in convs for field in OWN if (layer, field) in found]
    return ", ".join(f"{layer}.{field}={found[layer, field]!r}" for layer, field in order)
