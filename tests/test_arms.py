"""Fields of a configuration for experiments: each does what it says, in closed form or against a slow loop."""

import functools
import json
import math

import numpy as np
import pytest
import small
import torch
import torch.nn.functional as F

from resnet_dynamics import Config, measure, page_data, run
from resnet_dynamics import train as loop
from resnet_dynamics.arms import REST, settings
from resnet_dynamics.data import Data, bad_batches
from resnet_dynamics.models import build, conv_layers, spread
from resnet_dynamics.optim import LARS, SGD, SmoothLARS, Steered
from resnet_dynamics.schedules import rates
from resnet_dynamics.steering import REPLAYED, learning_rates, make_optimizers
from resnet_dynamics.train import train

STEERED = dict(momentum=0.9, weight_decay=0.01)


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    small.use(monkeypatch)


def quietly(config, **given):
    return train(config, device="cpu", progress=False, **given)


def weights(seed=0):
    random = torch.Generator().manual_seed(seed)
    shapes = [(4, 3, 3), (6, 4), (7,)]
    return [torch.nn.Parameter(torch.randn(s, generator=random, dtype=torch.float64)) for s in shapes]


def gradients(params, t):
    """Some long and some short ones."""
    random = torch.Generator().manual_seed(100 + t)
    for n, p in enumerate(params):
        p.grad = 10.0 ** ((t + n) % 3 - 1) * torch.randn(p.shape, generator=random, dtype=p.dtype)


# ------------------------------------------------------------------------------------------------ optimizers
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_without_a_line_it_is_sgd_bit_for_bit(momentum):
    one, two = weights(), weights()
    a, b = (make(p, lr=0.1, momentum=momentum, weight_decay=0.01) for make, p in ((SGD, one), (Steered, two)))
    for t in range(5):
        gradients(one, t), gradients(two, t)
        a.step(), b.step()
    assert all(p.equal(q) for p, q in zip(one, two))


BOUNDS = {"clip": (0.0, 1.0), "boost": (1.0, math.inf), "line": (0.0, math.inf), "none": (1.0, 1.0)}


@pytest.mark.parametrize("rule", BOUNDS)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_gradients_are_brought_to_the_line(rule, momentum):
    """Against a loop in which each rule is written as it is said."""
    params = weights()
    w, v = [p.detach().clone() for p in params], [torch.zeros_like(p) for p in params]
    low, high = BOUNDS[rule]
    steered = Steered([dict(params=params, line=torch.tensor(2.0), low=torch.tensor(low), high=torch.tensor(high))],
                      lr=0.1, momentum=momentum, weight_decay=0.01)  # fmt: skip
    used = set()
    for t in range(6):
        gradients(params, t)
        steered.step()
        for p, w_, v_ in zip(params, w, v):
            g, longest = p.grad, 2.0 * w_.norm()
            too_long = g.norm() > longest
            used.add(bool(too_long))
            if rule == "line" or (rule == "clip" and too_long) or (rule == "boost" and not too_long):
                g = g / g.norm() * longest
            v_.mul_(momentum).add_(g + 0.01 * w_)
            w_.sub_(0.1 * v_)
    assert used == {True, False}
    for p, w_, v_ in zip(params, w, v):
        torch.testing.assert_close(p.detach(), w_, rtol=1e-6, atol=1e-9)  # the bounds are float32
        torch.testing.assert_close(steered.state[p]["momentum_buffer"], v_, rtol=1e-6, atol=1e-9)


def test_fixed_norms_are_kept_and_only_they():
    params = weights()
    first = [p.detach().clone() for p in params]
    w, v = [p.clone() for p in first], [torch.zeros_like(p) for p in first]
    steered = Steered(params, lr=0.1, momentum=0.9, fixed=True)
    for t in range(5):
        gradients(params, t)
        steered.step()
        for p, w_, v_, w0 in zip(params, w, v, first):
            v_.mul_(0.9).add_(p.grad)
            w_.sub_(0.1 * v_).mul_(w0.norm() / w_.norm())
    for p, w_, w0 in zip(params, w, first):
        torch.testing.assert_close(p.detach(), w_, rtol=1e-12, atol=1e-14)
        assert p.norm().item() == pytest.approx(w0.norm().item(), rel=1e-12)
        assert (p - w0).norm() > 0.1 * w0.norm()


