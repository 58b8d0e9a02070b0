"""Networks have the size they should, and are scale invariant where `symmetries` says so, in float64."""

from collections import Counter

import pytest
import small  # noqa: F401  one thread
import torch
import torch.nn.functional as F
import torchvision

from resnet_dynamics import Config
from resnet_dynamics.config import model_convs
from resnet_dynamics.fields import conv_shapes
from resnet_dynamics.models import build, conv_layers, symmetries

RELATIVES = ["backbone", "backbone+res2", "resnet9+extra1+extra3", "resnet9+res2+extra2"]
NO_NORM = [(model, conv) for model in ("resnet9", "backbone", "resnet9+extra1+extra3") for conv in model_convs(model)]
OTHER_NORMS = [("resnet9", no_norm, kind) for kind in ("instance", "group", "layer") for no_norm in (None, "layer2")]
NETWORKS = [("resnet9", None), ("resnet18", None), ("vgg11", None), *((model, None) for model in RELATIVES), *NO_NORM]


def network_and_loss(model, no_norm=None, normalization="batch"):
    """A network in float64 in train mode, with ε ≈ 0 in its norms, β that are not all 0 and a batch for it."""
    config = Config(model=model, no_norm=no_norm, normalization=normalization, width=4)
    network = build(config).double().train()
    random = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.GroupNorm)):
            module.eps = 1e-30
            for p in (module.weight, module.bias):
                p.data += 0.3 * torch.randn(p.shape, generator=random, dtype=p.dtype)
    size = {"vgg11": 32}.get(model, 8 if normalization == "batch" else 16)  # that halves the image five times
    x = torch.randn(8, 3, size, size, generator=random, dtype=torch.float64)
    return network, lambda: F.cross_entropy(network(x), torch.arange(8))


@pytest.mark.parametrize("width, parameters", [(64, 6_573_120), (16, 412_944)])
def test_parameters_of_resnet9(width, parameters):
    network = build(Config(width=width))
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_layers_are_those_of_the_configuration():
    for model in ["resnet9", *RELATIVES]:
        assert list(conv_layers(build(Config(model=model, width=4)))) == model_convs(model)
    weights = conv_layers(build(Config(width=4)))
    assert [tuple(w.shape[:2]) for w in weights.values()] == [
        (4, 3), (8, 4), (8, 8), (8, 8), (16, 8), (32, 16), (32, 32), (32, 32)]  # fmt: skip
    assert len(conv_layers(build(Config(model="resnet18")))) == 20
    assert len(conv_layers(build(Config(model="vgg11", width=4)))) == 8


@pytest.mark.parametrize("model", ["resnet9", *RELATIVES, "resnet18", "vgg11"])
def test_the_shapes_of_its_convolutions_are_known_without_the_network(model):
    layers = conv_layers(build(Config(model=model, width=4)))
    assert conv_shapes(model, 4) == {name: tuple(w.flatten(1).shape) for name, w in layers.items()}


@pytest.mark.parametrize("model, original", [("resnet18", "resnet18"), ("vgg11", "vgg11_bn")])
def test_the_foreign_networks_are_torchvisions_but_for_stem_and_head(model, original):
    theirs = conv_layers(torchvision.models.get_model(original, num_classes=10))
    ours, narrow = (conv_layers(build(Config(model=model, width=width))) for width in (64, 16))
    assert list(ours) == list(theirs)
    for name, w in theirs.items():
        if name != "conv1":
            assert ours[name].shape == w.shape
            torch.testing.assert_close(ours[name].std(), w.std(), rtol=0.05, atol=0)
        assert len(narrow[name]) == len(w) // 4


def test_the_seed_makes_the_weights_and_nothing_else_does():
    before = torch.get_rng_state()
    a, b, c = (build(Config(width=4, seed=seed)).state_dict() for seed in (1, 1, 2))
    assert torch.get_rng_state().equal(before)
    assert all(a[name].equal(b[name]) for name in a)
    assert not a["prep.conv.weight"].equal(c["prep.conv.weight"])


def test_init_scale_is_of_the_convolutions():
    one, three = (build(Config(width=4, init_scale=s)) for s in (1, 3))
    for name, w in conv_layers(one).items():
        assert conv_layers(three)[name].equal(3 * w)
    assert three.linear.weight.equal(one.linear.weight)


