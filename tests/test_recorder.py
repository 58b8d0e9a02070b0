"""What the recorder keeps is what a slow loop in float64 finds, and the training does not notice it."""

import copy

import numpy as np
import pytest
import small
import torch
import torch.nn.functional as F

from resnet_dynamics import recording
from resnet_dynamics.data import Data
from resnet_dynamics.models import build, conv_layers
from resnet_dynamics.optim import LARS
from resnet_dynamics.recorder import CHUNK, Recorder
from resnet_dynamics.recording import PRODUCTS, ROLES
from resnet_dynamics.train import learning_rates, make_optimizers

STEPS = 6
WAYS = {
    "sgd": dict(momentum=0.0, weight_decay=0.01),
    "heavy ball": dict(momentum=0.9, weight_decay=0.01),
    "nesterov": dict(momentum=0.9, weight_decay=0.01, optimizer="nesterov"),
    "lars": dict(momentum=0.0, optimizer="lars"),
    "lars, momentum": dict(momentum=0.9, optimizer="lars"),
    "lars-filter": dict(momentum=0.9, optimizer="lars-filter"),
}


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    small.use(monkeypatch)


def follow(config, filters=False, record=True, device="cpu", compiled=None):
    """Train for a few steps. Returns the recorder, the final weights, and copies of w, g and w' by step and layer."""
    data = Data(config, device)
    model = build(config, 3).to(device).train()
    network = torch.compile(model, backend=compiled) if compiled else model
    lr, lars_lr = learning_rates(config, data.steps_per_epoch)
    optimizers = make_optimizers(config, model)
    layers = conv_layers(model)
    recorder = Recorder(layers, optimizers, STEPS, filters) if record else None
    copies = []
    batches = [batch for _ in range(2) for batch in data.epoch()]
    for t, (x, y) in enumerate(batches[:STEPS]):
        loss = F.cross_entropy(network(x), y)
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = float(lars_lr[t] if isinstance(optimizer, LARS) else lr[t])
        before = {name: (w.detach().double(), w.grad.double()) for name, w in layers.items()}
        if record:
            recorder.before()
        for optimizer in optimizers:
            optimizer.step()
        if record:
            recorder.after(t, loss.detach(), 0.5)
        copies.append({name: (*before[name], w.detach().double()) for name, w in layers.items()})
    return recorder, model.state_dict(), copies


def dataset(config, recorder):
    series = {"lr": np.zeros(STEPS), "loss": recorder.loss.numpy(), "accuracy": recorder.accuracy.numpy()}
    per_filter = {name: p.numpy() for name, p in recorder.filter_products.items()}
    return recording.from_products(config, recorder.weights, recorder.products.numpy(), series, {}, per_filter)


def slow(config, copies):
    """Every quantity by its definition, in float64, for one vector (layer or filter) after another."""
    v = torch.zeros_like(copies[0][0])
    for w, g, new in copies:
        if config.optimizer.startswith("lars"):
            d = w.norm() / g.norm() * g
        else:
            d = g + config.weight_decay * w
        v_prev, v, u = v, config.momentum * v + d, new - w
        yield {
            "w2": (w, w), "g2": (g, g), "d2": (d, d), "v2": (v, v), "u2": (u, u),
            "wg": (w, g), "wv": (w, v_prev), "dv": (d, v_prev), "gv": (g, v_prev),
        }  # fmt: skip


def assert_close(measured, pairs, name):
    """Equal to float32 rounding, relative to the two norms: a product may itself be zero."""
    a, b = pairs
    scale = (a.norm() * b.norm()).item()
    rounding = 2e-4 if name == "u2" else 5e-6  # the update is a small difference of large float32 numbers
    assert abs(measured - (a * b).sum().item()) <= rounding * scale, name


@pytest.mark.parametrize("way", WAYS)
def test_all_quantities_equal_the_slow_loop(way):
    config = small.config(**WAYS[way])
    recorder, _, copies = follow(config)
    ds = dataset(config, recorder)
    assert list(ds.layer.values) == list(copies[0])
    for layer in copies[0]:
        if way == "lars-filter":
            continue  # its d is another one for each filter: below
        for t, quantities in enumerate(slow(config, [step[layer] for step in copies])):
            for name, pairs in quantities.items():
                assert_close(ds[name].sel(layer=layer).values[t], pairs, name)