@pytest.mark.parametrize("memory", [0.0, 0.9, 0.999])
def test_lars_with_a_memory(memory):
    """Each step is the mean over all steps so far, with falling weights, written out."""
    params = weights()
    w, v, sizes = [p.detach().clone() for p in params], [torch.zeros_like(p) for p in params], [[] for _ in params]
    lars = SmoothLARS(params, lr=0.1, momentum=0.5, memory=memory)
    for t in range(6):
        gradients(params, t)
        lars.step()
        for p, w_, v_, c in zip(params, w, v, sizes):
            c.append((p.grad.norm() * w_.norm()).item())
            weight = memory ** np.arange(len(c))[::-1]
            usual = np.sqrt((weight * np.square(c)).sum() / weight.sum())
            v_.mul_(0.5).add_(w_.norm() ** 2 / usual * p.grad)
            w_.sub_(0.1 * v_)
    for p, w_ in zip(params, w):
        torch.testing.assert_close(p.detach(), w_, rtol=1e-10, atol=1e-13)


def test_lars_without_a_memory_is_lars():
    one, two = weights(), weights()
    a, b = LARS(one, lr=0.1, momentum=0.9), SmoothLARS(two, lr=0.1, momentum=0.9)
    for t in range(4):
        gradients(one, t), gradients(two, t)
        a.step(), b.step()
    for p, q in zip(one, two):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)
    for bad in (1.0, -0.1):
        with pytest.raises(ValueError, match=rf"^memory={bad}: must be in \[0, 1\)$"):
            SmoothLARS(one, lr=0.1, memory=bad)
    with pytest.raises(ValueError, match="^per_filter=True: must be False with a memory$"):
        SmoothLARS(one, lr=0.1, per_filter=True, memory=0.9)


@pytest.mark.parametrize("make", [functools.partial(Steered, fixed=True), functools.partial(SmoothLARS, memory=0.9)])
def test_a_step_that_is_found_not_finite_is_left_out(make):
    (one, two), found = (weights(), weights()), torch.zeros(())
    a, b = make(one, lr=0.125, momentum=0.9), make(two, lr=torch.tensor(0.125), momentum=0.9)
    b.found_inf = found
    for t, bad in enumerate((True, False, True, False)):
        found.fill_(bad)
        gradients(one, t), gradients(two, t)
        if bad:
            for p in two:
                p.grad.mul_(torch.inf)
        b.step()
        if not bad:
            a.step()
    for p, q in zip(one, two):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=0)


# ------------------------------------------------------------------------------------------------ runs
@pytest.mark.parametrize("rule", ["clip", "boost", "line"])
def test_a_run_under_a_rule(rule):
    """Without momentum the length of each update says by what the gradient was multiplied."""
    alpha, given = 1e-3, dict(rate_rule=rule, rate_line=1.5, rate_from=1, rate_until=3)
    _, ds = quietly(small.config(epochs=4, lr=1.0, momentum=0.0, weight_decay=alpha, **given))
    lr = ds.lr.values[:, None]
    w2, g2, u2 = (ds[name].values.astype(float) for name in ("w2", "g2", "u2"))
    rate, line = lr * np.sqrt(g2 / w2), 1.5 * np.sqrt(2 * alpha * lr)
    wanted = {"clip": np.minimum(rate, line), "boost": np.maximum(rate, line), "line": 0 * rate + line}[rule]
    epoch = (np.arange(20)[:, None] + 0.5) / 5
    wanted = np.where((epoch > 1) & (epoch < 3), wanted, rate)
    moved = np.sqrt(u2 / w2 - (alpha * lr) ** 2)  # w · g = 0: what is left is λ m|g|/|w|
    np.testing.assert_allclose(moved, wanted, rtol=5e-3)
    assert 0 < (abs(moved / rate - 1) > 0.02).sum() < rate.size


