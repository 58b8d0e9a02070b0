"""The step that lies on the device is the plain loop, bit for bit, and can be recorded once and replayed."""

import contextlib
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import small
import torch
import torch.nn.functional as F
from dispatch import Count, HostRead, Log, Tape

from resnet_dynamics import train as loop
from resnet_dynamics.data import Data
from resnet_dynamics.models import build, conv_layers, symmetries
from resnet_dynamics.recorder import Recorder
from resnet_dynamics.schedules import decays, steps_of
from resnet_dynamics.train import Step, learning_rates, repeatable

CPU = torch.device("cpu")
WAYS = {
    "sgd": dict(momentum=0.0, weight_decay=0.01),
    "heavy ball": dict(momentum=0.9, weight_decay=0.01),
    "nesterov": dict(optimizer="nesterov", weight_decay=0.01),
    "lars": dict(optimizer="lars"),
    "lars, ρ = 0": dict(optimizer="lars", momentum=0.0),
    "lars-filter": dict(optimizer="lars-filter"),
    "lars, α ∝ λ": dict(optimizer="lars", weight_decay_schedule="lr"),
    "α ∝ λ": dict(weight_decay=0.05, weight_decay_schedule="lr"),
    "α ∝ λ, ρ = 0": dict(momentum=0.0, weight_decay=0.05, weight_decay_schedule="lr"),
    "α ∝ λ, nesterov": dict(optimizer="nesterov", weight_decay=0.05, weight_decay_schedule="lr"),
    "the rest by itself": dict(rest_lr_scale=0.5, rest_weight_decay_scale=3.0, no_norm="layer2", weight_decay=0.01),
    "ResNet-18": dict(model="resnet18", weight_decay=0.01),
    "no augmentation": dict(augment=False),
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    small.use(monkeypatch)


def plain(config):
    """The training loop as one would write it: torch's SGD, its rates numbers of Python. Returns (model, recorder)."""
    data = Data(config)
    model = build(config, 3).to(memory_format=torch.channels_last).train()
    (lr, lars_lr), dtype = learning_rates(config, data.steps_per_epoch), loop.precision(CPU)
    alpha = np.broadcast_to(decays(config, lr), lr.shape)
    normed = {name for group in symmetries(model) if group.per_filter for name in group.parameters}
    convs = [p for name, p in model.named_parameters() if name in normed]
    rest = [p for name, p in model.named_parameters() if name not in normed]
    sgd = torch.optim.SGD([dict(params=convs), dict(params=rest)], 0.0, config.momentum,
                          nesterov=config.optimizer == "nesterov")  # fmt: skip
    lars = config.optimizer.startswith("lars")
    recorder = Recorder(conv_layers(model), [sgd], len(lr))
    for t, (x, y) in enumerate(itertools.chain(*(data.epoch() for _ in range(2)))):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = model(x)
        loss = F.cross_entropy(logits.float(), y)
        model.zero_grad()
        loss.backward()
        sgd.param_groups[0].update(lr=lars_lr[t] if lars else lr[t], weight_decay=0.0 if lars else float(alpha[t]))
        sgd.param_groups[1].update(lr=lr[t] * config.rest_lr_scale,
                                   weight_decay=float(alpha[t] * config.rest_weight_decay_scale))  # fmt: skip
        recorder.before()
        for w in convs if lars else ():
            dim = (1, 2, 3) if config.optimizer == "lars-filter" else (0, 1, 2, 3)
            w_norm, g_norm = (torch.linalg.vector_norm(x.detach(), dim=dim, keepdim=True) for x in (w, w.grad))
            w.grad.mul_(w_norm / g_norm)
            if config.momentum == 0:
                sgd.state[w]["momentum_buffer"] = w.grad  # for the recorder; torch has no use for it
        sgd.step()
        recorder.after(t, loss.detach(), (logits.argmax(1) == y).float().mean())
    return model, recorder


def begun(config, filters=False):
    """The step of a run that is yet to be made."""
    data = Data(config)
    step = Step(config, data, steps_of(config, data.steps_per_epoch), CPU, filters)
    step.model.train()
    return step


def go(step, make_step, steps=10):
    for t in range(steps):
        if t % step.data.steps_per_epoch == 0:
            step.data.shuffle()
        make_step(t)
    return step


def assert_same(step, model, recorder):
    assert all(a.equal(b) for a, b in zip(step.model.state_dict().values(), model.state_dict().values()))
    for name in ("loss", "accuracy", "products"):
        one, other = getattr(step.recorder, name), getattr(recorder, name)
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("way", WAYS)
def test_it_is_bitwise_the_plain_loop(way):
    config = small.config(**WAYS[way])
    model, recorder = plain(config)
    assert_same(go(step := begun(config), lambda t: step()), model, recorder)


def persistent(step):
    """Tensors that a step finds and leaves: those whose memory a graph would have to know."""
    kept = [o for o in step.optimizers if o.param_groups[0]["momentum"]]
    buffers = [b for o in kept for state in o.state.values() for b in state.values()]
    return [*step.model.state_dict().values(), *buffers, step.t, *tensors_of(step.recorder),
            *tensors_of(step.recorder._rows), *tensors_of(step.data), *tensors_of(step.rates),
            *tensors_of(step.scaler)]  # fmt: skip


def tensors_of(thing):
    return [x for x in vars(thing).values() if torch.is_tensor(x)]


@pytest.mark.parametrize("way", WAYS)
def test_two_steps_are_the_same_to_the_device(way):
    """The same operators, numbers, shapes and places; none of them reads on the host."""
    step = go(begun(small.config(**WAYS[way]), filters=True), lambda t: None, 1)
    logs = []
    for _ in range(4):
        with Log(persistent(step)) as log:
            step()
        logs.append(log.lines)
    assert len(logs[2]) > 100 and logs[2] == logs[3]


class Graph(Tape):
    """On a CPU the step that is recorded is also made; on a GPU its first replay makes it."""

    def replay(self):
        if vars(self).setdefault("recorded", []):
            super().replay()
        self.recorded.append(True)


@pytest.fixture
def gpu(monkeypatch):
    """A device for `repeatable`, with a stand-in for each part of torch.cuda that it takes."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    parts = dict(CUDAGraph=Graph, Stream=lambda device: stream, current_stream=lambda: stream,
                 graph=lambda graph, stream: graph)  # fmt: skip
    for name, part in {**parts, "stream": contextlib.nullcontext, "device": contextlib.nullcontext}.items():
        monkeypatch.setattr(torch.cuda, name, part)
    return SimpleNamespace(type="cuda")


@pytest.mark.parametrize("way", WAYS)
def test_recorded_once_and_replayed_it_is_the_plain_loop(gpu, way):
    """As on a GPU: three steps as they are, the fourth recorded, and all from then on replayed."""
    config, made = small.config(**WAYS[way]), []
    step = begun(config)
    make_step = repeatable(lambda: made.append(step()), gpu)
    assert_same(go(step, lambda t: make_step()), *plain(config))
    assert len(made) == loop.WARM + 1


def test_the_stand_in_for_a_graph_refuses_what_a_graph_cannot_hold():
    step = go(begun(small.config()), lambda t: None, 1)
    step.optimizers[0] = torch.optim.SGD(step.model.parameters(), lr=torch.tensor(0.1), foreach=True)
    with pytest.raises(HostRead, match="_local_scalar_dense"), Tape():
        step()
    tape, step = Tape(), go(begun(small.config(momentum=0.0)), lambda t: None, 1)
    step.optimizers[0].param_groups[0]["lr"] = 0.1  # a number: recorded once for all
    with tape:
        step()
    step.optimizers[0].param_groups[0]["lr"] = 0.0
    before = step.model.prep.conv.weight.clone()
    tape.replay()
    assert not step.model.prep.conv.weight.equal(before)


@pytest.mark.parametrize("way", WAYS)
def test_it_asks_little_of_the_device(way):
    """Of a GPU each operator is a launch, or more: those of a step, and those of the recorder among them."""
    step = go(begun(small.config(**WAYS[way])), lambda t: None, 1)
    step(), step()
    with Count() as all_of_it:
        step()
    t, zero = step.t - 1, torch.zeros(())
    with Count() as recording:
        step.recorder.before()
        step.recorder.after(t, zero, zero)
    allowed = {"lars": 150, "lars, α ∝ λ": 150, "lars-filter": 180, "ResNet-18": 260}.get(way, 140)
    assert len(all_of_it.names) <= allowed, all_of_it.names
    assert len(recording.names) <= 12, recording.names


def test_elsewhere_than_on_a_gpu_each_step_is_made():
    step = begun(small.config())
    assert repeatable(step, CPU) is step


def test_only_a_very_long_run_on_a_gpu_is_compiled(monkeypatch):
    monkeypatch.setattr(loop.importlib.util, "find_spec", lambda name: True)
    full, cuda = small.config(width=64, batch_size=512), torch.device("cuda")
    assert not loop.earns_compiling(full, 2328, cuda)  # a baseline at full size
    assert loop.earns_compiling(full, 20 * 2328, cuda) and not loop.earns_compiling(full, 20 * 2328, CPU)
    monkeypatch.setattr(loop.importlib.util, "find_spec", lambda name: None)  # no triton: nothing to compile with
    assert not loop.earns_compiling(full, 20 * 2328, cuda)


def test_a_compiled_network_trains_likewise(monkeypatch):
    """(The backend that needs no C++ compiler.)"""
    config = small.config(epochs=1)
    eager = go(step := begun(config), lambda t: step(), 5)
    monkeypatch.setattr(loop, "earns_compiling", lambda *given: True)
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compile_(model, backend="aot_eager"))
    compiled = go(other := begun(config), lambda t: other(), 5)
    assert compiled.network is not compiled.model
    torch.testing.assert_close(compiled.recorder.loss, eager.recorder.loss, rtol=1e-2, atol=0)


def test_float16_does_not_wait_either(monkeypatch, gpu):
    """Steps that are left out, and others: the same to the device, and replayed as they are made."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float16)
    runs = []
    for device in (CPU, gpu):
        step = begun(small.config(epochs=4, optimizer="lars"))
        step.scaler._scale.fill_(2.0**28)
        make_step = repeatable(step, device)
        runs.append(go(step, lambda t, make_step=make_step: make_step(), 20))
    assert_same(runs[1], runs[0].model, runs[0].recorder)
    skipped = runs[0].recorder.skipped
    assert skipped.equal(runs[1].recorder.skipped) and skipped[:4].all() and 4 < skipped.sum() < 15


@pytest.mark.gpu
@pytest.mark.parametrize("way", WAYS)
def test_a_graph_gives_the_same_run(monkeypatch, way):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    config = small.config(**WAYS[way])
    one, two = (loop.train(config, device="cuda", progress=False, graph=graph)[1] for graph in (True, False))
    assert one.equals(two)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_a_step_does_not_wait_for_the_host(monkeypatch, way, dtype):
    monkeypatch.setattr(loop, "precision", lambda device: dtype)
    config, cuda = small.config(**WAYS[way]), torch.device("cuda")
    data = Data(config, cuda)
    step = Step(config, data, 10, cuda, filters=True)
    step.model.train(), data.shuffle(), step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step(), step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_compiled_network_is_part_of_the_graph(monkeypatch):
    config = small.config()
    plain_run = loop.train(config, device="cuda", progress=False)[1]
    monkeypatch.setattr(loop, "earns_compiling", lambda *given: True)
    compiled = loop.train(config, device="cuda", progress=False)[1]
    np.testing.assert_allclose(compiled.loss, plain_run.loss, rtol=0.05)