@pytest.mark.parametrize("way", ["heavy ball", "lars-filter"])
def test_filters_equal_the_slow_loop(way):
    config = small.config(**WAYS[way])
    recorder, _, copies = follow(config, filters=True)
    ds = dataset(config, recorder)
    for layer in ("prep", "layer2"):
        for i in (0, 3):
            vectors = [tuple(a[i] for a in step[layer]) for step in copies]
            for t, quantities in enumerate(slow(config, vectors)):
                for name, pairs in quantities.items():
                    assert_close(ds[f"filter_{name}"].sel(layer=layer).values[t, i], pairs, name)


def test_filters_add_up_to_their_layer():
    config = small.config()
    recorder, _, _ = follow(config, filters=True)
    ds = dataset(config, recorder)
    assert ds.filter_w2.dims == ("step", "layer", "filter") and ds.sizes["filter"] == 32
    assert ds.filter_w2.sel(layer="prep").notnull().sum() == STEPS * 4  # the others do not exist
    for name in ("w2", "g2", "d2", "v2", "u2"):
        np.testing.assert_allclose(ds[f"filter_{name}"].sum("filter"), ds[name], rtol=1e-5)


def test_the_update_of_sgd_is_minus_lr_v():
    config = small.config(**WAYS["heavy ball"])
    recorder, _, _ = follow(config)
    ds, (lr, _) = dataset(config, recorder), learning_rates(config, 5)
    np.testing.assert_allclose(ds.u2, lr[:STEPS, None] ** 2 * ds.v2, rtol=2e-4)


@pytest.mark.parametrize("way", WAYS)
def test_bitwise_the_same_weights_with_and_without(way):
    config = small.config(**WAYS[way])
    _, watched, _ = follow(config, filters=True)
    _, alone, _ = follow(config, record=False)
    assert all(watched[name].equal(alone[name]) for name in alone)


def test_loss_and_accuracy():
    recorder, _, _ = follow(small.config())
    assert recorder.loss.isfinite().all() and recorder.accuracy.tolist() == [0.5] * STEPS


def test_steps_that_were_not_made_have_no_loss():
    model = build(small.config(), 3)
    recorder = Recorder(conv_layers(model), [torch.optim.SGD(model.parameters(), lr=0.1)], 4)
    assert recorder.loss.isnan().all() and recorder.products.shape == (4, 8, 15)


def test_under_torch_compile():
    """The network may be compiled; the recorder is outside of it. (The backend that needs no C++ compiler.)"""
    config = small.config(**WAYS["heavy ball"])
    eager, _, _ = follow(config)
    compiled, _, copies = follow(config, compiled="aot_eager")
    torch.testing.assert_close(compiled.products[0], eager.products[0], rtol=1e-3, atol=1e-5)
    ds = dataset(config, compiled)
    for t, quantities in enumerate(slow(config, [step["layer3"] for step in copies])):
        for name, pairs in quantities.items():
            assert_close(ds[name].sel(layer="layer3").values[t], pairs, name)


def lone(shapes, **sgd):
    """Tensors of these shapes with gradients, a plain SGD that moves them, and a generator."""
    random = torch.Generator().manual_seed(0)
    weights = {f"w{i}": torch.nn.Parameter(torch.randn(s, generator=random)) for i, s in enumerate(shapes)}
    optimizer = torch.optim.SGD(weights.values(), **{"lr": 0.1, **sgd})

    def gradients():
        for w in weights.values():
            w.grad = torch.randn(w.shape, generator=random)

    return weights, optimizer, gradients


def expected(weights, was, v_prev, v, dims):
    """All products in float64 and the lengths |a||b| that go with them, in the order of PRODUCTS."""
    rows = {"w": was, "g": weights.grad, "v_prev": v_prev, "v": v, "u": weights.detach() - was}
    rows = {role: rows[role].double() for role in ROLES}
    size = {role: a.square().sum(dims).sqrt() for role, a in rows.items()}
    return zip(*(((rows[a] * rows[b]).sum(dims), size[a] * size[b]) for a, b in PRODUCTS))


