"""SGDW, Adam, AdamW, Lion and Muon are their equations in float64, or torch's own; a run has them and records them."""

import functools
import json
import re

import numpy as np
import pytest
import small
import torch
from dispatch import Log, Tape

from resnet_dynamics import Config, correlation, library, measure, page_data, plots, recording, theory
from resnet_dynamics import train as loop
from resnet_dynamics.config import BUDGETS
from resnet_dynamics.data import Data
from resnet_dynamics.directions import JORDAN, SGDW, Adam, Lion, Muon, orthogonal
from resnet_dynamics.models import build, conv_layers
from resnet_dynamics.schedules import steps_of
from resnet_dynamics.steering import make_optimizers
from resnet_dynamics.train import Step, train

STEPS = 20
MAKE = {"sgdw": SGDW, "adam": functools.partial(Adam, decoupled=False), "adamw": Adam, "lion": Lion, "muon": Muon}
SETTINGS = {
    "sgdw": dict(weight_decay=0.01),
    "adam": dict(lr=1e-3, weight_decay=0.01),
    "adamw": dict(lr=1e-3, weight_decay=0.1),
    "lion": dict(lr=1e-4, weight_decay=1.0),
    "muon": dict(lr=0.02, weight_decay=0.1, momentum=0.95),
}


def weights(seed=0, layout=torch.contiguous_format):
    random = torch.Generator().manual_seed(seed)
    shapes = [(4, 3, 3, 3), (40, 2, 3, 3), (5, 2)]
    drawn = [torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]
    return [torch.nn.Parameter(w.to(memory_format=layout) if w.ndim == 4 else w) for w in drawn]


def gradients(params, t):
    random = torch.Generator().manual_seed(100 + t)
    for p in params:
        p.grad = torch.randn(p.shape, generator=random, dtype=p.dtype)


# ------------------------------------------------------------------------------------------------ equations
def newton_schulz(x):
    a, b, c = JORDAN
    x = x / x.norm()
    for _ in range(5):
        x = a * x + b * (x @ x.T @ x) + c * (x @ x.T @ x @ x.T @ x)
    return x


def slow_direction(name, w, g, memory, t, rho, alpha):
    """u, one tensor and one line after another."""
    m = memory.setdefault("m", torch.zeros_like(w))
    s = memory.setdefault("s", torch.zeros_like(w))
    if name == "adam":
        g = g + alpha * w
    if name == "lion":
        u = torch.sign(rho * m + (1 - rho) * g)
        m.copy_(0.98 * m + 0.02 * g)
        return u
    if name.startswith("adam"):
        m.copy_(rho * m + (1 - rho) * g)
        s.copy_(0.98 * s + 0.02 * g**2)
        return m / (1 - rho**t) / ((s / (1 - 0.98**t)).sqrt() + 1e-4)
    m.copy_(rho * m + g)
    if name == "sgdw":
        return m.clone()
    matrix = (g + rho * m).reshape(len(g), -1)
    return (newton_schulz(matrix) * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5).reshape(g.shape)


def slow_step(name, w, g, memory, t, rho, lr, alpha, cautious, norms):
    length = memory.setdefault("length", w.norm())
    u = slow_direction(name, w, g, memory, t, rho, alpha)
    if norms == "hyperball":
        u = u / u.norm() * length
    decays = torch.full_like(w, name != "adam")
    if cautious:
        decays[w.sign() == -u.sign()] = 0
    w.copy_((1 - lr * alpha * decays) * w - lr * u)
    if norms != "free":
        w.mul_(length / w.norm())
    return u


WAYS = [(name, False, "free") for name in MAKE]
WAYS += [(name, True, "free") for name in MAKE if name != "adam"]
WAYS += [(name, False, norms) for name in MAKE for norms in ("fixed", "hyperball")]


def rates(t):
    return 0.05 * (1 + t / 7), 0.3 / (1 + t)


def given(name):
    return {"adam": dict(beta2=0.98, eps=1e-4), "adamw": dict(beta2=0.98, eps=1e-4), "lion": dict(beta2=0.98)}.get(
        name, {}
    )


