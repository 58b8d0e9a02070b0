"""Any network in any loop: what is recorded is true, the training does not notice, and what is unknown is refused."""

import copy
import io
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import resnet_dynamics as rd
from resnet_dynamics import instrument, measure, pace, plots, watching
from resnet_dynamics.directions import SGDW, Adam
from resnet_dynamics.recorder import Recorder

STEPS = 7


@dataclass
class Output:
    loss: torch.Tensor
    logits: torch.Tensor


class Language(nn.Module):
    """As libraries of language models have it: labels go in, an object with a loss comes out; two weights are one."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 8), nn.Linear(8, 9, bias=False)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.head.weight = self.embedding.weight

    def forward(self, input_ids, labels):
        logits = self.head(self.block(self.embedding(input_ids)))
        return Output(F.cross_entropy(logits.flatten(0, 1), labels.flatten()), logits)


def language(model, random):
    ids = torch.randint(9, (4, 6), generator=random)
    return model(input_ids=ids[:, :-1], labels=ids[:, 1:]).loss


def images(model, random):
    return F.cross_entropy(model(torch.randn(4, 3, 16, 16, generator=random)), torch.arange(4) % 3)


def rows(model, random):
    return F.cross_entropy(model(torch.randn(16, 6, generator=random)), torch.arange(16) % 3)


def resnet18():
    return rd.models.resnet18(16, 3)  # torchvision's, narrower


def vit():
    import torchvision

    return torchvision.models.VisionTransformer(16, 8, 2, 2, 16, 32, num_classes=3, dropout=0.1)


def net(norm=nn.BatchNorm1d):
    return nn.Sequential(nn.Linear(6, 8, bias=False), norm(8), nn.ReLU(), nn.Linear(8, 3))


def sgd(model, **more):
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, "weight_decay": 0.02, "momentum": 0.9, **more})


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.8, 0.99))


class Branches(nn.Module):
    """One of two layers is used in a step; and a layer is used twice."""

    def __init__(self):
        super().__init__()
        self.t, self.both, self.turns = -1, nn.Linear(6, 6), nn.ModuleList([nn.Linear(6, 3), nn.Linear(6, 3)])

    def forward(self, x):
        self.t += 1
        return self.turns[self.t % 2](self.both(self.both(x)))


class Loop:
    """A loop of somebody else: a network of the seed, its batches, and the lines of a watch where there is one."""

    def __init__(self, make=net, loss_of=rows, optimizer=sgd, watched=True, **settings):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = make()
        self.random = torch.Generator().manual_seed(0)
        found = optimizer(self.model)
        self.optimizers = found if isinstance(found, list) else [found]
        self.schedulers, self.loss_of, self.copies = [], loss_of, []
        self.watch = rd.watch(self.model, found, **{"every": 1, **settings}) if watched else None

    def run(self, steps=STEPS, amp=False, accumulate=1, network=None):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.random.initial_seed())
            for _ in range(steps):
                self.step(amp, accumulate, network or self.model)
        return self

    def step(self, amp, accumulate, network):
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        for _ in range(accumulate):
            with torch.autocast("cpu", torch.bfloat16, enabled=amp):
                loss = self.loss_of(network, self.random) / accumulate
            loss.backward()
        if self.watch:
            self.watch.before()
            weights = self.watch.layers.items()
            self.copies.append({name: (w.detach().double(), None if w.grad is None else w.grad.to_dense().double(),
                                       *self.group(w)) for name, w in weights})  # fmt: skip
        for optimizer in self.optimizers:
            optimizer.step()
        if self.watch:
            self.watch.after(loss)
        for scheduler in self.schedulers:
            scheduler.step()

    def group(self, weight):
        """λ, α, ρ as they are now, looked up the slow way."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if any(weight is p for p in group["params"]):
                    return group["lr"], group["weight_decay"], group.get("momentum", 0.9)

    def weights(self):
        return [p.detach().clone() for p in self.model.parameters()]


def assert_same(one, other):
    assert len(one) == len(other) and all(a.equal(b) for a, b in zip(one, other))


