"""Scale invariance by a test of the loss: what the wiring says, for networks whose wiring is known, and statements of
their own for others."""

from types import SimpleNamespace

import pytest
import small
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import resnet_dynamics as rd
from resnet_dynamics.invariance import EPS, SAME, plain_name, unwrapped
from resnet_dynamics.models import build, resnet18, symmetries


@pytest.fixture(autouse=True)
def process():
    """The generator that all share is left as it was; it is seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(classes=3, n=6):
    x, y = torch.randn(n, 3, 16, 16), torch.arange(n) % classes
    return lambda net: F.cross_entropy(net(x), y)


def rows(k=6, classes=3, n=24):
    x, y = torch.randn(n, k), torch.arange(n) % classes
    return lambda net: F.cross_entropy(net(x), y)


def verdicts(model, loss_of, groups=(), **settings):
    return {one.name: one.invariant for one in rd.invariant_parameters(model, loss_of, groups, **settings)}


@pytest.mark.parametrize("make", [
    lambda: build(small.config(), 3), lambda: build(small.config(no_norm="layer1.res1"), 3),
    lambda: build(small.config(no_norm="layer3.res2"), 3), lambda: resnet18(4, 3)])  # fmt: skip
def test_it_says_what_the_wiring_says(make):
    """Of every group, and of every filter."""
    model = make()
    rules = symmetries(model)
    found = {one.parameters: one for one in rd.invariant_parameters(model, images(), [r.parameters for r in rules])}
    for rule in rules:
        one = found[rule.parameters]
        assert (one.invariant, one.per_filter or len(rule.parameters) > 1) == (rule.invariant, rule.per_filter or (
            len(rule.parameters) > 1)), rule  # fmt: skip
        assert one.change <= SAME if rule.invariant else one.change > 1e-6
    assert {name for name, _ in model.named_parameters()} == {p[0] for p in found if len(p) == 1}


class Block(nn.Module):
    """A layer of a transformer, with its norms before the branches; and, if asked for, on queries and keys."""

    def __init__(self, width, qk_norm, norm):
        super().__init__()
        self.qk = norm(width) if qk_norm else nn.Identity()
        self.norms = nn.ModuleList([norm(width), norm(width)])
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(width, 2 * width, bias=False), nn.Linear(2 * width, width, bias=False)

    def forward(self, x):
        h = self.norms[0](x)
        x = x + self.o(F.scaled_dot_product_attention(self.qk(self.q(h)), self.qk(self.k(h)), self.v(h)))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


class Transformer(nn.Module):
    def __init__(self, qk_norm=False, norm=nn.RMSNorm, width=8, tokens=7):
        super().__init__()
        self.token, self.place = nn.Embedding(tokens, width), nn.Parameter(torch.randn(5, width))
        self.blocks = nn.Sequential(*[Block(width, qk_norm, norm) for _ in range(2)])
        self.norm, self.head = norm(width), nn.Linear(width, tokens)

    def forward(self, ids):
        return self.head(self.norm(self.blocks(self.token(ids) + self.place)))


def text(tokens=7):
    ids = torch.randint(tokens, (4, 6))
    return lambda net: F.cross_entropy(net(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


WRITERS = ["token", "place", *(f"blocks.{i}.{name}" for i in (0, 1) for name in ("o", "down"))]


@pytest.mark.parametrize("norm", [nn.RMSNorm, nn.LayerNorm])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_of_a_transformer_all_writers_of_the_stream_are_invariant_together(norm, qk_norm):
    """And none alone; with norms of queries and keys, these two are, each."""
    found = verdicts(Transformer(qk_norm, norm), text(), [WRITERS, WRITERS[1:]])
    alone = {f"blocks.{i}.{name}" for i in (0, 1) for name in "qk"} if qk_norm else set()
    assert {name for name, yes in found.items() if yes} == alone | {" ∪ ".join(WRITERS)}


def test_a_start_that_hides_the_network_does_not_deceive():
    """A last layer of zeros, as vision transformers have, and biases of zeros before a norm."""
    model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))
    nn.init.zeros_(model[0].bias), nn.init.zeros_(model[2].weight)
    found = verdicts(model, rows())
    assert not found["0"] and found["0 (weight, bias)"] and not found["2"]


def test_what_the_loss_does_not_see_is_said():
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model.unused = nn.Linear(2, 2)
    loss = rows()
    why = {one.name: one.why for one in rd.invariant_parameters(model, lambda net: loss(nn.Sequential(*net[:3])))}
    blind = {name for name, said in why.items() if said == "the loss does not depend on it"}
    assert blind == {"0.bias", "unused", "unused.bias"}


def test_weights_that_are_given_as_a_direction():
    """weight_norm: w = g v/|v|, so that v is invariant, each of its rows, and g is not."""
    found = rd.invariant_parameters(weight_norm(nn.Linear(6, 3)), rows())
    (v,) = [one for one in found if one.parameters == ("parametrizations.weight.original1",)]
    assert v.invariant and v.per_filter and [one.name for one in found if one.invariant] == [v.name]


def test_a_weight_that_is_used_twice_is_one():
    """As a convolution with a norm, and without: then it is not invariant."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.norm, self.out = nn.Linear(6, 6, bias=False), nn.BatchNorm1d(6), nn.Linear(6, 3)
            self.again = self.w

        def forward(self, x, bare=False):
            x = self.norm(self.w(x))
            return self.out(self.again(x) if bare else self.norm(self.again(x)))

    x, y = torch.randn(24, 6), torch.arange(24) % 3
    for bare in (False, True):
        found = verdicts(Twice(), lambda net, bare=bare: F.cross_entropy(net(x, bare), y))
        assert found["w"] is not bare and "again" not in found