def test_a_run_with_fixed_norms():
    _, ds = quietly(small.config(epochs=4, lr=2.0, weight_decay=0, norms="fixed"))
    np.testing.assert_allclose(ds.w2 / ds.w2[0], 1, rtol=1e-5)
    _, free = quietly(small.config(epochs=4, lr=2.0, weight_decay=0))
    assert (free.w2[-1] > 1.05 * free.w2[0]).any()
    with pytest.raises(ValueError, match="^growth of a run with norms='fixed': must be a run whose norms move freely"):
        measure.growth(ds)


def test_starts_of_different_length():
    wide, plain = small.config(init_spread=1.0, seed=3), small.config(seed=3)
    factors = spread(wide, 8)
    for w, w0, factor in zip(conv_layers(build(wide, 3)).values(), conv_layers(build(plain, 3)).values(), factors):
        torch.testing.assert_close(w, factor * w0)
    many = np.log2([spread(small.config(init_spread=2.0, seed=seed), 8) for seed in range(200)])
    assert abs(many.mean()) < 0.15 and many.std() == pytest.approx(2, rel=0.05)
    assert spread(plain, 8) == [1.0] * 8 and spread(wide, 8) == factors != spread(wide.replace(seed=4), 8)


def test_lars_is_blind_to_the_length_at_the_start(monkeypatch):
    monkeypatch.setattr(torch.nn, "BatchNorm2d", functools.partial(torch.nn.BatchNorm2d, eps=1e-30))
    monkeypatch.setattr(loop, "precision", lambda device: torch.float32)
    config = small.config(epochs=1, optimizer="lars", weight_decay=0.01)
    (_, one), (_, two) = (quietly(config.replace(init_spread=octaves)) for octaves in (0, 1))
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-3)
    assert (abs(two.w2.values[0] / one.w2.values[0] - 1) > 0.1).sum() > 4


def test_a_start_at_equilibrium():
    own = "layer1.lr=0.1, layer2.weight_decay=0.01, layer3.momentum=0.9"
    config = small.config(weight_decay=0.05, init_norms="equilibrium", momentum=0.5, lr=0.2, seed=5, layer_settings=own)
    plain = config.replace(init_norms="drawn")
    data, probe = Data(config), Data(config)
    model, reference = build(config, 3), build(plain, 3)
    loop.settle(model, data, config)
    c2, batches = torch.zeros(8), list(probe.epoch())
    for x, y in batches:  # an epoch has five, fewer than are asked for
        reference.zero_grad()
        F.cross_entropy(reference(x), y).backward()
        c2 += torch.stack([(w.grad.norm() * w.norm()) ** 2 for w in conv_layers(reference).values()]).detach() / 5
    times = {"layer1": 0.5, "layer2": 5, "layer3": 5}  # in λ/(α(1−ρ))
    for (layer, w), w0, c2_ in zip(conv_layers(model).items(), conv_layers(build(plain, 3)).values(), c2):
        fourth = 0.2 * c2_.item() / (2 * 0.05 * 0.5) * times.get(layer, 1)
        assert w.norm().item() ** 4 == pytest.approx(fourth, rel=1e-3)
        torch.testing.assert_close(w / w.norm(), w0 / w0.norm())
    others = {name: value for name, value in model.state_dict().items() if "conv" not in name}
    assert all(value.equal(build(plain, 3).state_dict()[name]) for name, value in others.items())  # statistics, too
    for (x, y), (x_, y_) in zip(data.epoch(), batches):
        assert x.equal(x_) and y.equal(y_)


