"""What the recorder keeps is what a slow loop in float64 finds, and the training does not notice it."""

import numpy as np
import pytest
import small
import torch
import torch.nn.functional as F

from resnet_dynamics import recording
from resnet_dynamics.data import Data
from resnet_dynamics.models import build, conv_layers
from resnet_dynamics.recorder import Recorder
from resnet_dynamics.train import learning_rates, make_optimizers, set_rates

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
            set_rates(optimizer, lr[t], lars_lr[t], config.weight_decay)
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
    assert recorder.loss.isnan().all() and recorder.products.shape == (4, 8, 5, 5)


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


@pytest.mark.gpu
@pytest.mark.parametrize("way", WAYS)
def test_a_step_does_not_wait_for_the_host(way):
    config = small.config(**WAYS[way])
    model = build(config, 3).cuda().train()
    optimizers = make_optimizers(config, model)
    recorder = Recorder(conv_layers(model), optimizers, 3, filters=True)
    x, y = torch.randn(32, 3, 16, 16, device="cuda"), torch.arange(32, device="cuda") % 3
    for t in range(3):
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error" if t else "default")
        try:
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            model.zero_grad()
            loss.backward()
            recorder.before()
            for optimizer in optimizers:
                set_rates(optimizer, 0.1, 0.1, config.weight_decay)
                optimizer.step()
            recorder.after(t, loss.detach(), (logits.argmax(1) == y).float().mean())
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_bitwise_the_same_weights_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    config = small.config()
    _, watched, _ = follow(config, device="cuda")
    _, alone, _ = follow(config, record=False, device="cuda")
    assert all(watched[name].equal(alone[name]) for name in alone)