LOOPS = {
    "resnet18": (dict(make=resnet18, loss_of=images), {}),
    "vision transformer": (dict(make=vit, loss_of=images, optimizer=adamw), {}),
    "language, autocast": (dict(make=Language, loss_of=language), dict(amp=True)),
    "accumulated": ({}, dict(accumulate=3)),
    "no momentum": (dict(optimizer=lambda m: sgd(m, momentum=0.0)), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_bitwise_the_same_weights_with_and_without(name):
    """Dropout draws what it would have drawn, too."""
    loop, run = LOOPS[name]
    steps = 2 if name == "resnet18" else STEPS
    watched, alone = Loop(**loop).run(steps, **run), Loop(**loop, watched=False).run(steps, **run)
    assert_same(watched.weights(), alone.weights())
    ds = watched.watch.recording()
    assert ds.sizes["step"] == steps and np.isfinite(ds[["w2", "g2", "u2", "wg", "loss"]].to_array()).all()


def test_what_resnet18_is_recorded_as():
    """Layers by name; and the classifier alone is not scale invariant."""
    loop = Loop(resnet18, images).run(watching.FEWEST)
    ds, found = loop.watch.recording(), loop.watch.invariant()
    assert {"conv1", "layer2.0.downsample.0", "fc"} < {*ds.layer.values} and ds.sizes["layer"] == 21
    assert found.layer[~found.invariant].values.tolist() == ["fc"]
    assert float(abs(measure.telescoping(ds).closure).max()) < 1e-3


WAYS = {
    "sgd": dict(momentum=0.0),
    "heavy ball": {},
    "nesterov": dict(nesterov=True),
}  # fmt: skip


def two_groups(way):
    def make(model):
        first, *rest = model.parameters()
        own = {"params": [first], "lr": 0.3, "weight_decay": 0.2}
        return torch.optim.SGD([own, {"params": rest}], **{"lr": 0.1, "weight_decay": 0.02, "momentum": 0.9, **way})

    return make


def scheduled(way, steps=STEPS, **settings):
    loop = Loop(optimizer=two_groups(way), **settings)
    loop.schedulers = [torch.optim.lr_scheduler.LambdaLR(one, lambda t: 1 / (1 + t)) for one in loop.optimizers]
    return loop.run(steps)


@pytest.mark.parametrize("way", WAYS)
def test_all_quantities_equal_the_slow_loop(way):
    """Two groups, each with λ and α of its own, and a schedule: by definition, in float64."""
    loop = scheduled(WAYS[way])
    ds = loop.watch.recording()
    last = {name: w.detach().double() for name, w in loop.watch.layers.items()}
    for layer in ds.layer.values:
        v = 0 * loop.copies[0][layer][0]
        for t, copies in enumerate(loop.copies):
            w, g, lr, alpha, rho = copies[layer]
            u = (loop.copies[t + 1][layer][0] if t + 1 < STEPS else last[layer]) - w
            d = g + alpha * w
            v_prev, v = v, rho * v + d
            here = ds.sel(layer=layer).isel(step=t)
            pairs = {"w2": (w, w), "g2": (g, g), "d2": (d, d), "v2": (v, v), "u2": (u, u), "wg": (w, g),
                     "wv": (w, v_prev), "dv": (d, v_prev), "gv": (g, v_prev)}  # fmt: skip
            for name, (a, b) in pairs.items():
                tolerance = (1e-4 if name == "u2" else 5e-6) * float(a.norm() * b.norm())
                assert abs(float(here[name]) - float((a * b).sum())) <= tolerance, name
            assert (float(here.lr), float(here.weight_decay), float(here.momentum)) == (lr, alpha, rho)


@pytest.mark.parametrize("way", WAYS)
def test_bookkeeping_closes_where_each_layer_has_a_setting_of_its_own(way):
    ds = scheduled(WAYS[way], 40).watch.recording()
    assert ds.lr.dims == ds.weight_decay.dims == ("step", "layer") and ds.momentum.dims == ("step",)
    assert float(abs(measure.telescoping(ds).closure).max()) < 1e-5
    line = measure.line(ds)
    expected = np.sqrt(2 * ds.lr * ds.weight_decay * (1 - ds.momentum))
    np.testing.assert_allclose(line, expected, rtol=1e-12)
    np.testing.assert_allclose(measure.balance(ds), (measure.rate(ds) / line) ** 2, rtol=1e-5)


def test_its_products_are_those_of_the_recorder():
    loop = Loop()
    recorder = Recorder(loop.watch.layers, loop.optimizers, STEPS)
    begin, after = loop.watch.before, loop.watch.after
    loop.watch.before = lambda: (begin(), recorder.before())
    loop.watch.after = lambda loss: (recorder.after(loop.watch.t, loss, 0.0), after(loss))
    state = loop.run().watch.state_dict()
    assert state["products"].equal(recorder.products) and state["loss"].equal(recorder.loss)


def test_measures_and_figures_take_it():
    ds = Loop(steps=60).run(60).watch.recording(seed=3)
    z = measure.balance(ds)
    np.testing.assert_allclose(z.mean(), ((measure.rate(ds) / measure.line(ds)) ** 2).mean(), rtol=1e-6)
    path = measure.predicted(ds, "correlated", steps=None)
    np.testing.assert_allclose(path.w2[0], ds.w2[0], rtol=1e-6)
    for draw in (plots.norms, plots.ratio, plots.rotation, plots.cosine, plots.prediction, plots.growth):
        assert draw(ds).lines
    assert rd.recording.setting(ds)[:4] == ("sgd", 0.1, 0.02, 0.9) and rd.recording.describe(ds) == "2 layers, sgd"


def test_it_can_be_kept_in_a_file(tmp_path):
    ds = scheduled({}).watch.recording()
    ds.to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "mine.nc", engine="h5netcdf") as read:
        xr.testing.assert_equal(measure.balance(read), measure.balance(ds))


def test_a_layer_without_gradient_where_nothing_moves():
    """λ = 0 leaves no step out: nothing was left out but that layer."""
    loop = Loop(Branches, optimizer=lambda m: sgd(m, lr=0.0)).run(4)
    assert loop.watch.recording().skipped.sum("step").values.tolist() == [0, 2, 2]


def test_figures_have_a_line_for_each_lr():
    ax = plots.ratio(scheduled({}).watch.recording())
    black = [line for line in ax.lines if line.get_color() == "black"]
    assert len(black) == 2 and [text.get_text() for text in ax.get_legend().get_texts()].count("√(2λα(1−ρ))") == 1


def test_of_an_optimizer_whose_momentum_is_not_known():
    loop = Loop(optimizer=adamw).run(40)
    ds = loop.watch.recording()
    assert ds[["d2", "v2", "wv", "dv", "gv"]].isnull().to_array().all()
    assert (ds.optimizer == "AdamW").all() and (ds.momentum == 0.8).all() and (ds.weight_decay == 0.01).all()
    w, g = loop.copies[3]["0"][:2]
    assert float(measure.cosine(ds)[3, 0]) == pytest.approx(float((w * g).sum() / w.norm() / g.norm()), abs=1e-6)
    measure.norm(ds), measure.rotation(ds), measure.gradient_size(ds), plots.norms(ds), plots.rotation(ds)
    said = "must be a run of SGD, whose equations these are"
    for equation in (measure.rate, measure.line, measure.growth, measure.balance, measure.telescoping, measure.drift):
        with pytest.raises(ValueError, match=f"of a run with optimizer='AdamW': {said}$"):
            equation(ds)
    with pytest.raises(ValueError, match="^correlation of a recording without gv, .*: must have it, these steps"):
        measure.correlation(ds)


@pytest.mark.parametrize("make, name", [(SGDW, "sgdw"), (Adam, "adamw")])
def test_of_an_optimizer_of_this_package(make, name):
    """v is what λ multiplies, and there is a line for it."""
    loop = Loop(optimizer=lambda m: make(m.parameters(), lr=0.01, weight_decay=0.1)).run(20)
    ds = loop.watch.recording()
    u = loop.optimizers[0].state[loop.watch.layers["0"]]["direction"]
    assert float(ds.v2[-1, 0]) == pytest.approx(float(u.square().sum()), rel=1e-5)
    assert rd.recording.setting(ds).optimizer == name
    np.testing.assert_allclose(measure.rate(ds), 0.01 * np.sqrt(ds.v2 / ds.w2), rtol=1e-6)
    np.testing.assert_allclose(measure.balance(ds), (measure.rate(ds) / measure.line(ds)) ** 2, rtol=1e-5)
    assert ds.lr.attrs["units"] == ("u" if make is Adam else "u²/nat")
    with pytest.raises(ValueError, match="must be a run of SGD"):
        measure.telescoping(ds)


def test_two_optimizers_are_two_recordings_in_one():
    def make(model):
        first, *rest = model.parameters()
        return [torch.optim.SGD([first], lr=0.1, momentum=0.9), torch.optim.AdamW(rest)]

    ds = Loop(optimizer=make).run(40).watch.recording()
    with pytest.raises(ValueError, match="^the optimizer is sgd in 0 and AdamW in 3: .* such as ds.sel"):
        measure.rate(ds)
    part = ds.sel(layer=["0"])
    np.testing.assert_allclose(measure.rate(part), 0.1 * np.sqrt(part.g2 / part.w2), rtol=1e-5)
    assert part.v2.notnull().all() and ds.v2.sel(layer="3").isnull().all()
    with pytest.raises(ValueError, match="gv"):
        measure.correlation(ds.sel(layer=["3"]))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_layers_without_a_gradient_in_some_steps(momentum):
    """They are not moved, decay included, keep their v, and the sums over all steps close."""
    loop = Loop(Branches, optimizer=lambda m: sgd(m, momentum=momentum)).run(40)
    ds = loop.watch.recording()
    assert ds.skipped.sel(layer="turns.0").values.tolist() == [0, 1] * 20 and (ds.skipped.sel(layer="both") == 0).all()
    out = ds.sel(layer="turns.0").isel(step=slice(1, None, 2))
    assert (out.u2 == 0).all() and out[["g2", "d2", "wg", "dv", "gv"]].isnull().to_array().all()
    assert out.v2.equals(ds.v2.sel(layer="turns.0")[::2].assign_coords(step=out.step))
    assert float(abs(measure.telescoping(ds).closure).max()) < 1e-5
    with pytest.raises(ValueError, match="^predicted of layers of which some had no gradient"):
        measure.predicted(ds)
    measure.predicted(ds.isel(layer=(ds.skipped == 0).all("step")))


def test_a_step_that_the_scaler_leaves_out():
    """As torch.amp does it: gradients that overflow, and no step."""
    loop, scaler = Loop(), torch.amp.GradScaler("cpu", init_scale=8.0)
    for t in range(4):
        loop.model.zero_grad()
        scaler.scale(rows(loop.model, loop.random)).backward()
        if t == 2:
            loop.model[0].weight.grad[0, 0] = torch.inf
        scaler.unscale_(loop.optimizers[0])
        loop.watch.before()
        scaler.step(loop.optimizers[0])
        loop.watch.after()
        scaler.update()
    ds = loop.watch.recording()
    assert ds.skipped.values.tolist() == [0, 0, 1, 0] and ds.loss.isnull().all() and ds.diverged_at == -1
    assert ds.g2[2].isnull().all() and np.isfinite(measure.telescoping(ds).closure).all()


def test_sparse_gradients():
    def make():
        return nn.Sequential(nn.EmbeddingBag(9, 6, sparse=True), nn.Linear(6, 3))

    def loss_of(model, random):
        return F.cross_entropy(model(torch.randint(9, (16, 2), generator=random)), torch.arange(16) % 3)

    loop = Loop(make, loss_of, lambda m: sgd(m, momentum=0.0, weight_decay=0.0)).run()
    ds = loop.watch.recording()
    np.testing.assert_allclose(ds.g2[3, 0], loop.copies[3]["0"][1].square().sum(), rtol=1e-5)
    assert float(abs(measure.radial(ds) + measure.growth(ds) - ds.w2.diff("step", label="lower")).max()) < 1e-5


@pytest.mark.parametrize("keep, every", [(5, 1), (3, 4), (None, 4)])
def test_memory_is_flat_or_thinner(keep, every, monkeypatch):
    """The last steps, or some, are those of a recording of all; of blocks that hold few."""
    monkeypatch.setattr(watching, "BLOCK", 4)
    every_step, some = Loop().run(30).watch.recording(), Loop(keep=keep, every=every).run(30)
    ds, steps = some.watch.recording(), np.arange(0, 30, every)[-(keep or 0) :]
    assert ds.step.values.tolist() == steps.tolist()
    xr.testing.assert_equal(ds.drop_vars("part"), every_step.sel(step=steps).drop_vars("part"))
    held = sum(len(block.step) for block in some.watch._blocks)
    assert held <= keep + 2 * 4 if keep else held == 8
    if every > 1:
        with pytest.raises(ValueError, match="must be steps without gaps"):
            measure.telescoping(ds)


class Clock:
    """Time passes where it is said to, by both clocks: in a step, and in each of the two lines of a watch."""

    def __init__(self, monkeypatch, loop, step, line):
        self.now = np.zeros(2)
        monkeypatch.setattr(pace, "clock", lambda: self.now)
        loop.schedulers = [self]
        self.step = lambda: self.passes(step)
        for name in ("begin", "after"):
            part = getattr(loop.watch._instrument, name)
            timed = lambda *a, part=part, **b: (self.passes(line), part(*a, **b))[1]  # noqa: E731
            monkeypatch.setattr(loop.watch._instrument, name, timed)

    def passes(self, seconds):
        self.now = self.now + seconds


MEASURED = pace.WARM + pace.TIMED


@pytest.mark.parametrize("cost, share, every", [
    (0.04, 0.05, 1), (0.06, 0.05, 2), (0.14, 0.05, 3), (0.145, 0.01, 15), (3.99, 0.05, 80),
])  # fmt: skip
def test_a_watch_takes_the_share_of_the_time_that_it_may(cost, share, every, monkeypatch):
    """Recording a step takes `cost` of a step of a second: one of so many is recorded, and not one more than needed."""
    loop, steps = Loop(every="auto", share=share), 100
    Clock(monkeypatch, loop, step=1.0, line=cost / 2)
    loop.run(MEASURED)
    assert loop.watch.every is None and loop.watch.recording().step.values.tolist() == [*range(MEASURED)]
    loop.run(steps - MEASURED)
    step = loop.watch.recording().step.values
    later = [t for t in range(MEASURED, steps) if t % every == 0]
    assert loop.watch.every == every and step[MEASURED:].tolist() == later
    assert cost / every <= share and (every == 1 or cost / (every - 1) > share)


def test_slow_first_steps_and_single_slow_ones_do_not_count(monkeypatch):
    """As of a compiler, and of a test set after an epoch."""
    loop = Loop(every="auto")
    clock = Clock(monkeypatch, loop, step=1.0, line=0.095)
    slow = dict.fromkeys([*range(pace.WARM), 5, 8], 300.0)
    clock.step = lambda: clock.passes(slow.get(loop.watch.t - 1, 1.0))
    loop.run(MEASURED + 1)
    assert loop.watch.every == 4  # ⌈0.19/0.05⌉


@pytest.mark.parametrize("step, line", [
    ((4.0, 1.0), (0.1, 0.095)), ((1.0, 4.0), (0.095, 0.1)), ((1.0, 0.0), (0.095, 0.0)),
])  # fmt: skip
def test_the_clock_counts_that_has_the_higher_cost(step, line, monkeypatch):
    """Others make steps wait; steps use more threads than recording; a clock is too coarse."""
    loop = Loop(every="auto")
    Clock(monkeypatch, loop, np.array(step), np.array(line))
    assert loop.run(MEASURED + 1).watch.every == 4


def test_what_is_recorded_does_not_depend_on_which_steps_are(monkeypatch):
    """Nor do the weights: the recorded steps are those of a recording of all."""
    whole, some = Loop().run(30), Loop(every="auto", steps=30)
    Clock(monkeypatch, some, step=1.0, line=0.095)
    ds = some.run(30).watch.recording()
    assert_same(whole.weights(), some.weights())
    assert ds.step.values.tolist() == [*range(MEASURED), *range(12, 30, 4)]
    xr.testing.assert_equal(ds.drop_vars("part"), whole.watch.recording().sel(step=ds.step).drop_vars("part"))
    with pytest.raises(ValueError, match=r"must be steps without gaps, as rd.watch\(..., every=1\) has them$"):
        measure.telescoping(ds)


def test_products_of_large_layers_equal_those_in_float64():
    """Sums over many chunks: within 1e-6 of |a||b|, u apart, which is a small difference of float32."""
    loop = Loop(lambda: nn.Sequential(nn.Linear(6, 700), nn.ReLU(), nn.Linear(700, 300), nn.ReLU(), nn.Linear(300, 3)))
    loop.run(3)
    w, g = (one.flatten() for one in loop.copies[2]["2"][:2])
    w_, v = loop.watch.layers["2"].detach().double().flatten(), loop.copies[0]["2"][1].flatten() * 0
    v_prev = v
    for copies in loop.copies:
        v_prev, v = v, 0.9 * v + copies["2"][1].flatten() + 0.02 * copies["2"][0].flatten()
    ds = loop.watch.recording().sel(layer="2").isel(step=2)
    pairs = {"w2": (w, w), "g2": (g, g), "v2": (v, v), "wg": (w, g), "wv": (w, v_prev), "gv": (g, v_prev)}
    for name, (a, b) in pairs.items():
        assert abs(float(ds[name]) - float(a @ b)) < 1e-6 * float(a.norm() * b.norm()), name
    assert float(ds.u2) == pytest.approx(float((w_ - w).square().sum()), rel=1e-4)


def test_between_recorded_steps_sgd_keeps_no_momentum():
    ds = Loop(optimizer=lambda m: sgd(m, momentum=0.0), every=2).run().watch.recording()
    assert ds[["wv", "dv", "gv"]].isel(step=slice(1, None)).isnull().to_array().all() and ds.v2.notnull().all()
    with pytest.raises(ValueError, match="kappa"):
        measure.kappa(ds.isel(step=slice(1, None)))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_run_that_is_resumed(momentum):
    """From a checkpoint on disk, in new objects: the recording is that of a run in one go."""

    def optimizer(model):
        return sgd(model, momentum=momentum)

    whole, first = Loop(optimizer=optimizer).run(), Loop(optimizer=optimizer).run(4)
    file = io.BytesIO()
    torch.save([one.state_dict() for one in (first.model, first.optimizers[0], first.watch)], file)
    file.seek(0)
    second = Loop(optimizer=optimizer)
    states = torch.load(file, weights_only=True)
    for one, state in zip((second.model, second.optimizers[0], second.watch), states):
        one.load_state_dict(state)
    second.random = first.random
    expected, ds = whole.watch.recording(), second.run(STEPS - 4).watch.recording()
    if not momentum:  # of the step after, v_{t−1} was kept nowhere
        assert ds.wv[4].isnull().all()
        expected, ds = (one.drop_vars(["wv", "dv", "gv"]) for one in (expected, ds))
    xr.testing.assert_identical(ds, expected)


def test_a_change_of_the_weights_begins_a_new_part():
    loop = Loop().run(3)
    with torch.no_grad():
        loop.model[0].weight.mul_(1.01)
    ds = loop.run(3).watch.recording()
    assert ds.part.values.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="whose weights were changed before step 3"):
        measure.telescoping(ds)