def test_a_layer_without_an_equilibrium_cannot_start_at_it():
    for place in ("prep.lr", "prep.weight_decay"):
        with pytest.raises(ValueError, match=f"^layer_settings: {place}=0.0: must be above 0 with init_norms="):
            Config(init_norms="equilibrium", layer_settings=f"{place}=0")


def test_a_root_of_a_warm_up():
    config = small.config(epochs=4, warmup=2)
    linear, root = rates(config, 100), rates(config.replace(warmup_shape="root"), 100)
    rise = (np.arange(200) + 0.5) / 200
    np.testing.assert_allclose(linear[:200], 0.1 * rise)
    np.testing.assert_allclose(root[:200], 0.1 * np.sqrt(rise))
    np.testing.assert_array_equal(root[200:], linear[200:])
    flat = config.replace(warmup=0), config.replace(schedule="constant")
    assert all(np.array_equal(rates(c.replace(warmup_shape="root"), 10), rates(c, 10)) for c in flat)


@pytest.mark.parametrize("which", ["gains", "offsets", "linear", "offsets+linear", "gains+offsets+linear"])
def test_which_of_the_rest_decay(which):
    """λα is 1 here, so what decays is zero after a step but for its gradient."""
    config = small.config(lr=0.01, momentum=0.0, schedule="constant", warmup=0, epochs=0.2, weight_decay=100.0)
    first, kept = build(config, 3), quietly(config.replace(rest_weight_decay_scale=0))[0]
    model, _ = quietly(config.replace(rest_decays=which))
    kinds = set()
    for name, w in model.named_parameters():
        if "conv" in name:
            continue
        kind = "linear" if name.startswith("linear") else {"weight": "gains", "bias": "offsets"}[name.split(".")[-1]]
        there = dict(kept.named_parameters())[name], dict(first.named_parameters())[name]
        decayed = 1.0 if kind in which.split("+") else 0.0
        torch.testing.assert_close(w, there[0] - decayed * there[1], rtol=1e-4, atol=1e-6)
        kinds.add(kind)
    assert kinds == set(REST)


def test_bursts_of_labels():
    config = small.config(seed=2)
    pairs = [list(Data(config.replace(label_bursts=share)).epoch()) for share in (0.0, 0.5, 1.0)]
    for plain, some, every in zip(*pairs):
        assert plain[0].equal(some[0]) and plain[0].equal(every[0])  # the same images, in the same order
        assert not plain[1].equal(every[1])
    whole = [plain[1].equal(some[1]) for plain, some, _ in zip(*pairs)]
    assert set(whole) == {True, False}
    config = small.config(seed=1, label_bursts=0.2, epochs=100)
    data, clean = Data(config), Data(small.config(seed=1))
    bad = [not a.equal(b) for _ in range(100) for (_, a), (_, b) in zip(data.epoch(), clean.epoch())]
    assert 70 < sum(bad) < 130  # of 500, a fifth
    assert bad_batches(config, len(data.train_x)).tolist() == bad
    with pytest.raises(ValueError, match="images=None: must be given"):
        bad_batches(config)
    (x, y), *_ = data.first(2)
    again = next(data.epoch())
    assert x.equal(again[0]) and y.equal(again[1])