def dictionary(net, loss):
    return {"loss": loss(net), "logits": None}


def amp(net, loss):
    with torch.autocast("cpu", torch.bfloat16):
        return loss(net)


@pytest.mark.parametrize("of", [dictionary, amp, lambda net, loss: SimpleNamespace(loss=loss(net))])
def test_whatever_the_loss_is_part_of(of):
    """A dictionary or an object; under autocast, which leaves float64 alone; with dropout that draws."""
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    loss = rows()
    found = {one.name: one.change for one in rd.invariant_parameters(model, lambda net: of(net, loss))}
    assert found["0"] <= 1e-14 and found["3"] > 1e-3


def test_the_norms_own_epsilon_is_seen_if_asked_for():
    """An output whose variance is that of ε is half blind to its scale."""
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8, eps=0.3), nn.Linear(8, 3))
    loss = rows()
    assert verdicts(model, loss)["0"] and not verdicts(model, loss, eps=None)["0"]
    assert model[1].eps == 0.3 > EPS


def test_batch_norm_that_is_frozen_divides_nothing_out():
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.Linear(8, 3))
    loss = rows()
    assert verdicts(model.eval(), loss)["0"]  # which is tested in train mode
    model.train()[1].eval()
    assert not verdicts(model, loss)["0"]


def test_the_model_is_left_as_it_is():
    model = build(small.config(), 3).requires_grad_(False)
    loss, was = images(), {name: x.clone() for name, x in model.state_dict().items()}
    random = torch.get_rng_state()
    rd.invariant_parameters(model.eval(), loss)
    assert all(x.equal(was[name]) for name, x in model.state_dict().items()) and torch.get_rng_state().equal(random)
    assert not model.training and all(p.grad is None and not p.requires_grad for p in model.parameters())


def test_what_cannot_be_tested_is_named():
    model, x = nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 3)), torch.randn(4, 6)
    with pytest.raises(ValueError, match=r"^loss_of: must return a loss, .* it returned a tensor of shape \(4, 3\)$"):
        rd.invariant_parameters(model, lambda net: net(x))
    with pytest.raises(ValueError, match=r"^loss_of: must return a loss, one finite number; it returned tensor\(inf"):
        rd.invariant_parameters(model, lambda net: net(x).sum() * torch.inf)
    batches = iter(torch.randn(3, 4, 6))
    with pytest.raises(ValueError, match="^loss_of: must be the same each time, of one batch; it was"):
        rd.invariant_parameters(model, lambda net: net(next(batches)).square().mean())
    with pytest.raises(ValueError, match="^no parameter 5 in this network: it has 0, 0.bias, 1, 1.bias$"):
        rd.invariant_parameters(model, rows(), [["0", "5"]])
    with pytest.raises(ValueError, match="^model: must have all its parameters: run a batch through a lazy network"):
        rd.invariant_parameters(nn.LazyLinear(3), rows())
    with pytest.raises(ValueError, match="^model on meta: must be on a CPU or CUDA device, where float64 is$"):
        rd.invariant_parameters(model.to("meta"), rows())


def test_names_without_what_wrappers_add():
    inner = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    outer = nn.DataParallel(torch.compile(nn.DataParallel(inner), backend="eager"))
    assert unwrapped(outer) is inner and unwrapped(inner) is inner
    own = nn.Module()
    own.module = nn.Linear(2, 2)
    own.weight = nn.Parameter(torch.ones(2))
    assert unwrapped(own) is own  # it has parameters of its own
    assert plain_name("a._orig_mod.b.weight") == "a.b" and plain_name("weight") == "weight"