def followed(name, tensors=False, steps=STEPS, params=None, **ways):
    """Weights after some steps at rates that change, numbers of Python or tensors. Returns (weights, optimizer)."""
    params = weights() if params is None else params
    optimizer = MAKE[name](params, lr=0.0, momentum=0.8, **given(name), **ways)
    for t in range(steps):
        gradients(params, t)
        for key, rate in zip(("lr", "weight_decay"), rates(t)):
            optimizer.param_groups[0][key] = torch.tensor(rate, dtype=torch.float64) if tensors else rate
        optimizer.step()
    return params, optimizer


@pytest.mark.parametrize("name, cautious, norms", WAYS)
def test_each_is_its_equation(name, cautious, norms):
    """After one step and after twenty, and the direction that is kept is what λ multiplies."""
    ways = dict(norms=norms) | (dict(cautious=True) if cautious else {})
    w, memory = [p.detach().clone() for p in weights()], [{}, {}, {}]
    for t in range(STEPS):
        random = torch.Generator().manual_seed(100 + t)
        g = [torch.randn(x.shape, generator=random, dtype=x.dtype) for x in w]
        u = [slow_step(name, *its, t + 1, 0.8, *rates(t), cautious, norms) for its in zip(w, g, memory)]
        if t + 1 in (1, STEPS):
            params, optimizer = followed(name, tensors=t > 0, steps=t + 1, **ways)
            for p, w_, u_ in zip(params, w, u):
                torch.testing.assert_close(p.detach(), w_, rtol=1e-9, atol=1e-10)
                torch.testing.assert_close(optimizer.state[p]["direction"], u_, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", MAKE)
def test_rates_may_be_tensors_or_numbers(name):
    for p, q in zip(followed(name)[0], followed(name, tensors=True)[0]):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name, torchs", [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_adam_is_torchs(name, torchs):
    params = weights()
    optimizer = torchs(params, lr=0.0, betas=(0.8, 0.98), eps=1e-4)
    for t in range(STEPS):
        gradients(params, t)
        optimizer.param_groups[0].update(zip(("lr", "weight_decay"), rates(t)))
        optimizer.step()
    for p, q in zip(followed(name)[0], params):
        torch.testing.assert_close(p, q, rtol=1e-11, atol=1e-12)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("shape", [(6, 20), (20, 6)], ids=str)
def test_muon_is_torchs_in_its_precision(shape):
    """Torch orthogonalizes in bfloat16, of two to three digits."""
    w0, *g = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    one, two, heavy = (torch.nn.Parameter(w0.clone()) for _ in range(3))
    a, b = (make([p], lr=0.1, weight_decay=0.5) for make, p in ((Muon, one), (torch.optim.Muon, two)))
    c = Muon([heavy], lr=0.1, weight_decay=0.5, nesterov=False)
    for g_ in g:
        one.grad, two.grad, heavy.grad = g_, g_.clone(), g_
        a.step(), b.step(), c.step()
    assert (one - two).norm() < 0.02 * (one - w0).norm() and (one - two).norm() < 0.2 * (one - heavy).norm()


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (9, 9)], ids=str)
def test_an_iteration_acts_on_singular_values_alone(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, sigma, right = torch.linalg.svd(x, full_matrices=False)
    a, b, c = JORDAN
    sigma = sigma / x.norm()
    for _ in range(5):
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    torch.testing.assert_close(orthogonal(x), left @ torch.diag(sigma) @ right, rtol=1e-9, atol=1e-10)
    assert 0.68 < sigma.min() and sigma.max() < 1.21
    torch.testing.assert_close(orthogonal(1e-30 * x), orthogonal(x), rtol=1e-9, atol=1e-12)
    assert not orthogonal(0 * x).any() and orthogonal(x, dtype=torch.float32).dtype == torch.float64


@pytest.mark.parametrize("name", MAKE)
def test_the_order_in_memory_does_not_matter(name):
    """Torch's fused kernels would take a gradient in another order for one in that of the weights."""
    plain, other = followed(name)[0], followed(name, params=weights(layout=torch.channels_last))[0]
    assert other[0].stride() != plain[0].stride() == other[0].grad.stride()
    for p, q in zip(plain, other):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name, cautious, norms", WAYS)
def test_a_step_that_is_found_not_finite_is_left_out(name, cautious, norms):
    (one, two), found = (weights(), weights()), torch.zeros(())
    ways = dict(momentum=0.875, weight_decay=0.25, norms=norms) | (dict(cautious=True) if cautious else {})
    a, b = MAKE[name](one, lr=0.125, **ways), MAKE[name](two, lr=torch.tensor(0.125), **ways)
    b.found_inf = found
    for t, bad in enumerate((True, False, True, False)):
        found.fill_(bad)
        gradients(one, t), gradients(two, t)
        if bad:
            two[0].grad[0], two[1].grad = torch.nan, torch.inf * two[1].grad
        b.step()
        if not bad:
            a.step()
    for p, q in zip(one, two):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-13)