def test_layers_with_settings_of_their_own(monkeypatch):
    """Against a loop of equations; and d, the gradient with its decay, is found with each layer's own ρ."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float32)
    own = "layer1.lr=0.05, layer1.momentum=0.5, layer3.res1.weight_decay=0.5"
    config = small.config(weight_decay=0.01, warmup=0.2, layer_settings=own)
    trained, ds = quietly(config)
    of = {name: {} for name, _ in trained.named_parameters()}
    of["layer1.first.conv.weight"], of["layer3.res1.conv.weight"] = dict(lr=0.5, rho=0.5), dict(alpha=0.5)
    data, model = Data(config), build(config, 3).to(memory_format=torch.channels_last).train()
    v, t = {name: torch.zeros_like(w) for name, w in model.named_parameters()}, 0
    for _ in range(2):
        for x, y in data.epoch():
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for name, w in model.named_parameters():
                    v[name].mul_(of[name].get("rho", 0.9)).add_(w.grad + of[name].get("alpha", 0.01) * w)
                    w.sub_(of[name].get("lr", 1.0) * ds.lr.values[t] * v[name])
            t += 1
    for name, w in model.named_parameters():
        torch.testing.assert_close(dict(trained.named_parameters())[name], w, rtol=1e-4, atol=1e-6)
    alpha = np.array([0.5 if layer == "layer3.res1" else 0.01 for layer in ds.layer.values])
    expected = ds.g2 + 2 * alpha * ds.wg + alpha**2 * ds.w2
    np.testing.assert_allclose(ds.d2, expected, rtol=1e-3)
    rate = measure.rate(ds.sel(layer=["prep", "layer1"]))
    whole = (ds.lr * np.sqrt(ds.g2 / ds.w2)).sel(layer=["prep", "layer1"])
    np.testing.assert_allclose(rate, whole * [1.0, 0.5], rtol=1e-5)
    with pytest.raises(ValueError, match="^balance of a run with layer_settings='layer1.lr=0.05, .*': must be a run"):
        measure.balance(ds)


def test_lars_with_a_layer_of_its_own():
    """Its rate is √(2λα(1−ρ)) of its own three, and a first step is that long."""
    own = "prep.lr=0.4, layer2.weight_decay=0.0025, layer3.momentum=0.6"
    _, ds = quietly(small.config(weight_decay=0.01, optimizer="lars", momentum=0.9, layer_settings=own))
    turned = np.sqrt(ds.u2.astype(float) / ds.w2).isel(step=0) / float(ds.lars_lr[0])
    wanted = {"prep": 2.0, "layer2": 0.5, "layer3": 2.0}
    np.testing.assert_allclose(turned, [wanted.get(layer, 1.0) for layer in ds.layer.values], rtol=1e-4)
    np.testing.assert_allclose(measure.rate(ds)[0], turned * float(ds.lars_lr[0]), rtol=1e-4)
    np.testing.assert_allclose(ds.d2, ds.w2, rtol=1e-4)  # d = (|w|/|g|) g
    parts = page_data.windowed(ds)
    assert parts.growth.isnull().all() and parts.w2.notnull().all()


def test_a_run_that_replays_the_rates_of_another():
    config = small.config(epochs=12, weight_decay=0.05, optimizer="lars", lars_rate="replay", seed=4)
    source = config.source
    assert source == small.config(epochs=12, weight_decay=0.05, seed=5)
    ds, theirs = run(config, device="cpu", progress=False), run(source, device="cpu", progress=False)
    wanted = measure.smooth(measure.rate(theirs), REPLAYED)
    np.testing.assert_allclose(ds.lars_lr, wanted, rtol=1e-6)
    turned = np.sqrt(ds.u2.astype(float) / ds.w2)[0]  # before there is momentum, a step is λ_LARS long
    np.testing.assert_allclose(turned, wanted[0], rtol=1e-4)
    assert quietly(config)[1].loss.equals(ds.loss)  # its source is trained before, if it is not given
    with pytest.raises(ValueError, match="that of seed 5 diverged at step 7"):
        learning_rates(config, 5, theirs.assign_attrs(diverged_at=7))


def test_groups_are_one_where_nothing_is_apart():
    config = small.config()
    (sgd,) = make_optimizers(config, build(config, 3))
    assert [len(group["params"]) for group in sgd.param_groups] == [8, 17]
    apart = config.replace(layer_settings="prep.lr=0.05", rest_decays="gains")
    (sgd,) = make_optimizers(apart, build(apart, 3))
    assert [len(group["params"]) for group in sgd.param_groups] == [7, 1, 8, 9]


# ------------------------------------------------------------------------------------------------ configurations
def test_one_spelling():
    config = Config(layer_settings=" layer1.momentum = .97,prep.lr=0.050", rest_decays="linear+gains")
    assert config.layer_settings == "prep.lr=0.05, layer1.momentum=0.97" and config.rest_decays == "gains+linear"
    assert settings(config.layer_settings) == {("prep", "lr"): 0.05, ("layer1", "momentum"): 0.97}
    assert config.of_layer("prep", "lr") == 0.05 and config.of_layer("prep", "momentum") == 0.9
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config


BAD = [
    (dict(lars_memory=1.0, optimizer="lars"), r"in \[0, 1\)"),
    (dict(lars_memory=0.9), '0 unless optimizer="lars"'),
    (dict(lars_rate="replay"), '"equilibrium" without LARS'),
    (dict(init_spread=-1), "from 0 to 10 octaves"),
    (dict(init_norms="long"), 'one of "drawn", "equilibrium"'),
    (dict(norms="still"), 'one of "free", "fixed", "hyperball"'),
    (dict(norms="fixed", optimizer="lars"), '"free" with optimizer="lars"'),
    (dict(warmup_shape="square"), 'one of "linear", "root"'),
    (dict(rest_decays=""), r'gains, offsets, linear, or several of them joined by "\+"'),
    (dict(rest_decays="gains+gains"), "gains, offsets, linear"),
    (dict(rest_decays=None), "gains, offsets, linear"),
    (dict(rate_rule="pin"), 'one of "none", "clip", "boost", "line"'),
    (dict(rate_rule="clip", optimizer="nesterov"), '"none" unless optimizer="sgd"'),
    (dict(rate_rule="clip", weight_decay=0), 'above 0 with rate_rule="clip"'),
    (dict(init_norms="equilibrium", lr=0), 'above 0 with init_norms="equilibrium"'),
    (dict(rate_line=0), "positive, at most 1e6"),
    (dict(rate_from=-1), "from 0 to 1e6 epochs"),
    (dict(rate_from=3, rate_until=2), r"after rate_from \(3\)"),
    (dict(label_bursts=1.5), "from 0 to 1"),
    (dict(layer_settings="prep=0.1"), "as prep.lr=0.05, layer1.momentum=0.97: lr, weight_decay, momentum of prep, "),
    (dict(layer_settings="layer2.res1.lr=0.1"), "as prep.lr"),
    (dict(layer_settings="prep.rho=0.1"), "as prep.lr"),
    (dict(layer_settings="prep.lr=0.1, prep.lr=0.2"), "as prep.lr"),
    (dict(layer_settings="prep.lr=fast"), "as prep.lr"),
    (dict(layer_settings="prep.lr=0.1", no_norm="prep"), "as prep.lr=0.05, .* of layer1, "),
    (dict(layer_settings="prep.lr=0.1", model="vgg11"), ".* of no convolution"),
    (dict(layer_settings="prep.lr=0.1", optimizer="lars", lars_rate="replay"), 'empty with lars_rate="replay"'),
]  # fmt: skip


@pytest.mark.parametrize("bad, allowed", BAD, ids=lambda value: None if isinstance(value, str) else str(value)[5:50])
def test_a_bad_value_is_named_with_what_is_allowed(bad, allowed):
    name = {"rate_until": "rate_until", "weight_decay": "weight_decay", "lr": "lr"}.get(list(bad)[-1], list(bad)[0])
    with pytest.raises(ValueError, match=f"^{name}=.*: must be {allowed}"):
        Config(**bad)


@pytest.mark.parametrize("value, said", [
    ("prep.momentum=1", r"1.0: must be in \[0, 1\)"),
    ("prep.lr=-1", "-1.0: must be not negative"),
    ("prep.lr=nan", "nan: must be a finite number"),
])  # fmt: skip
def test_a_bad_number_of_a_layer_is_named(value, said):
    with pytest.raises(ValueError, match=f"^layer_settings: {value.partition('=')[0]}={said}"):
        Config(layer_settings=value)