@pytest.mark.parametrize("filters", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_error_is_a_millionth_of_the_lengths(momentum, filters):
    """For layers of one weight to a million, whole chunks and others, two or four dimensions, any layout."""
    shapes = [(1, 1), (3, CHUNK), (2, CHUNK + 1), (512, 224, 3, 3), (5, 3, 3, 3)]
    weights, sgd, gradients = lone(shapes, momentum=momentum, weight_decay=0.5)
    weights["w3"].data = weights["w3"].data.to(memory_format=torch.channels_last)
    recorder = Recorder(weights, [sgd], 2, filters)
    v = {name: torch.zeros_like(w) for name, w in weights.items()}
    for t in range(2):
        gradients()
        was, v_prev = ({name: x.detach().clone() for name, x in it.items()} for it in (weights, v))
        recorder.before()
        sgd.step()
        recorder.after(t, 0.0, 0.0)
        for i, (name, w) in enumerate(weights.items()):
            v[name] = sgd.state[w]["momentum_buffer"].clone() if momentum else w.grad + 0.5 * was[name]
            sums = [(recorder.products[t, i], tuple(range(w.ndim)))]
            sums += [(recorder.filter_products[name][t].T, tuple(range(1, w.ndim)))] if filters else []
            for measured, dims in sums:
                products, lengths = expected(w, was[name], v_prev[name], v[name], dims)
                for pair, a, b, length in zip(PRODUCTS, measured.double(), products, lengths):
                    assert ((a - b).abs() <= 1e-6 * length).all(), (name, pair)


def test_the_layers_are_the_same_with_filters_and_without():
    weights, sgd, gradients = lone([(4, 300, 3, 3), (3, 2), (7,)], momentum=0.9)
    one, two = (Recorder(weights, [sgd], 1, filters) for filters in (False, True))
    gradients()
    one.before(), two.before(), sgd.step()
    one.after(0, 0.0, 0.0), two.after(0, 0.0, 0.0)
    assert one.products.equal(two.products) and one.filter_products == {}
    for i, products in enumerate(two.filter_products.values()):
        torch.testing.assert_close(products[0].sum(0), one.products[0, i], rtol=1e-4, atol=1e-4)


def test_a_layer_that_overflows_leaves_the_others():
    weights, sgd, gradients = lone([(4, 3), (5, 2)])
    one, two = (Recorder(weights, [sgd], 1, filters) for filters in (False, True))
    gradients()
    weights["w0"].grad[0, 0] = torch.inf
    for recorder in (one, two):
        recorder.before()
        recorder.after(0, 0.0, 0.0)
        assert not recorder.products[0, 0].isfinite().all() and recorder.products[0, 1].isfinite().all()
    assert two.filter_products["w0"][0, 1:].isfinite().all()


def test_the_place_of_a_step_may_be_a_tensor():
    weights, sgd, gradients = lone([(4, 3)], momentum=0.9)
    one, two = (Recorder(weights, [sgd], 3) for _ in range(2))
    for t in range(3):
        gradients()
        one.before(), two.before(), sgd.step()
        one.after(t, 0.5 * t, 0.0), two.after(torch.tensor([t]), torch.tensor(0.5 * t), torch.zeros(()))
    assert one.products.equal(two.products) and one.loss.tolist() == two.loss.tolist() == [0.0, 0.5, 1.0]


def test_a_decay_that_is_changed_on_the_way_is_seen():
    """As in a loop of one's own, with ρ = 0: v is g + αw with the α of its step and group."""
    weights, sgd, gradients = lone([(4, 3), (3, 2), (2, 2)])
    del sgd.param_groups[0]["params"][1]
    sgd.add_param_group({"params": [weights["w1"]]})
    recorder = Recorder(weights, [sgd], 2)
    for t, alpha in enumerate((0.1, torch.tensor(0.7))):
        gradients()
        sgd.param_groups[0]["weight_decay"] = alpha
        recorder.before()
        recorder.after(t, 0.0, 0.0)
        for i, (name, w) in enumerate(weights.items()):
            d = w.grad + (alpha if name != "w1" else 0.0) * w.detach()
            measured = recorder.products[t, i, PRODUCTS.index(("v", "v"))]
            torch.testing.assert_close(measured, d.square().sum(), rtol=1e-5, atol=0)


def test_a_layer_that_nobody_moves_is_named():
    weights, sgd, _ = lone([(4, 3), (3, 2)])
    del sgd.param_groups[0]["params"][1]
    with pytest.raises(ValueError, match="^weights of w1: must be among those that the optimizers move$"):
        Recorder(weights, [sgd], 2)


def test_a_layer_without_gradient_is_named():
    weights, sgd, gradients = lone([(4, 3), (3, 2)])
    recorder = Recorder(weights, [sgd], 2)
    gradients()
    weights["w1"].grad = None
    with pytest.raises(ValueError, match=r"^weights of w1: must have a gradient; before\(\) comes after backward\(\)$"):
        recorder.before()


def step_of(recorder, t, optimizer, gradients):
    gradients()
    recorder.before()
    optimizer.step()
    recorder.after(t, 0.0, 0.0)


@pytest.mark.parametrize("make", [torch.optim.AdamW, torch.optim.RMSprop, lambda w: torch.optim.SGD(w, maximize=True)])
def test_an_optimizer_whose_momentum_is_not_known_is_named(make):
    weights, _, gradients = lone([(4, 3)])
    optimizer = make(weights.values())
    with pytest.raises(ValueError, match=f"^{type(optimizer).__name__}: must keep a direction or a momentum_b"):
        step_of(Recorder(weights, [optimizer], 1), 0, optimizer, gradients)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_recorder_sees_what_the_optimizer_loads(momentum):
    """A checkpoint replaces the groups of an optimizer and its momenta."""
    weights, sgd, gradients = lone([(4, 3)], momentum=momentum, weight_decay=0.5)
    recorder = Recorder(weights, [sgd], 3)
    step_of(recorder, 0, sgd, gradients)
    checkpoint = copy.deepcopy(sgd.state_dict())
    step_of(recorder, 1, sgd, gradients)
    checkpoint["param_groups"][0]["weight_decay"] = 0.0
    sgd.load_state_dict(checkpoint)
    step_of(recorder, 2, sgd, gradients)
    w = weights["w0"]
    v = sgd.state[w]["momentum_buffer"] if momentum else w.grad
    torch.testing.assert_close(recorder.products[2, 0, PRODUCTS.index(("v", "v"))], v.square().sum(), rtol=1e-5, atol=0)


def test_a_recorder_may_begin_later():
    """What was recorded from the middle on is what a recorder from the start has there."""
    weights, sgd, gradients = lone([(4, 3), (2, 5)], momentum=0.9)
    whole = Recorder(weights, [sgd], 4)
    for t in (0, 1):
        step_of(whole, t, sgd, gradients)
    late = Recorder(weights, [sgd], 2)
    for t in (0, 1):
        gradients()
        whole.before(), late.before(), sgd.step()
        whole.after(2 + t, 0.0, 0.0), late.after(t, 0.0, 0.0)
    assert late.products.equal(whole.products[2:])


def test_after_a_step_that_was_left_out_v_is_what_it_was():
    weights, sgd, gradients = lone([(4, 3)], weight_decay=0.5)
    recorder = Recorder(weights, [sgd], 3)
    for t, skipped in enumerate((0.0, 1.0, 0.0)):
        gradients()
        recorder.before()
        recorder.after(t, 0.0, 0.0, torch.tensor(skipped))
    place = {pair: n for n, pair in enumerate(PRODUCTS)}
    v2, v_prev2 = (recorder.products[:, 0, place[role, role]] for role in ("v", "v_prev"))
    assert v2[0] == v2[1] == v_prev2[1] == v_prev2[2] != v2[2]
    assert recorder.skipped.tolist() == [0, 1, 0]


@pytest.mark.gpu
def test_bitwise_the_same_weights_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    config = small.config()
    _, watched, _ = follow(config, device="cuda")
    _, alone, _ = follow(config, record=False, device="cuda")
    assert all(watched[name].equal(alone[name]) for name in alone)