def test_gradients_that_the_optimizer_is_not_given():
    """Clipped after before(): the updates tell."""
    loop = Loop()
    begin = loop.watch.before
    loop.watch.before = lambda: (begin(), nn.utils.clip_grad_norm_(loop.model.parameters(), 1e-3))
    with pytest.warns(UserWarning, match="^0: at step 0, and at 7 of 7 in all, the update is not that of SGD"):
        loop.run().watch.recording()


def test_weights_that_are_not_finite_any_more():
    loop = Loop().run(3)
    loop.optimizers[0].param_groups[0]["lr"] = 1e30
    assert loop.run(4).watch.recording().diverged_at == 3


def compiled(model):
    return torch.compile(model, backend="aot_eager")


@pytest.mark.parametrize("wrap", [nn.DataParallel, compiled, lambda m: nn.DataParallel(compiled(m))])
def test_wrappers_change_no_name_and_no_number(wrap):
    plain, loop = Loop().run(), Loop(watched=False)
    network = wrap(loop.model)
    loop.watch = rd.watch(network, loop.optimizers)
    ds, expected = loop.run(network=network).watch.recording(), plain.watch.recording()
    assert ds.layer.equals(expected.layer)
    np.testing.assert_allclose(ds.w2, expected.w2, rtol=1e-5)