def test_what_a_step_on_the_sphere_turns():
    """arctan λ, for a direction that is orthogonal to the weights."""
    p = torch.nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    p.grad = torch.tensor([[-40.0, 30.0]], dtype=torch.float64)
    SGDW([p], lr=0.1, norms="hyperball").step()
    cosine = (p.detach() @ torch.tensor([3.0, 4.0], dtype=torch.float64)).item() / 25
    assert p.norm().item() == pytest.approx(5, rel=1e-14) and np.arccos(cosine) == pytest.approx(np.arctan(0.1))


def test_a_closure_is_called_and_weights_without_gradient_stay():
    params = weights()
    before, lion = [p.detach().clone() for p in params], Lion(params, lr=0.1)

    def closure():
        loss = params[0].sum()
        loss.backward()
        return loss

    assert lion.step(closure).item() == before[0].sum().item() and lion.step() is None
    assert not params[0].equal(before[0]) and params[1].equal(before[1])


BAD = [
    (SGDW, dict(lr=-1.0), "a finite number, not negative, or a float tensor of one"),
    (SGDW, dict(weight_decay=torch.ones(2)), "a finite number, not negative, or a float tensor of one"),
    (Lion, dict(momentum=1.0), r"a number in \[0, 1\)"),
    (Lion, dict(beta2=True), r"a number in \[0, 1\)"),
    (Adam, dict(beta2=1.0), r"a number in \[0, 1\)"),
    (Adam, dict(eps=0.0), "a finite number above 0"),
    (Adam, dict(decoupled=1), "True or False"),
    (Adam, dict(cautious=True, decoupled=False), "False with L2"),
    (Muon, dict(cautious="yes"), "True or False"),
    (Muon, dict(norms="long"), "one of free, fixed, hyperball"),
    (Muon, dict(nesterov=1), "True or False"),
    (Muon, dict(steps=0), "a whole number, at least 1"),
]


@pytest.mark.parametrize("make, bad, allowed", BAD, ids=str)
def test_a_bad_value_of_an_optimizer_is_named(make, bad, allowed):
    name, value = next(iter(bad.items()))
    with pytest.raises(ValueError, match=f"^{name}={re.escape(repr(value))}: must be {allowed}$"):
        make(weights(), **{"lr": 0.1, **bad})


def test_muon_asks_for_matrices():
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    with pytest.raises(ValueError, match=r"^weights of shape \(3,\): must have at least two dimensions with Muon$"):
        Muon([p], lr=0.1).step()


# ------------------------------------------------------------------------------------------------ configurations
def test_digests_of_before_are_what_they_were():
    known = {
        "44136fa355b3678a": Config(),
        "e6e896f56c53e38a": Config(lr=4.0, momentum=0.0, width=16),
        "7e732e37dd2fc751": Config(**BUDGETS["smoke"]),
        "7653a028190f4cd2": Config(optimizer="lars", norms="free", seed=3),
        "7187525a41761ca3": Config(optimizer="nesterov", rest_lr_scale=0.5, rest_weight_decay_scale=0.0,
                                   weight_decay_schedule="lr"),
        "6a8ebb3c3cee59a5": Config(norms="fixed", layer_settings="prep.lr=0.05", rest_decays="gains", rate_rule="clip"),
    }  # fmt: skip
    assert {config.digest: config for config in known.values()} == known


