"""The network in the page is that of the package: forward, gradients, statistics, optimizers, recorder."""

import base64
import functools
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_explorer_module import node

from resnet_dynamics import directions, theory
from resnet_dynamics.arms import SEPARATE
from resnet_dynamics.models import ResNet9, conv_layers, symmetries
from resnet_dynamics.optim import LARS, SGD
from resnet_dynamics.recorder import Recorder

STEPS, BATCH = 50, 16
SETTING = dict(lr=0.05, weight_decay=0.02, momentum=0.0, optimizer="sgd", init_scale=1.0, no_norm=None,
               rest_lr_scale=0.5, rest_weight_decay_scale=0.25, rest_lr=0.03, rest_weight_decay=0.01, rest_momentum=0.5,
               eps=1e-5)  # fmt: skip
OPTIMIZERS = {
    "sgd": {},
    "heavy-ball": dict(optimizer="heavy-ball", momentum=0.9, lr=0.01),
    "nesterov": dict(optimizer="nesterov", momentum=0.9, lr=0.005),
    "lars": dict(optimizer="lars"),
    "lars with momentum": dict(optimizer="lars", momentum=0.9),
    "layer1 without batch norm": dict(no_norm="layer1"),
    "LARS, layer1 without batch norm": dict(optimizer="lars", no_norm="layer1"),
    "sgdw": dict(optimizer="sgdw", momentum=0.9, lr=0.002, weight_decay=0.1),
    "adam": dict(optimizer="adam", momentum=0.9, lr=0.001, weight_decay=0.01),
    "adamw": dict(optimizer="adamw", momentum=0.9, lr=7e-4, weight_decay=1.0),
    "lion": dict(optimizer="lion", momentum=0.9, lr=2.5e-4, weight_decay=5.0),
    "muon": dict(optimizer="muon", momentum=0.95, lr=7e-4, weight_decay=0.5),
    "AdamW, layer1 without batch norm": dict(optimizer="adamw", momentum=0.9, lr=7e-4, no_norm="layer1"),
}
MAKE = {"sgdw": directions.SGDW, "adam": functools.partial(directions.Adam, decoupled=False),
        "adamw": directions.Adam, "lion": directions.Lion, "muon": directions.Muon}  # fmt: skip


def unpacked(text, *shape):
    return torch.from_numpy(np.frombuffer(base64.b64decode(text)).reshape(shape or -1).copy())


def in_node(tmp_path, kernels, **changes):
    setting = SETTING | changes
    file = tmp_path / "numbers.json"
    arguments = json.dumps(setting | dict(kernels=kernels, steps=STEPS, batch=BATCH))
    status, output = node("tests/explorer/agreement.mjs", arguments, str(file))
    assert status == 0, output
    return setting, json.loads(file.read_text())


class Torch:
    """The same network of the package, with the weights that node began with."""

    def __init__(self, setting, out, dtype):
        self.model = ResNet9("resnet9", 4, no_norm=setting["no_norm"]).to(dtype).train()
        self.convs = conv_layers(self.model)
        self.norms = [self.model.get_submodule(path) for path in self._paths()]
        self.copy(out["start"])
        self.optimizers = self._optimizers(setting)
        self.recorder = Recorder(self.convs, self.optimizers, STEPS)

    def _paths(self):
        for name in self.convs:
            path = name + (".first" if name in ("layer1", "layer2", "layer3") else "")
            yield path

    def parts(self, of=lambda weight: weight):
        """What node keeps in two arrays, convolutions and the rest, of each weight; NaN where no batch norm is."""
        convs = torch.cat([of(w).flatten() for w in self.convs.values()])
        rest = []
        for block in self.norms:
            if hasattr(block, "norm"):
                rest += [of(block.norm.weight), of(block.norm.bias)]
            else:
                rest += [torch.full((block.conv.out_channels,), torch.nan)] * 2
        return convs, torch.cat([*rest, of(self.model.linear.weight).flatten()])

    @torch.no_grad()
    def copy(self, start):
        convs, rest = unpacked(start["convs"]), unpacked(start["rest"])
        for w in self.convs.values():
            w.copy_(convs[: w.numel()].view_as(w))
            convs = convs[w.numel() :]
        for block in self.norms:
            n = block.conv.out_channels
            if hasattr(block, "norm"):
                block.norm.weight.copy_(rest[:n])
                block.norm.bias.copy_(rest[n : 2 * n])
            rest = rest[2 * n :]
        self.model.linear.weight.copy_(rest.view_as(self.model.linear.weight))

    def _optimizers(self, s):
        """Convolutions with α, the rest with its own rates; LARS for those that a batch norm follows."""
        lr, alpha, rho, nesterov = s["lr"], s["weight_decay"], s["momentum"], s["optimizer"] == "nesterov"
        invariant = {p for group in symmetries(self.model) if group.per_filter for p in group.parameters}
        named = dict(self.model.named_parameters())
        convs = list(self.convs.values())
        rest = [w for w in named.values() if not any(w is conv for conv in convs)]
        normed = [w for name, w in named.items() if name in invariant]
        bare = [w for w in convs if not any(w is one for one in normed)]
        if s["optimizer"] in SEPARATE:
            of_rest = (s[f"rest_{name}"] for name in ("lr", "momentum", "weight_decay"))
            return [MAKE[s["optimizer"]](normed, lr, rho, alpha), SGD([*rest, *bare], *of_rest)]
        rest = dict(params=rest, lr=lr * s["rest_lr_scale"], weight_decay=alpha * s["rest_weight_decay_scale"])
        if s["optimizer"] != "lars":
            return [SGD([dict(params=convs, weight_decay=alpha), rest], lr, rho, nesterov=nesterov)]
        own = float(theory.lars_rate(lr, alpha, rho))
        groups = [rest, *([dict(params=bare, weight_decay=alpha)] if bare else [])]
        return [LARS(normed, own, rho), SGD(groups, lr, rho)]

    def backward(self, x, y):
        logits = self.model(x)
        loss = F.cross_entropy(logits, y)
        self.model.zero_grad()
        loss.backward()
        return logits.detach(), loss.detach()

    def step(self, t, x, y):
        _, loss = self.backward(x, y)
        self.recorder.before()
        for optimizer in self.optimizers:
            optimizer.step()
        self.recorder.after(t, loss, 0.0)
        return float(loss)