def test_weights_that_are_tied_are_one_layer():
    loop = Loop(Language, language).run(watching.FEWEST)
    names = [*loop.watch.layers]
    assert names == ["embedding", "block.self_attn.in_proj_weight", "block.self_attn.out_proj", "block.linear1",
                     "block.linear2"]  # fmt: skip
    assert loop.watch.recording().weights.values.tolist() == [w.numel() for w in loop.watch.layers.values()]


def test_frozen_weights_are_left_out_and_any_can_be_named():
    model = net()
    optimizer = sgd(model)
    model[0].weight.requires_grad_(False)
    assert [*rd.watch(model, optimizer).layers] == ["3"]
    assert [*rd.watch(model, optimizer, layers=["1", "3.weight", "3.bias"]).layers] == ["1", "3", "3.bias"]


@pytest.mark.parametrize("amp", [False, True])
def test_which_layers_were_invariant(amp):
    """As the rules for ResNet-9 say, also where gradients are of bfloat16."""

    def make():
        return rd.models.build(rd.Config.smoke(no_norm="layer3.res2"), 3)

    found = Loop(make, images).run(watching.FEWEST, amp).watch.invariant()
    rules = {one.parameters[0].removesuffix(".weight") for one in rd.models.symmetries(make()) if one.per_filter}
    assert {*found.layer[found.invariant].values} == rules and found.sizes["layer"] == 9