@pytest.mark.parametrize("name", MAKE)
def test_a_configuration_there_and_back(name):
    extra = {"sgdw": dict(cautious=True), "lion": dict(beta2=0.9), "adam": dict(eps=1e-6)}.get(name, {})
    config = Config.smoke(optimizer=name, rest_lr=0.2, rest_momentum=0.5, **extra, **SETTINGS[name])
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert eval(str(config), {"Config": Config}) == config
    assert config.digest != config.replace(rest_lr=None).digest


def test_what_the_rest_has():
    sgd, adamw = Config(lr=0.1, momentum=0.5), Config(optimizer="adamw", lr=1e-3, weight_decay=0.1, momentum=0.5)
    names = ("lr", "weight_decay", "momentum")
    assert [sgd.of_rest(name) for name in names] == [0.1, 5e-4, 0.5]
    assert [adamw.of_rest(name) for name in names] == [0.4, 5e-4, 0.9]
    scales = dict(rest_lr_scale=0.5, rest_weight_decay_scale=0)
    own = adamw.replace(rest_lr=0.2, rest_weight_decay=0.01, rest_momentum=0, **scales)
    assert [own.of_rest(name) for name in names] == [0.1, 0.0, 0.0]
    assert sgd.replace(rest_lr=0.3).of_rest("lr") == 0.3
    assert adamw.betas == (0.5, 0.999) and Config(optimizer="lion").betas == (0.9, 0.99)
    assert Config(optimizer="adam", beta2=0.5).betas == (0.9, 0.5)


WRONG = [
    (dict(cautious=True), 'False with optimizer="sgd", whose decay is part of the gradient'),
    (dict(cautious=True, optimizer="adam"), 'False with optimizer="adam", whose decay is part of the gradient'),
    (dict(cautious=1, optimizer="lion"), "True or False"),
    (dict(cautious=True, optimizer="lion", norms="hyperball", weight_decay=0), 'False with norms="hyperball"'),
    (dict(beta2=0.99), 'None with optimizer="sgd", which has no β₂'),
    (dict(beta2=0.99, optimizer="muon"), 'None with optimizer="muon", which has no β₂'),
    (dict(beta2=1.0, optimizer="lion"), r"in \[0, 1\)"),
    (dict(eps=1e-6, optimizer="lion"), '1e-08 with optimizer="lion", which has no ε'),
    (dict(eps=0, optimizer="adamw"), "positive, at most 1"),
    (dict(norms="hyperball"), '"free" or "fixed" with optimizer="sgd"'),
    (dict(norms="fixed", optimizer="nesterov"), '"free" with optimizer="nesterov"'),
    (dict(weight_decay=0.1, optimizer="muon", norms="hyperball"), '0 with norms="hyperball", where only the rest'),
    (dict(init_norms="equilibrium", optimizer="adamw"), '"drawn" with optimizer="adamw"'),
    (dict(rate_rule="clip", optimizer="sgdw"), '"none" unless optimizer="sgd"'),
    (dict(lars_memory=0.5, optimizer="sgdw"), '0 unless optimizer="lars"'),
    (dict(lr=0, optimizer="adamw"), "above 0 where the rest has a λ of its own"),
    (dict(lr=0, rest_lr=0.1), "above 0 where the rest has a λ of its own"),
    (dict(rest_lr=-1), "None, or not negative, at most 1e30"),
    (dict(rest_weight_decay="all"), "a finite number"),
    (dict(rest_momentum=1), r"None, or in \[0, 1\)"),
    (dict(rest_momentum=0, optimizer="nesterov"), 'None, or above 0 with optimizer="nesterov"'),
    (dict(rest_lr_scale=1e20, rest_lr=1e20), "at most 1e30 when multiplied by rest_lr"),
]


@pytest.mark.parametrize("bad, allowed", WRONG, ids=str)
def test_a_wrong_combination_is_named(bad, allowed):
    with pytest.raises(ValueError, match=f"^{next(iter(bad))}=.*: must be {allowed}"):
        Config(**bad)


# ------------------------------------------------------------------------------------------------ runs
@pytest.fixture
def images(monkeypatch):
    small.use(monkeypatch)


def quietly(config, **given):
    return train(config, device="cpu", progress=False, **given)


