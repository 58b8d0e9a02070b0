"""Which optimizer moves which parameters, and the λ, α and bounds that it has at each step."""

from __future__ import annotations

import numpy as np
import torch

from . import measure, theory
from .arms import OWN, REST, SEPARATE, own_rate
from .config import Config
from .directions import SGDW, Adam, Lion, Muon
from .models import conv_layers, normalized
from .optim import LARS, SGD, SmoothLARS, Steered
from .recording import config as config_of
from .schedules import decays, rates

__all__ = ["REPLAYED", "Rates", "learning_rates", "make_optimizers", "replayed"]

REPLAYED = 50  # steps of the running mean that is replayed


def make_optimizers(config: Config, model) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a run: one for normalized convolutions, SGD for the rest; of plain SGD one for all.

    A group of convolutions says which `layers` it has. Those with a λ, α, ρ or rate of their own are each a group.
    """
    common = dict(lr=0.0, momentum=config.momentum)  # `Rates` sets λ, and each group has its own ρ
    convs, rest = _convs(config, model, normalized(model)), _rest(config, model, normalized(model))
    if config.optimizer in SEPARATE:
        return [_directed(config, convs, common), SGD(rest, **common)]
    if config.optimizer.startswith("lars"):
        for group in convs:
            del group["weight_decay"]  # which LARS does not have; what it would be is in the rate
        if config.lars_memory:
            return [SmoothLARS(convs, memory=config.lars_memory, **common), SGD(rest, **common)]
        return [LARS(convs, per_filter=config.optimizer == "lars-filter", **common), SGD(rest, **common)]
    if config.rate_rule != "none" or config.norms == "fixed":
        return [Steered(convs, fixed=config.norms == "fixed", **common), SGD(rest, **common)]
    return [SGD([*convs, *rest], nesterov=config.optimizer == "nesterov", **common)]


def _directed(config, convs, common):
    """The optimizer of the convolutions alone."""
    given = dict(norms=config.norms, **common)
    if config.optimizer == "adam":
        return Adam(convs, decoupled=False, beta2=config.betas[1], eps=config.eps, **given)
    given |= dict(cautious=config.cautious)
    if config.optimizer == "adamw":
        return Adam(convs, beta2=config.betas[1], eps=config.eps, **given)
    if config.optimizer == "lion":
        return Lion(convs, beta2=config.betas[1], **given)
    return {"sgdw": SGDW, "muon": Muon}[config.optimizer](convs, **given)


def _convs(config, model, invariant):
    """The groups of normalized convolutions."""
    of = {p: name for name, p in model.named_parameters()}
    weights = {layer: w for layer, w in conv_layers(model).items() if of[w] in invariant}
    common = tuple(getattr(config, field) for field in OWN)
    own = {layer: tuple(config.of_layer(layer, field) for field in OWN) for layer in weights}
    alone = [layer for layer in weights if config.source or own[layer] != common]
    groups = [[layer for layer in weights if layer not in alone], *([layer] for layer in alone)]
    return [_conv_group(config, layers, weights, *own[layers[0]]) for layers in groups if layers]


def _conv_group(config, layers, weights, lr, weight_decay, momentum):
    scale = {} if lr == config.lr else {"lr_scale": lr / config.lr}
    return {"params": [weights[layer] for layer in layers], "layers": layers, "weight_decay": weight_decay,
            "momentum": momentum, **scale}  # fmt: skip


def _rest(config, model, invariant):
    """The groups of all other parameters: those that decay, and those that do not."""
    decaying, others = [], []
    for name, p in model.named_parameters():
        if name not in invariant:
            module = model.get_submodule(name.rpartition(".")[0])
            norm = not isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))
            kind = REST[("weight", "bias").index(name.rpartition(".")[2])] if norm else "linear"
            (decaying if kind in config.rest_decays.split("+") else others).append(p)
    own = config.rest_lr is not None or config.optimizer in SEPARATE
    lr_scale = config.of_rest("lr") / config.lr if own else config.rest_lr_scale  # where lr may be 0
    return [{"params": params, "weight_decay": decay, "momentum": config.of_rest("momentum"), "lr_scale": lr_scale}
            for params, decay in ((decaying, config.of_rest("weight_decay")), (others, 0.0)) if params]  # fmt: skip


def learning_rates(config: Config, steps_per_epoch: int, source=None):
    """Return λ and λ_LARS of every step, float64 [T] each.

    λ_LARS = √(2λα(1−ρ)), equations (6) and (9); with lars_rate="ode" times √z, the lag of the norms behind the
    schedule, from the master equation with a constant gradient scale and a start in equilibrium. With "replay" it is
    that of `replayed`, [T, L].

    source: the recording of `config.source`, if there is one.
    """
    lr = rates(config, steps_per_epoch)
    alpha = decays(config, lr)
    if config.lars_rate == "replay":
        return lr, replayed(source)
    lars_lr = theory.lars_rate(lr, alpha, config.momentum)
    if config.lars_rate == "ode":
        lars_lr = lars_lr * np.sqrt(theory.master_ode(lr, alpha, config.momentum))
    return lr, lars_lr


def replayed(source) -> np.ndarray:
    """Return the rates of a run of SGD, λ|g|/|w|, as running means over 50 steps, float64 [T, L].

    Raises:
        ValueError: the run diverged, so it has no rates to the end.
    """
    if (end := int(source.attrs["diverged_at"])) >= 0:
        raise ValueError(f'lars_rate="replay": must have a run to replay, that of seed {config_of(source).seed} '
                         f"diverged at step {end}")  # fmt: skip
    return measure.smooth(measure.rate(source), REPLAYED).transpose("step", "layer").values.astype(float)


class Rates:
    """λ, α and bounds of every step on the device, where the optimizers find those of the present one.

    The groups of the optimizers hold tensors of one number, to which `set` copies what step t takes, in one launch. α
    is among them where it follows λ; where it is constant, it stays a number.

    Attributes:
        lr, lars_lr: λ and λ_LARS, float64 [T], or [T, L] where each layer has its own.
    """

    def __init__(self, config: Config, optimizers, steps_per_epoch: int, device, layers=(), source=None):
        self.lr, self.lars_lr = learning_rates(config, steps_per_epoch, source)
        columns = []
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                lr = self.lr * group.get("lr_scale", 1)
                if isinstance(optimizer, LARS):
                    lr = self._of_lars(config, group, layers)
                decay = decays(config, self.lr, group.get("weight_decay"))
                columns.append((group, "lr", lr))
                if "weight_decay" in group and np.ndim(decay):
                    columns.append((group, "weight_decay", decay))
                if isinstance(optimizer, Steered) and config.rate_rule != "none":
                    bounds = _bounds(config, lr, decay, group["momentum"], steps_per_epoch)
                    columns += [(group, name, series) for name, series in bounds]
        table = np.stack([series for _, _, series in columns], axis=1)
        self._table = torch.tensor(table, dtype=torch.float32, device=device)
        self._now = self._table[:1].clone()
        for (group, name, _), now in zip(columns, self._now[0]):
            group[name] = now

    def _of_lars(self, config, group, layers):
        """λ_LARS of a group: that of its own λ, α, ρ, or of the layer that it replays."""
        if self.lars_lr.ndim > 1:
            return self.lars_lr[:, [*layers].index(group["layers"][0])]
        return self.lars_lr * own_rate(config, group["layers"][0])

    def set(self, t):
        """Let the optimizers take the rates of step t, int64 [1] on the device."""
        torch.index_select(self._table, 0, t, out=self._now)


def _bounds(config, lr, alpha, momentum, steps_per_epoch):
    """Yield the series of a Steered group that are due to the rule: line, low, high."""
    yield "line", config.rate_line * np.sqrt(2 * alpha * (1 - momentum) / lr)
    epoch = (np.arange(len(lr)) + 0.5) / steps_per_epoch
    acts = (config.rate_from <= epoch) & (epoch < config.rate_until)
    low, high = {"clip": (0.0, 1.0), "boost": (1.0, np.inf), "line": (0.0, np.inf)}[config.rate_rule]
    yield "low", np.where(acts, low, 1.0)
    yield "high", np.where(acts, high, 1.0)