def test_too_few_steps_tell_nothing():
    with pytest.raises(ValueError, match=r"^invariant\(\) of 4 steps with a gradient: must be at least 5$"):
        Loop().run(4).watch.invariant()


class Asked(TorchDispatchMode):
    """The operators that are asked for inside."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_no_value_is_asked_for_and_every_step_asks_for_the_same(momentum):
    """A value of the device would be waited for: _local_scalar_dense is .item()."""
    loop, asked = Loop(optimizer=lambda m: sgd(m, momentum=momentum)), []
    begin, after = loop.watch.before, loop.watch.after

    def logged(line, *args):
        with Asked() as log:
            line(*args)
        asked.append(log.names)

    loop.watch.before, loop.watch.after = lambda: logged(begin), lambda loss: logged(after, loss)
    loop.run()
    assert not {"_local_scalar_dense", "nonzero", "equal"} & set().union(*asked)
    assert all(names == asked[2 + i % 2] for i, names in enumerate(asked[2:])) and len(asked) == 2 * STEPS


def test_settings_on_the_device_are_read_late():
    block = instrument.Block(torch.zeros(2, 1, 15), torch.zeros(2))
    late = torch.empty((), device="meta")
    block.note(0, [False], [0], [(late, torch.tensor(0.5), 0.25)])
    assert block.settings[0].tolist() == [[0.0, 0.5, 0.25]] and len(block._late) == 1


def lazy():
    return nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))


@pytest.mark.parametrize("model, settings, said", [
    (nn.BatchNorm1d(3), {}, "^model: must have a weight of two dimensions or more that the optimizer moves"),
    (net(), dict(layers=["5"]), "^no layer 5 in this network: it has 0, 1, 1.bias, 3, 3.bias$"),
    (net(), dict(keep=0), "^keep=0: must be a whole number, at least 1$"),
    (net(), dict(every=None), "^every=None: must be a whole number, at least 1, or 'auto'$"),
    (net(), dict(share=0.0), "^share=0.0: must be a number above 0$"),
    (nn.Linear(3, 2, dtype=torch.complex64), {}, "^weights of weight: must be real numbers$"),
    (lazy(), {}, "^weights of 0, 0.bias: must have a shape: run a batch through the network first"),
    (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta")), {}, "^weights of 1: must be whole, and on one"),
])  # fmt: skip
def test_what_cannot_be_watched_is_named(model, settings, said):
    with pytest.raises(ValueError, match=said):
        rd.watch(model, sgd(model), **settings)


def test_whose_weights_they_are():
    model = net()
    with pytest.raises(ValueError, match="^weights of 0: must be among those that the optimizers move$"):
        rd.watch(model, torch.optim.SGD([model[3].weight]), layers=["0"])
    with pytest.raises(ValueError, match="^weights of 0, 3: must be moved by one optimizer, not by several$"):
        rd.watch(model, [sgd(model), sgd(model)])
    with pytest.raises(TypeError, match="^optimizer=a Linear: must be a torch optimizer, or a list of them$"):
        rd.watch(model, model[3])
    with pytest.raises(TypeError, match="^model=a list: must be a torch.nn.Module$"):
        rd.watch([*model.parameters()], sgd(model))


def test_lines_in_a_wrong_place_are_named():
    watch = (loop := Loop()).watch
    with pytest.raises(ValueError, match=r"^recording\(\): must have a step, none is complete$"):
        watch.recording()
    with pytest.raises(ValueError, match=r"^after\(\): must follow before\(\), with optimizer.step\(\) between"):
        watch.after(0.5)
    with pytest.raises(ValueError, match=r"^weights: must have a gradient, and none has; before\(\) comes after"):
        watch.before()
    loop.run(1)
    watch.before()
    with pytest.raises(ValueError, match=r"^loss of shape \(2,\): must be one number$"):
        watch.after(torch.zeros(2))
    other = Loop(lambda: nn.Linear(6, 3))
    with pytest.raises(ValueError, match="^state of the layers 0, 3: must be of weight$"):
        other.watch.load_state_dict(copy.deepcopy(watch.state_dict()))