def batch(out, t, dtype):
    """Images and labels of step t: [3, 16, 16, N] → [N, 3, 16, 16]."""
    images = unpacked(out["images"][t], 3, 16, 16, BATCH)
    return images.permute(3, 0, 1, 2).to(dtype).contiguous(), torch.tensor(out["labels"][t])


def distance(a, b):
    """The largest difference, relative to the largest number."""
    a, b = a.double(), b.double()
    there = ~torch.isnan(b)
    return float((a - b)[there].abs().max() / b[there].abs().max())


@pytest.mark.parametrize("no_norm", [None, "layer1"])
@pytest.mark.parametrize(("kernels", "tolerance"), [("wide", 1e-12), ("plain", 1e-5), ("simd", 1e-5)])
def test_forward_gradients_and_statistics_are_those_of_torch(tmp_path, kernels, tolerance, no_norm):
    """Against float64 in torch, whatever the kernels are in."""
    setting, out = in_node(tmp_path, kernels, no_norm=no_norm)
    same = Torch(setting, out, torch.float64)
    logits, _ = same.backward(*batch(out, 0, torch.float64))
    assert distance(unpacked(out["first"]["logits"], 10, BATCH).T, logits) < tolerance
    for name, expected in zip(("convs", "rest"), same.parts(lambda weight: weight.grad)):
        assert distance(unpacked(out["first"][name]), expected) < tolerance
    for (mean, variance), block in zip(out["running"], same.norms):
        if hasattr(block, "norm"):
            assert distance(unpacked(mean), block.norm.running_mean) < tolerance
            assert distance(unpacked(variance), block.norm.running_var) < tolerance
    with torch.no_grad():
        tested = same.model.eval()(batch(out, 0, torch.float64)[0])
    assert distance(unpacked(out["tested"], 10, BATCH).T, tested) < tolerance


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("kernels", "first", "last"), [("wide", 1e-12, 1e-9), ("simd", 1e-5, 2e-5)])
def test_fifty_steps_are_those_of_torch(tmp_path, optimizer, kernels, first, last):
    """Loss, weights and all products, against float64 in torch.

    Where rounding decides which of four pixels is the largest, a gradient goes elsewhere, and float32 is 1e-3 from
    float64 a few steps later, in torch as well. In these runs this does not happen.
    """
    setting, out = in_node(tmp_path, kernels, **OPTIMIZERS[optimizer])
    same = Torch(setting, out, torch.float64)
    loss = [same.step(t, *batch(out, t, torch.float64)) for t in range(STEPS)]
    assert loss[0] == pytest.approx(out["loss"][0], rel=first)
    assert loss == pytest.approx(out["loss"], rel=last)
    for name, expected in zip(("convs", "rest"), same.parts(lambda weight: weight.detach())):
        assert distance(unpacked(out["end"][name]), expected) < last

    theirs = same.recorder.products.double().numpy()  # [T, L, 15]; of float32 copies
    ours = np.stack([unpacked(p, 8, 15).numpy() for p in out["products"]])
    squares = theirs[..., [0, 5, 9, 12, 14]]  # w, g, v_prev, v, u
    i, j = np.triu_indices(5)
    sizes = np.sqrt(squares[..., i] * squares[..., j])
    off = np.abs(ours - theirs) / np.where(sizes > 0, sizes, 1)
    assert off.max() < (2e-4 if setting["optimizer"] in SEPARATE else 2e-5)  # u is a small difference of weights
