"""A small transformer: what its wiring says of scales is what its loss and its gradients say, in float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F

import resnet_dynamics as rd
from resnet_dynamics.models import symmetries
from resnet_dynamics.transformer import build

OPTIONS = [dict(zip(("qk_norm", "branch_norm", "activation", "norm"), values)) for values in itertools.product(
    (False, True), (False, True), ("gelu", "relu"), ("rms", "layer"))]  # fmt: skip
CHARACTERS = 7
VARIANTS = pytest.mark.parametrize("options", OPTIONS, ids=lambda o: " ".join(map(str, o.values())))


def small(**options):
    """In float64, ε as good as 0, at a point of no symmetry of its own."""
    model = build(CHARACTERS, context=6, width=8, heads=2, **options).double()
    random = torch.Generator().manual_seed(0)
    for module in model.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-30
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1 + 0.3 * torch.randn(p.shape, generator=random, dtype=p.dtype))
            p.mul_(10 if p.shape[0] in (6, CHARACTERS) else 1)  # embeddings and head are small at the start
    return model


def loss_of(model):
    text = torch.randint(CHARACTERS, (4, 7), generator=torch.Generator().manual_seed(1))
    return F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())


def gradients(model):
    """Return w and g of every parameter, and the loss."""
    loss = loss_of(model)
    loss.backward()
    return {name: (p.detach(), p.grad) for name, p in model.named_parameters()}, loss.item()


def inner(found, names):
    return sum((found[name][0] * found[name][1]).sum() for name in names).item()


def size(found, names):
    return sum(found[name][0].norm() * found[name][1].norm() for name in names).item()


@torch.no_grad()
def scaled(model, factors):
    """The loss with parameters multiplied: name → factor."""
    parameters = dict(model.named_parameters())
    for name, factor in factors.items():
        parameters[name].mul_(factor)
    return loss_of(model).item()


@VARIANTS
def test_the_wiring_says_of_every_parameter_what_a_test_of_the_loss_says(options):
    model = small(**options)
    rules = symmetries(model)
    tested = rd.invariant_parameters(model, loss_of, [rules[-1].parameters])
    found = {one.parameters: one.invariant for one in tested}
    assert {rule.parameters: rule.invariant for rule in rules} == {
        names: found[names] for names in found if len(names) == 1 or names == rules[-1].parameters}
    assert {name for name, _ in model.named_parameters()} == {rule.parameters[0] for rule in rules[:-1]}


@VARIANTS
def test_the_gradient_is_orthogonal_to_what_is_invariant(options):
    """And the loss the same, for any factor. Of what is not invariant w·g is seen."""
    found, loss = gradients(small(**options))
    for rule in symmetries(small(**options)):
        cosine = inner(found, rule.parameters) / size(found, rule.parameters)
        moved = scaled(small(**options), dict.fromkeys(rule.parameters, 3.7)) / loss - 1
        if rule.invariant:
            assert abs(cosine) < 1e-12 and abs(moved) < 1e-12, rule
        else:
            assert abs(cosine) > 1e-6 and abs(moved) > 1e-6, rule


@VARIANTS
def test_of_a_rescaling_the_loss_sees_the_product_alone(options):
    found, loss = gradients(small(**options))
    for pair in small(**options).rescalings():
        factors = dict.fromkeys(pair.times, 3.7) | dict.fromkeys(pair.over, 1 / 3.7)
        assert abs(scaled(small(**options), factors) / loss - 1) < 1e-12, pair
        apart = inner(found, pair.times) - inner(found, pair.over)
        assert abs(apart) < 1e-12 * (size(found, pair.times) + size(found, pair.over)), pair


def test_up_and_down_are_no_pair_with_gelu():
    for activation, holds in (("gelu", False), ("relu", True)):
        model = small(activation=activation)
        pair = ("blocks.0.up.weight", "blocks.0.down.weight")
        assert (pair in [(*one.times, *one.over) for one in model.rescalings()]) is holds
        found, _ = gradients(model)
        assert (abs(inner(found, pair[:1]) - inner(found, pair[1:])) < 1e-12 * size(found, pair)) is holds


def test_values_and_outputs_of_a_head_share_more_than_a_factor():
    """v → Av, o → oA⁻¹ for any A in a head. Hence VGᵥᵀ = GₒᵀO, a matrix; of queries and keys QG_qᵀ = G_kKᵀ."""
    found, _ = gradients(small())
    (v, g_v), (o, g_o), (q, g_q), (k, g_k) = (found[f"blocks.0.{name}.weight"] for name in "voqk")
    for head in (slice(0, 4), slice(4, 8)):
        torch.testing.assert_close(v[head] @ g_v[head].T, g_o[:, head].T @ o[:, head], rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(q[head] @ g_q[head].T, g_k[head] @ k[head].T, rtol=1e-12, atol=1e-15)


def test_no_character_sees_a_later_one():
    model = small()
    text = torch.randint(CHARACTERS, (2, 6), generator=torch.Generator().manual_seed(2))
    other = text.clone()
    other[:, 4] = (other[:, 4] + 1) % CHARACTERS
    apart = (model(text) - model(other)).abs().amax((0, 2))
    assert apart[:4].max() == 0 and apart[4:].min() > 0


def test_weights_are_drawn_by_the_seed_alone():
    torch.manual_seed(0)
    one = build(CHARACTERS, seed=3)
    torch.manual_seed(1)
    two, three = build(CHARACTERS, seed=3), build(CHARACTERS, seed=4)
    assert all(a.equal(b) for a, b in zip(one.parameters(), two.parameters()))
    assert not one.head.weight.equal(three.head.weight)
    assert sum(p.numel() for p in one.parameters()) == 2 * CHARACTERS * 64 + 64 * 64 + 24 * 64**2 + 5 * 64
