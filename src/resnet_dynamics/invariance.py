"""Which parameters of any network are scale invariant: not by its wiring, but by a test of its loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable

import torch
from torch.utils._pytree import tree_map

from .models import Symmetry

__all__ = ["BLIND", "EPS", "NOISE", "SAME", "WRAPPERS", "invariant_parameters", "plain_name", "unwrapped"]

EPS = 1e-20  # the ε of all norms in the test: next to any variance none, and one of 0 is not divided by
SAME = 1e-9  # of the loss: a change that float64 rounds to at most; others are larger by far
BLIND = 1e-12  # of the loss: |g||w| of a parameter that it does not depend on is that of rounding
NOISE = 0.1  # of the size of each parameter
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_forward_module")
"""What torch, accelerate and DeepSpeed call a network that they wrap."""


def invariant_parameters(
    model: torch.nn.Module, loss_of: Callable, groups: Iterable[Iterable[str]] = (), *, eps: float | None = EPS
) -> list[Symmetry]:
    """Test of every parameter whether the training loss changes when it is doubled: |L(2w) − L(w)|/|L|.

        found = rd.invariant_parameters(model, lambda net: cross_entropy(net(x), y))
        print([one.name for one in found if one.invariant])

    Tested is a copy in float64. It is in train mode; of a model that is in train mode, each module is as it is there,
    so that a frozen batch norm stays frozen. The ε of all norms is as good as 0: with its own, a layer is invariant as
    far as the variance of its output is above ε, and eps=None shows how far. First each parameter is moved at random,
    by a tenth of its size, or by 0.1 if it is zero: what holds then does not rest on a special start, as biases of
    zero, or a last layer of zeros behind which nothing is seen. To double and to halve is exact, so what is invariant
    changes the loss by no more than some last digits.

    It is done to each parameter; to those of each module together, as weight and bias before a layer norm, if one of
    them is not invariant alone; and to `groups`. An invariant parameter of two dimensions or more is also tested for
    each filter by itself: its rows are doubled and halved in turn.

    Args:
        model: any network. It is left as it is. A weight that is used twice, or tied, is one parameter.
        loss_of: model → loss of one batch, always the same, a tensor or an output with .loss or ["loss"]. What modules
            are called with comes in float64. Dropout draws the same each time.
        eps: of all norms, an attribute eps, epsilon or variance_epsilon; None leaves them.
        groups: names of parameters that are scaled together, such as of all that write into a residual stream, with
            or without ".weight".

    Returns:
        As `models.symmetries`, with the change that was seen. Invariant is what changes the loss by less than 1e-9 of
        itself. A parameter on which the loss does not depend at all, as a bias before batch norm, is, too: see `why`.

    Raises:
        ValueError: the loss is not one finite number, or not the same each time; a group names what is not there; the
            network has parameters without a shape yet, or is on a device without float64.

    Cost: a copy of the network in float64, a backward pass, and a forward pass for each that is tested.
    """
    test = _Test(model, loss_of, eps)
    alone = [test.symmetry(name, [name]) for name in test.parameters]
    invariant = {one.parameters[0] for one in alone if one.invariant}
    modules = {path: [name for name in own if name in test.parameters] for path, own in _modules(test.net)}
    joint = [
        test.symmetry(f"{path} ({', '.join(name.rpartition('.')[2] for name in own)})".lstrip(), own)
        for path, own in modules.items()
        if len(own) > 1 and not invariant >= {*own}
    ]
    given = [test.symmetry(" ∪ ".join(map(plain_name, group)), test.named(group)) for group in map(list, groups)]
    return [*alone, *joint, *given]


class _Test:
    """A copy of a network at a generic point, and its loss there.

    Attributes:
        net: the copy.
        parameters: name → parameter, those of real numbers.
        blind: names of parameters on which the loss does not depend.
    """

    def __init__(self, model, loss_of, eps):
        self.net, self.loss_of = _generic(model, eps), loss_of
        self.parameters = {name: p for name, p in self.net.named_parameters() if p.is_floating_point()}
        loss = self.loss()
        loss.backward()
        self.at = loss.item()
        with torch.no_grad():
            if abs(self.loss().item() - self.at) > SAME * abs(self.at):
                raise ValueError(f"loss_of: must be the same each time, of one batch; it was {self.at:.9g}, then not")
            least = BLIND * abs(self.at)
            self.blind = {n for n, p in self.parameters.items() if p.grad is None or p.grad.norm() * p.norm() <= least}

    def loss(self):
        devices = {p.device for p in self.net.parameters() if p.device.type == "cuda"}
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(0)
            out = self.loss_of(self.net)
        out = out["loss"] if isinstance(out, dict) and "loss" in out else getattr(out, "loss", out)
        if not torch.is_tensor(out) or out.numel() != 1 or not out.isfinite():
            shown = f"a tensor of shape {tuple(out.shape)}" if torch.is_tensor(out) and out.numel() != 1 else repr(out)
            raise ValueError(f"loss_of: must return a loss, one finite number; it returned {shown}")
        return out.reshape(())

    def named(self, group):
        """The parameters that a group names."""
        names = {plain_name(name): name for name in self.parameters}
        if unknown := [name for name in group if plain_name(name) not in names]:
            raise ValueError(f"no parameter {', '.join(map(str, unknown))} in this network: it has {', '.join(names)}")
        return [names[plain_name(name)] for name in group]

    @torch.no_grad()
    def change(self, powers) -> float:
        """By how much of itself the loss changes if parameters are multiplied: name → powers of two."""
        for name, power in powers.items():
            self.parameters[name].mul_(2.0**power)
        there = self.loss().item()
        for name, power in powers.items():
            self.parameters[name].mul_(2.0**-power)
        return abs(there - self.at) / (max(abs(there), abs(self.at)) or 1.0)

    def symmetry(self, name, names) -> Symmetry:
        """What doubling these parameters together does."""
        change = self.change(dict.fromkeys(names, torch.ones(())))
        invariant, per_filter = change <= SAME, False
        if invariant and len(names) == 1 and (w := self.parameters[names[0]]).ndim > 1:
            power = 1.0 - 2 * (torch.arange(len(w), device=w.device) % 2)
            per_filter = self.change({names[0]: power.view(-1, *[1] * (w.ndim - 1))}) <= SAME
        why = f"doubled, it changes the loss by {change:.1g} of itself"
        if self.blind >= {*names}:
            why = "the loss does not depend on it"
        return Symmetry(plain_name(name), tuple(names), invariant, per_filter, why, change)


def _generic(model, eps):
    """A copy of the network in float64, with this ε, and moved a little."""
    model = unwrapped(model)
    parameters = list(model.parameters())
    if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in parameters):
        raise ValueError("model: must have all its parameters: run a batch through a lazy network first")
    if odd := {p.device.type for p in parameters} - {"cpu", "cuda"}:
        raise ValueError(f"model on {odd.pop()}: must be on a CPU or CUDA device, where float64 is")
    net = copy.deepcopy(model).double()
    if not model.training:
        net.train()
    random = torch.Generator().manual_seed(0)
    for module in net.modules():
        module.register_forward_pre_hook(_as_double, with_kwargs=True)
        for name in ("eps", "epsilon", "variance_epsilon"):
            if eps is not None and isinstance(getattr(module, name, None), float):
                setattr(module, name, eps)
    for p in net.parameters():
        if p.is_floating_point() and p.numel():
            size = p.detach().norm().item() / math.sqrt(p.numel()) or 1.0
            p.data += NOISE * size * torch.randn(p.shape, generator=random, dtype=p.dtype).to(p.device)
            p.requires_grad_(True).grad = None
    return net


def _as_double(module, args, kwargs):
    def cast(x):
        return x.double() if torch.is_tensor(x) and x.is_floating_point() else x

    return tree_map(cast, args), tree_map(cast, kwargs)


def _modules(net):
    """(path, names of its own parameters) of each module."""
    for path, module in net.named_modules():
        yield path, [f"{path}.{name}".lstrip(".") for name, _ in module.named_parameters(recurse=False)]


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """Return the network inside of wrappers, such as DataParallel or that of torch.compile."""
    children = dict(model.named_children())
    while len(children) == 1 and {*children} <= {*WRAPPERS} and not list(model.parameters(recurse=False)):
        (model,) = children.values()
        children = dict(model.named_children())
    return model


def plain_name(name: str) -> str:
    """Return the name of a parameter as that of its layer: without ".weight", and without torch.compile's part."""
    return str(name).replace("_orig_mod.", "").removesuffix(".weight")