def begun(config):
    data = Data(config)
    step = Step(config, data, steps_of(config, data.steps_per_epoch), torch.device("cpu"), filters=True)
    step.model.train(), data.shuffle()
    return step


MORE = {
    "adamw, α ∝ λ": dict(optimizer="adamw", weight_decay_schedule="lr"),
    "adam, α ∝ λ": dict(optimizer="adam", weight_decay_schedule="lr"),
    "lion, cautious": dict(optimizer="lion", cautious=True),
    "muon, fixed": dict(optimizer="muon", norms="fixed"),
    "adamw, hyperball": dict(optimizer="adamw", norms="hyperball", weight_decay=0.0),
}
RUNS = {name: dict(optimizer=name) for name in MAKE} | MORE


def of(way, **changes):
    changed = {**SETTINGS[RUNS[way]["optimizer"]], **RUNS[way], **changes}
    return small.config(**changed)


@pytest.mark.parametrize("way", RUNS)
def test_a_step_can_be_recorded_once_and_replayed(images, monkeypatch, way):
    """It reads nothing on the host, is the same to the device each time, and a replay is the step."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float32)
    made, taped, tape = begun(of(way)), begun(of(way)), Tape()
    for _ in range(2):
        made(), taped()
    logs = []
    with tape:
        taped()
    for _ in range(2):
        tape.replay()
    for _ in range(3):
        kept = [b for o in made.optimizers for state in o.state.values() for k, b in state.items() if k != "direction"]
        with Log([*made.model.state_dict().values(), *kept, made.recorder.products]) as log:
            made()
        logs.append(log.lines)
    assert logs[1] == logs[2]
    assert made.recorder.products.equal(taped.recorder.products) and made.recorder.loss[4].isfinite()
    assert all(a.equal(b) for a, b in zip(made.model.state_dict().values(), taped.model.state_dict().values()))


@functools.cache
def recorded(way):
    return quietly(of(way, epochs=3))


@pytest.mark.parametrize("way", RUNS)
def test_a_run(images, monkeypatch, way, tmp_path):
    """Of the same bits each time; its loss falls, all layers move, and a file gives it back."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float32)
    config, (model, ds), steps = of(way, epochs=3), recorded(way), []
    if way in MAKE:
        again = quietly(config, each=lambda t, so_far: steps.append(t))[1]
        assert again.equals(ds) and steps[-1] == 15
    assert ds.attrs["diverged_at"] == -1 and ds.loss[-3:].mean() < ds.loss[:3].mean() and (ds.u2 > 0).all()
    recording.save(ds, tmp_path / "run.nc")
    assert recording.load(tmp_path / "run.nc", config).equals(ds)
    start, end = (np.sqrt(part) for part in (ds.w2[0], ds.w2[-1]))
    if config.norms != "free":
        np.testing.assert_allclose(end, start, rtol=1e-5)
    if config.norms == "hyperball":
        np.testing.assert_allclose(measure.rate(ds), ds.lr.broadcast_like(ds.w2), rtol=1e-5)
    sizes = np.array([w.numel() for w in conv_layers(model).values()])
    if config.optimizer == "lion":
        assert (ds.v2 == ds.v2.round()).all() and (ds.v2 <= sizes).all() and (ds.v2[:, 0] == sizes[0]).all()
    if config.optimizer == "sgdw":
        np.testing.assert_allclose(ds.d2, ds.g2, rtol=1e-4)  # what is new in v is g
        np.testing.assert_allclose(ds.dv, ds.gv, rtol=1e-3, atol=1e-5)
    if way == "muon":
        ranks = np.array([min(w.flatten(1).shape) for w in conv_layers(model).values()])
        tall = np.array([max(1, np.divide(*w.flatten(1).shape)) for w in conv_layers(model).values()])
        assert (ds.v2 < 1.21**2 * ranks * tall).all() and (ds.v2 > 0.3 * ranks * tall).all()
    if "α ∝ λ" in way:
        np.testing.assert_allclose(measure.weight_decay(ds) / ds.lr, config.weight_decay / config.lr, rtol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("way", RUNS)
def test_a_graph_gives_the_same_run(images, monkeypatch, way):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    one, two = (train(of(way), device="cuda", progress=False, graph=graph)[1] for graph in (True, False))
    assert one.equals(two)


def test_all_have_the_same_rest(images, monkeypatch):
    """A step after the start it is that of SGD with λ = 0.4, α = 0.0005, ρ = 0.9, or as it is asked for."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float32)
    once = dict(epochs=0.2, warmup=0.1)

    def rest(**given):
        model, _ = quietly(small.config(**once, **given))
        return {name: p for name, p in model.named_parameters() if "conv" not in name}

    expected, asked = rest(lr=0.4), rest(lr=0.2, weight_decay=0.01, momentum=0.5)
    for name in MAKE:
        found = rest(optimizer=name, **{**SETTINGS[name], "lr": 0.25})
        same = rest(optimizer=name, **SETTINGS[name], rest_lr=0.2, rest_weight_decay=0.01, rest_momentum=0.5)
        for key in expected:
            torch.testing.assert_close(found[key], expected[key], rtol=1e-6, atol=1e-8)
            torch.testing.assert_close(same[key], asked[key], rtol=1e-6, atol=1e-8)
    assert all(not asked[key].equal(expected[key]) for key in expected if "bias" not in key)


def test_sgd_may_have_a_rest_of_its_own(images):
    config = small.config(rest_lr=0.2, rest_weight_decay=0.01, rest_momentum=0.5, weight_decay_schedule="lr")
    step = begun(config)
    step.rates.set(step.t)
    (optimizer,) = step.optimizers
    convs, rest = optimizer.param_groups
    assert (convs["momentum"], rest["momentum"]) == (0.9, 0.5)
    assert rest["lr"].item() == pytest.approx(2 * convs["lr"].item())
    assert rest["weight_decay"].item() == pytest.approx(20 * convs["weight_decay"].item())


def test_layers_may_have_settings_of_their_own(images):
    config = of("adamw", layer_settings="prep.lr=0.01, layer2.weight_decay=0.5, layer3.momentum=0.5")
    adamw, sgd = make_optimizers(config, build(config, 3))
    assert [group["layers"] for group in adamw.param_groups[1:]] == [["prep"], ["layer2"], ["layer3"]]
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.1, 0.1, 0.5, 0.1]
    _, ds = quietly(config)
    step = (np.sqrt(ds.u2 / ds.v2) / ds.lr)[0]  # λ of the layer over that of the run, but for what decays
    np.testing.assert_allclose(step, [10.0 if layer == "prep" else 1.0 for layer in ds.layer.values], rtol=0.05)


def test_a_rest_that_diverges_ends_the_run(images):
    _, ds = quietly(of("muon", epochs=12, rest_lr=1e12))
    assert 0 <= ds.attrs["diverged_at"] < 60 and np.isnan(ds.w2[-1]).all()


def test_a_run_can_be_stopped(images):
    def stop(t, so_far):
        if t == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quietly(of("adamw"), each=stop)


@pytest.mark.parametrize("way", ["muon", "adamw, hyperball"])
def test_in_float16_steps_are_left_out(images, monkeypatch, way):
    monkeypatch.setattr(loop, "precision", lambda device: torch.float16)
    monkeypatch.setattr(loop, "Scaler", functools.partial(loop.Scaler, scale=2.0**28))
    _, ds = quietly(of(way, epochs=4))
    skipped = ds.skipped.values > 0
    assert 0 < skipped.sum() < 18 and ds.loss.notnull().all()
    moved = (ds.u2 / ds.w2).values
    assert (moved[skipped] < 1e-12).all() and (moved[~skipped] > 1e-12).all()


# ------------------------------------------------------------------------------------------------ measures
@pytest.fixture
def runs(images):
    return {way: recorded(way)[1] for way in (*MAKE, "lion, cautious")}


def of_one_step(config, ds, t, layer):
    """√(2λα/S) of a step and a layer, by the law of its optimizer."""
    lr, decay, rho = float(ds.lr[t]), config.weight_decay, config.momentum
    if config.optimizer == "adam":
        c = measure.gradient_size(ds, measure.SMOOTH)[t, layer]
        return theory.adam_l2(float(c), shapes(config)[layer].prod(), lr, decay, rho).update_rate
    found = {
        "sgdw": lambda **at: theory.sgdw(1.0, lr, decay, rho, **at),
        "adamw": lambda **at: theory.decoupled(1.0, lambda k: rho**k, lr, decay, **at),
        "lion": lambda **at: theory.lion(1.0, lr, decay, rho, 0.99, **at),
        "muon": lambda **at: theory.muon(
            tuple(shapes(config)[layer].tolist()), lr, decay, rho, response=correlation.newton_schulz, **at
        ),
    }[config.optimizer](exact=True)
    return np.sqrt(2 * lr * decay / found.overlap)


def shapes(config):
    return np.array([w.flatten(1).shape for w in conv_layers(build(config)).values()])


def test_what_is_measured(runs):
    for way in MAKE:
        ds, config = runs[way], of(way)
        line = measure.line(ds)
        for t, layer in ((0, 0), (7, 3), (14, 7)):
            its = line[t, layer] if line.ndim == 2 else line[t]
            np.testing.assert_allclose(its, of_one_step(config, ds, t, layer), rtol=1e-6, err_msg=way)
        np.testing.assert_allclose(measure.rate(ds), ds.lr * np.sqrt(ds.v2 / ds.w2), rtol=1e-6)
        np.testing.assert_allclose(measure.balance(ds), (measure.rate(ds) / line) ** 2, rtol=1e-5)
        assert measure.balance(ds).dims == ("step", "layer") and line.attrs["symbol"] == "√(2λα/S)"
        assert measure.rate(ds).attrs["symbol"] == "λ|v|/|w|" and measure.overall(ds) > 0
        plots.ratio(ds), plots.rotation(ds)
    assert measure.kappa(runs["sgdw"]).notnull().all()
    assert {runs[way].v2.attrs["units"] for way in runs} == {"1", "nat²/u²"}
    plots.rotation(runs["lion, cautious"])


def test_a_line_needs_what_the_configuration_says(runs):
    """A recording of a loop that is not ours has no β₂ and no shapes; its rate is there all the same."""
    for way in ("lion", "muon"):
        ds = runs[way].assign(weight_decay=("step", np.full(15, 0.1)), momentum=("step", np.full(15, 0.9)))
        ds = ds.assign_coords(optimizer=("step", np.full(15, way))).assign_attrs(steps=15)
        del ds.attrs["config"]
        with pytest.raises(ValueError, match=f"^line of a run with optimizer='{way}': must be one whose configuration"):
            measure.line(ds)
        assert plots.rotation(ds) and measure.rate(ds).notnull().all()


REFUSED = ("acceptance", "applied_norm", "drift", "drive", "growth", "predicted", "radial", "shrink", "telescoping")


def test_what_has_no_meaning_is_refused_with_a_sentence(runs):
    for name in REFUSED:
        with pytest.raises(ValueError, match=f"^{name} of a run with optimizer='adamw': must be a run of SGD, whose"):
            getattr(measure, name)(runs["adamw"])
    with pytest.raises(ValueError, match="^kappa of a run with optimizer='muon': must be a run of SGD, whose"):
        measure.kappa(runs["muon"])
    with pytest.raises(ValueError, match="^line of a run with cautious=True: must be a run in which all weights"):
        measure.line(runs["lion, cautious"])
    for draw in (plots.memory, plots.prediction, plots.balance):
        with pytest.raises(ValueError, match="of a run with optimizer='sgdw': must be a run of SGD, whose equations"):
            draw(runs["sgdw"])


def test_pages_do_not_take_them_for_something_else(runs, monkeypatch):
    windows = page_data.windowed(runs["adamw"])
    assert windows.growth.isnull().all() and windows.drive.isnull().all() and windows.c2.notnull().all()
    with pytest.raises(ValueError, match="^optimizer='adamw': must be one that the explorer has, SGD with or without"):
        page_data.curve(runs["adamw"])
    monkeypatch.setattr(library, "bundled", lambda: {"one": Config.book(optimizer="lion", beta2=0.9, lr=1e-4)})
    assert [*page_data._recordings()] == []