@pytest.mark.parametrize("given", [*NETWORKS, *OTHER_NORMS])
def test_symmetries(given):
    """What is listed as invariant is, to rounding; what is listed as not, is visibly not; nothing is left out."""
    network, loss = network_and_loss(*given)
    parameters = dict(network.named_parameters())
    groups = symmetries(network)
    assert Counter(name for group in groups for name in group.parameters) == Counter(parameters.keys())

    before = loss()
    before.backward()
    for group in groups:
        members = [parameters[name] for name in group.parameters]
        products = [(p.detach(), p.grad) for p in members]
        inner = sum((w * g).sum() for w, g in products).item()
        size = sum(w.square().sum() for w, _ in products).sqrt() * sum(g.square().sum() for _, g in products).sqrt()
        changes = []
        for r in (0.5, 3.0):
            with torch.no_grad():
                for p in members:
                    p.mul_(r)
                changes.append(abs(loss() / before - 1).item())
                for p in members:
                    p.div_(r)
        if group.invariant:
            assert abs(inner) <= 1e-12 * size, group
            assert max(changes) <= 1e-12, group
        else:
            assert abs(inner) > 1e-4 * size, group
            assert min(changes) > 1e-4, group
        if group.per_filter:
            (w, g), = products
            inner = (w * g).flatten(1).sum(1)
            assert (inner.abs() <= 1e-12 * w.flatten(1).norm(dim=1) * g.flatten(1).norm(dim=1)).all(), group


def test_the_groups_of_resnet9():
    groups = symmetries(build(Config(width=4)))
    invariant = [group.name for group in groups if group.invariant]
    assert invariant == [*model_convs("resnet9"), "prep (γ, β)", "layer1.res1 (γ, β)",
                         "layer1 (γ, β) ∪ layer1.res2 (γ, β)", "layer2 (γ, β)", "layer3.res1 (γ, β)"]  # fmt: skip
    assert [group.name for group in groups if not group.invariant] == [
        "layer3 (γ, β) ∪ layer3.res2 (γ, β)", "linear"]  # fmt: skip


def test_a_gain_without_its_offset_is_not_invariant():
    network, loss = network_and_loss("resnet9")
    before = loss().item()
    with torch.no_grad():
        network.prep.norm.weight.mul_(3.0)
    assert abs(loss().item() / before - 1) > 1e-3


def test_invariant_only_in_train_mode():
    network, loss = network_and_loss("resnet9")
    network.eval()
    before = loss().item()
    with torch.no_grad():
        network.layer2.first.conv.weight.mul_(3.0)
    assert abs(loss().item() / before - 1) > 1e-5  # 1e-16 in train mode


def test_epsilon_breaks_the_symmetry_as_predicted():
    """w_c·g_c = γ_c (∂L/∂γ_c) ε/(σ_c² + ε) for every filter, with σ² the variance of the filter's output."""
    network, loss = network_and_loss("resnet9")
    conv, norm = network.layer2.first.conv, network.layer2.first.norm
    norm.eps, outputs = 0.1, []
    hook = conv.register_forward_hook(lambda module, inputs, output: outputs.append(output.detach()))
    loss().backward()
    hook.remove()
    variance = outputs[0].var((0, 2, 3), correction=0)
    inner = (conv.weight * conv.weight.grad).flatten(1).sum(1)
    torch.testing.assert_close(inner, norm.weight * norm.weight.grad * norm.eps / (variance + norm.eps))


def test_rescaling_the_weights_divides_the_gradient():
    network, loss = network_and_loss("resnet9")
    w = network.layer3.res1.conv.weight
    loss().backward()
    before = w.grad.clone()
    network.zero_grad()
    with torch.no_grad():
        w.mul_(4.0)
    loss().backward()
    torch.testing.assert_close(w.grad, before / 4, rtol=1e-10, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_relu_and_max_pool_commute_bit_for_bit(dtype):
    """In value and in gradient, where all of a window is negative, is tied, or is no number, too."""
    random = torch.Generator().manual_seed(0)
    x = (2 * torch.randn(4, 8, 16, 16, generator=random)).round().to(dtype)  # round: ties
    x[0, 0, :2, :2], x[1, 1, 4, 4] = -0.0, torch.nan
    g = torch.randn(4, 8, 8, 8, generator=random).to(dtype)
    found = []
    for parts in ((F.relu, lambda x: F.max_pool2d(x, 2)), (lambda x: F.max_pool2d(x, 2), F.relu)):
        leaf = x.clone().to(memory_format=torch.channels_last).requires_grad_()
        out = parts[1](parts[0](leaf))
        out.backward(g)
        found.append((out.detach(), leaf.grad))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    assert found[0][0].isnan().sum() == 1


def test_in_a_stage_the_pool_comes_before_the_relu():
    stage = build(Config(width=4)).layer1
    assert [name for name, _ in stage.first.named_children()] == ["conv", "norm", "pool", "relu"]


@pytest.mark.parametrize("kind, parts", [("batch", 8), ("instance", 8), ("group", 4), ("layer", 1)])
def test_whose_scale_a_norm_divides_out(kind, parts):
    """Of layer1 with 8 filters: w·g is zero for as many parts of it, and for no smaller ones."""
    network, loss = network_and_loss("resnet9", normalization=kind)
    loss().backward()
    w = conv_layers(network)["layer1"]
    products = (w.detach() * w.grad).flatten(1).sum(1).view(parts, -1)
    size = w.detach().norm() * w.grad.norm()
    assert (products.sum(1).abs() <= 1e-12 * size).all()
    assert parts == 8 or (products.abs().max(1).values > 1e-5 * size).all()
