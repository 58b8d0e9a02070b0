"""How long the weights are at the start, where they are not as torch draws them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .arms import OWN
from .config import Config
from .models import conv_layers, normalized

__all__ = ["PROBED", "settle"]

PROBED = 20  # batches


def settle(model, data, config: Config) -> None:
    """Give every normalized convolution the length at which growth and decay balance when λ is highest.

        |w|⁴ = λc²/(2α(1−ρ)),  c² = mean of |g|²|w|² over the first 20 batches

    with the λ, α and ρ of the layer. c does not depend on |w|, so it is found with the weights as they were drawn.
    Nothing else is changed: not the statistics of batch norm, and not the batches that follow.
    """
    of = {p: name for name, p in model.named_parameters()}
    invariant = normalized(model)
    layers = {layer: w for layer, w in conv_layers(model).items() if of[w] in invariant}
    weights = [*layers.values()]
    before = {name: value.clone() for name, value in model.named_buffers()}
    squares, batches = torch.zeros(len(weights)), data.first(PROBED)
    model.train()
    for x, y in batches:
        model.zero_grad()
        F.cross_entropy(model(x).float(), y).backward()
        squares += torch.stack([(w.grad.norm() * w.detach().norm()).square().cpu() for w in weights]) / len(batches)
    model.zero_grad()
    with torch.no_grad():
        for name, value in model.named_buffers():
            value.copy_(before[name])
        for (layer, w), c2 in zip(layers.items(), squares.tolist()):
            lr, weight_decay, momentum = (config.of_layer(layer, field) for field in OWN)
            length = (lr * c2 / (2 * weight_decay * (1 - momentum))) ** 0.25
            w.mul_(length / w.norm())
