"""The loop trains as its docstring says, and its recordings keep the identities of the theory."""

import functools
import json
import time

import numpy as np
import pytest
import small
import torch
import torch.nn.functional as F

from resnet_dynamics import measure
from resnet_dynamics import train as loop
from resnet_dynamics.arms import REST
from resnet_dynamics.data import Data
from resnet_dynamics.machine import duration, pick_device, precision
from resnet_dynamics.models import build, conv_layers, normalized
from resnet_dynamics.steering import make_optimizers
from resnet_dynamics.train import train


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    small.use(monkeypatch)


def quietly(config, device="cpu", **given):
    return train(config, device=device, progress=False, **given)


@pytest.fixture(scope="module")
def sgd():
    """(model, recording) of a run with ρ = 0 in which shrink and growth are large."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        small.use(monkeypatch)
        return quietly(small.config(epochs=6, lr=2.0, momentum=0.0, weight_decay=0.01))


def test_what_comes_back(sgd):
    model, ds = sgd
    assert isinstance(model, torch.nn.Module)
    assert ds.sizes == {"step": 30, "layer": 8, "epoch": 6}
    assert ds.loss[-1] < ds.loss[0]
    assert all(ds[name].notnull().all() for name in ds.data_vars)
    assert ds.attrs["diverged_at"] == -1 and ds.attrs["dataset"] == "small" and ds.attrs["images_per_second"] > 0
    assert type(ds.attrs["torch_version"]) is str  # its own class is more than NetCDF can hold


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
def test_the_exact_symmetry_is_exact(monkeypatch, optimizer):
    """w₀ → r w₀, λ → r²λ, α → α/r² for the convolutions alone: with r = 2 and ε ≈ 0 even the rounding is the same."""
    monkeypatch.setattr(torch.nn, "BatchNorm2d", functools.partial(torch.nn.BatchNorm2d, eps=1e-30))
    config, r = small.config(weight_decay=0.01, epochs=4, optimizer=optimizer), 2.0
    moved = config.replace(lr=config.lr * r**2, weight_decay=config.weight_decay / r**2, init_scale=r,
                           rest_lr_scale=r**-2, rest_weight_decay_scale=r**2)  # fmt: skip
    (one, ds), (two, moved_ds) = quietly(config), quietly(moved)
    convs = conv_layers(two)
    for name, w in conv_layers(one).items():
        assert convs[name].equal(r * w)
    assert two.linear.weight.equal(one.linear.weight) and moved_ds.loss.equals(ds.loss)
    for missing in ("init_scale", "rest_lr_scale", "rest_weight_decay_scale"):
        assert not quietly(moved.replace(**{missing: 1}))[1].loss.equals(ds.loss)


def test_the_rest_can_stay_as_it_is():
    model, _ = quietly(small.config(rest_lr_scale=0, no_norm="prep"))
    first = dict(build(small.config(no_norm="prep"), 3).named_parameters())
    convs = [w for name, w in conv_layers(model).items() if name != "prep"]
    for name, w in model.named_parameters():
        assert w.equal(first[name]) != any(w is conv for conv in convs), name


def test_the_rest_can_do_without_decay():
    """Here λα = 1: what decays is zero after one step but for its gradient."""
    rate = dict(lr=0.01, momentum=0.0, schedule="constant", warmup=0, epochs=0.2, weight_decay=100.0)
    config = small.config(**rate)
    first = dict(build(config, 3).named_parameters())["linear.weight"]
    decayed, kept = (quietly(c)[0].linear.weight for c in (config, config.replace(rest_weight_decay_scale=0)))
    assert (kept - first - decayed).abs().max() < 1e-6 * first.abs().max()
    assert (kept - first).norm() < 0.1 * first.norm()


def test_a_float32_loop_without_any_of_it_gives_the_same_weights(monkeypatch):
    """No recorder, no watch, no optimizer class: equations, in the order of the docstring."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float32)
    config = small.config(weight_decay=0.01)
    trained, ds = quietly(config)

    data, model = Data(config), build(config, 3).to(memory_format=torch.channels_last).train()
    weights = list(model.parameters())
    v = [torch.zeros_like(w) for w in weights]
    t = 0
    for _ in range(2):
        for x, y in data.epoch():
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            with torch.no_grad():
                for w, v_ in zip(weights, v):
                    v_.mul_(config.momentum).add_(w.grad + config.weight_decay * w)
                    w.sub_(ds.lr.values[t] * v_)
            t += 1
    for w, trained_w in zip(weights, trained.parameters()):
        torch.testing.assert_close(trained_w, w, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_bitwise_the_same_weights_without_the_recorder(monkeypatch, device):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)

    class Nothing(loop.Recorder):
        before = after = lambda self, *given: None

    for changes in (dict(momentum=0.0), dict(optimizer="nesterov"), dict(optimizer="lars")):
        watched, _ = quietly(small.config(**changes), device, filters=True)
        with monkeypatch.context() as patch:
            patch.setattr(loop, "Recorder", Nothing)
            patch.setattr(loop, "finish", lambda *given: None)
            patch.setattr(loop.Watch, "__call__", lambda *given: False)
            alone, _ = quietly(small.config(**changes), device)
        assert all(a.equal(b) for a, b in zip(watched.state_dict().values(), alone.state_dict().values()))


def test_a_run_is_a_function_of_its_configuration(sgd):
    torch.manual_seed(time.time_ns() % 1000)
    before = torch.get_rng_state()
    _, again = quietly(small.config(epochs=6, lr=2.0, momentum=0.0, weight_decay=0.01))
    assert torch.get_rng_state().equal(before)
    assert again.equals(sgd[1])
    assert not quietly(small.config(seed=1))[1].w2.equals(quietly(small.config(seed=2))[1].w2)


def test_gradients_are_orthogonal_to_the_weights(sgd):
    _, ds = sgd
    cosine = ds.wg / np.sqrt(ds.w2 * ds.g2)
    assert (np.sqrt((cosine**2).mean("step")) <= 1e-3).all()


def test_the_telescoping_identity_closes(sgd):
    """|w_T|² − |w_0|² = Σ λ²|g|² − (2λα − λ²α²)|w|² − 2λ(1 − λα) w·g, for ρ = 0."""
    _, ds = sgd
    lr, alpha = ds.lr, 0.01
    shrink = ((2 * lr * alpha - (lr * alpha) ** 2) * ds.w2.astype(float))[:-1]
    growth = (lr**2 * ds.g2.astype(float))[:-1]
    inner = (2 * lr * (1 - lr * alpha) * ds.wg.astype(float))[:-1]
    change = ds.w2.astype(float)[-1] - ds.w2.astype(float)[0]
    gap = change - (growth - shrink).sum("step")
    assert (abs(gap + inner.sum("step")) <= 1e-5 * shrink.sum("step")).all()
    assert (abs(gap) <= 1e-3 * shrink.sum("step")).all()


def test_the_negative_control_is_not_orthogonal():
    _, ds = quietly(small.config(epochs=6, no_norm="layer1"))
    cosine = np.sqrt(((ds.wg**2) / (ds.w2 * ds.g2)).mean("step"))
    assert cosine.sel(layer="layer1") > 0.01
    assert (cosine.drop_sel(layer="layer1") < 1e-3).all()


def test_lars_turns_by_its_rate():
    """Without momentum |Δw| = λ_LARS |w| in every layer; what has lost its norm stays with SGD."""
    _, ds = quietly(small.config(optimizer="lars", momentum=0.0, no_norm="prep", lr=1.0))
    turned = np.sqrt(ds.u2 / ds.w2) / ds.lars_lr
    np.testing.assert_allclose(turned.drop_sel(layer="prep"), 1, rtol=1e-3)
    assert (abs(turned.sel(layer="prep") - 1) > 0.01).any()
    lr = ds.lr.values
    np.testing.assert_allclose(ds.lars_lr, np.sqrt(2 * lr * 5e-4), rtol=1e-12)


def test_lars_with_the_lag_of_the_norms():
    _, plain = quietly(small.config(optimizer="lars"))
    _, ode = quietly(small.config(optimizer="lars", lars_rate="ode"))
    assert ode.lars_lr.shape == plain.lars_lr.shape and not ode.lars_lr.equals(plain.lars_lr)


@pytest.mark.parametrize("model", ["backbone+extra2", "resnet9+res2"])
def test_relatives_train(model):
    assert list(quietly(small.config(model=model, epochs=1))[1].layer.values) == list(
        conv_layers(build(small.config(model=model))))  # fmt: skip


def test_filters_on_request():
    _, ds = quietly(small.config(epochs=1), filters=True)
    assert ds.sizes["filter"] == 32 and ds.filter_w2.dims == ("step", "layer", "filter")


def test_a_fraction_of_an_epoch():
    _, ds = quietly(small.config(epochs=1.4, warmup=0))
    assert ds.sizes["step"] == 7 and ds.sizes["epoch"] == 2
    assert ds.test_accuracy.notnull().all()


def test_less_than_a_step_is_an_error():
    with pytest.raises(ValueError, match="epochs=0.05: must be at least one step"):
        quietly(small.config(epochs=0.05, warmup=0))


def test_a_run_that_diverges_is_a_result(capsys):
    """λα > 2: decay multiplies the weights by less than −1 at every step."""
    config = small.config(epochs=30, lr=1e4, schedule="constant", momentum=0.0)
    _, ds = train(config, device="cpu")
    end = ds.attrs["diverged_at"]
    assert 0 < end < 100 and ds.sizes["step"] == 150
    assert not np.isfinite(ds.loss[end]) and np.isfinite(ds.loss[:end]).all()
    assert ds.loss[end + 1 :].isnull().all() and ds.w2[end:].isnull().all() and ds.accuracy[end:].isnull().all()
    assert ds.w2[:end].notnull().all() and ds.lr.notnull().all()
    assert ds.test_accuracy[-1].isnull()
    assert f"no longer finite at step {end}" in capsys.readouterr().out


def same_until(t, ds, whole):
    """Whether ds is the first t steps of the recording `whole`, and not a number after them."""
    steps = [ds[name] for name in ds.data_vars if "step" in ds[name].dims and name not in ("lr", "lars_lr")]
    return (
        all(a[:t].equals(whole[a.name][:t]) and a[t:].isnull().all() for a in steps)
        and all(ds[name].equals(whole[name]) for name in ("lr", "lars_lr") if name in ds)
        and ds.sizes == whole.sizes and ds.attrs.keys() == whole.attrs.keys()
    )  # fmt: skip


@pytest.mark.parametrize("changes", [dict(), dict(momentum=0.0), dict(optimizer="lars")], ids=str)
def test_each_step_can_be_looked_at(changes):
    seen = {}
    looked, ds = quietly(small.config(**changes), filters=True, each=lambda t, so_far: seen.update({t: so_far()}))
    alone, whole = quietly(small.config(**changes), filters=True)
    assert ds.equals(whole)
    assert all(a.equal(b) for a, b in zip(looked.state_dict().values(), alone.state_dict().values()))
    assert list(seen) == list(range(1, 11)) and all(same_until(t, now, whole) for t, now in seen.items())
    for t, now in seen.items():  # five steps an epoch, the test comes after the last of them
        for name in ("test_loss", "test_accuracy"):
            known = (t - 1) // 5
            assert now[name][:known].equals(whole[name][:known]) and now[name][known:].isnull().all()
    assert seen[7].attrs["images_per_second"] > 0 and seen[7].attrs["diverged_at"] == -1


def test_what_each_does_with_a_recording_does_not_reach_the_run():
    def spoil(t, so_far):
        ds = so_far()
        for name in ds.data_vars:
            ds[name].values[...] = -1

    config = small.config(optimizer="lars")
    assert quietly(config, each=spoil)[1].equals(quietly(config)[1])


def test_each_sees_how_a_run_diverged():
    seen, steps = [], set()
    config = small.config(epochs=30, lr=1e4, schedule="constant", momentum=0.0)
    _, ds = quietly(config, each=lambda t, so_far: seen.append(so_far) or steps.add(t))
    assert steps == set(range(1, 51)) and seen[-1]().equals(ds)
    assert seen[-1]().attrs["diverged_at"] == ds.attrs["diverged_at"] >= 0


def test_each_is_called_during_a_test_too():
    seen = []
    quietly(small.config(), each=lambda t, so_far: seen.append(t))
    assert seen == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10]  # five steps an epoch; the forty test images are one batch


def test_what_each_raises_ends_the_run(capsys):
    seen = []

    def enough(t, so_far):
        seen.append(t)
        if t == 4:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="^'?enough'?$"):
        train(small.config(), device="cpu", each=enough)
    assert seen == [1, 2, 3, 4] and "Stopped" not in capsys.readouterr().out


def test_it_says_in_one_line_what_is_about_to_happen(capsys):
    train(small.config(), device="cpu")
    out = capsys.readouterr().out
    kind = str(precision(torch.device("cpu"))).removeprefix("torch.")
    assert out.startswith(f"Training resnet9 of width 4 on small: 10 steps of 32 images on cpu in {kind}.\n")
    assert out.count("\n") == 1  # and no estimate: on a page it would be that of the machine that built it
    quietly(small.config(epochs=1))
    assert capsys.readouterr() == ("", "")


def test_the_bar_ends_at_the_last_step(capsys):
    train(small.config(), device="cpu")
    assert "10/10" in capsys.readouterr().err


def test_ctrl_c_stops_with_one_line(monkeypatch, capsys):
    batch = Data.batch

    def interrupted(self, t):
        if t == 3:
            raise KeyboardInterrupt
        return batch(self, t)

    monkeypatch.setattr(Data, "batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(small.config(), device="cpu")
    assert capsys.readouterr().out.splitlines()[1:] == ["Stopped. Nothing is remembered of this run."]


@pytest.mark.parametrize("amx, avx, dtype", [
    (True, True, torch.bfloat16), (False, True, torch.bfloat16), (True, None, torch.bfloat16),
    (False, False, torch.float32), (None, None, torch.float32)])  # fmt: skip
def test_precision_is_that_of_the_processor(monkeypatch, amx, avx, dtype):
    """bfloat16 where its matrix products are native; a torch that cannot be asked (None) says nothing."""
    for name, answer in (("_is_amx_tile_supported", amx), ("_is_avx512_bf16_supported", avx)):
        if answer is None:
            monkeypatch.delattr(torch.cpu, name, raising=False)
        else:
            monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
    assert precision(torch.device("cpu")) == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision(monkeypatch, dtype):
    """Under autocast, in float16 with a scaler: what is recorded is unscaled, and the identities hold."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float32)
    _, whole = quietly(small.config(epochs=1))
    monkeypatch.setattr(loop, "precision", lambda device: dtype)
    _, ds = quietly(small.config(epochs=1))
    assert ds.attrs["precision"] == str(dtype).removeprefix("torch.")
    np.testing.assert_allclose(ds.g2[0], whole.g2[0], rtol=0.3)
    np.testing.assert_allclose(ds.w2[0], whole.w2[0], rtol=1e-6)  # the weights themselves are float32
    assert (np.sqrt((ds.wg**2 / (ds.w2 * ds.g2)).mean("step")) < 0.02).all()


def test_test_accuracy_is_that_of_a_loop_over_images():
    config = small.config(epochs=1)
    model, ds = quietly(config)
    data, right, total = Data(config), 0, 0.0
    model.eval()
    with torch.no_grad():
        for x, y in zip(data.test_x, data.test_y):
            logits = model(data.normalize(x[None]))
            right += int(logits.argmax() == y)
            total += F.cross_entropy(logits, y[None]).item()
    assert ds.test_accuracy.values[-1] == pytest.approx(right / 40, abs=0.051)
    assert ds.test_loss.values[-1] == pytest.approx(total / 40, rel=0.02)


def test_a_device_that_is_not_there_is_named():
    for device in ("gpu", "cuda:99", "meta", "", 99):
        with pytest.raises(ValueError, match=f"device={device!r}: must be one that torch finds here: cpu"):
            pick_device(device)
    assert pick_device("cpu").type == "cpu" and pick_device().type in ("cpu", "cuda")


def test_lengths_of_time_in_words():
    assert [duration(s) for s in (4.4, 89, 300, 5399, 9000)] == ["4 s", "89 s", "5 min", "90 min", "2.5 h"]


def test_cudnn_is_on_and_its_settings_come_back(monkeypatch):
    """torch.backends.cudnn.flags switches off what it is not told to leave on."""
    found, before = [], (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark)
    evaluate = loop.evaluate

    def look(*given):
        found.append((torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark))
        return evaluate(*given)

    monkeypatch.setattr(loop, "evaluate", look)
    quietly(small.config(epochs=1))
    assert found == [(True, True)] and (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark) == before


@pytest.mark.parametrize("optimizer, momentum", [("sgd", 0.0), ("sgd", 0.9), ("nesterov", 0.9), ("lars", 0.9)])
def test_a_step_that_the_scaler_leaves_out_is_no_step(monkeypatch, optimizer, momentum):
    """A scale that is far too large at first: no optimizer moves, and nothing of g is recorded."""
    monkeypatch.setattr(loop, "precision", lambda device: torch.float16)
    monkeypatch.setattr(loop, "Scaler", functools.partial(loop.Scaler, scale=2.0**26))
    model, ds = quietly(small.config(epochs=6, optimizer=optimizer, momentum=momentum))
    out = ds.skipped.values == 1
    assert ds.attrs["skipped"] == out.sum() > 2 and out[0] and not out[-10:].any()
    for name in ("g2", "d2", "wg", "gv", "dv"):
        assert ds[name][out].isnull().all() and ds[name][~out].notnull().all(), name
    assert (ds.u2[out] == 0).all() and (ds.u2[~out] > 0).all()
    after = ds.w2.shift(step=-1)[:-1]
    assert after[out[:-1]].equals(ds.w2[:-1][out[:-1]])
    other = [p for name, p in model.named_parameters() if "norm.weight" in name]
    assert all((p != 1).any() for p in other)  # batch norm has moved, in the steps that were taken
    if momentum == 0:
        np.testing.assert_allclose(ds.v2[~out], ds.d2[~out], rtol=1e-6)


def test_after_a_divergence_there_is_no_accuracy():
    _, ds = quietly(small.config(epochs=40, lr=1e4, schedule="constant", momentum=0.0))
    end = ds.attrs["diverged_at"]
    assert 0 < end < 50
    tested = np.minimum(5 * ds.epoch.values, ds.sizes["step"])  # steps before each test
    assert ds.test_accuracy[tested > end].isnull().all() and ds.test_loss[tested > end].isnull().all()
    assert ds.sizes["epoch"] == 40 and "skipped" not in ds


def test_where_the_loss_is_no_number_there_is_no_accuracy():
    config = small.config(epochs=1)
    model, data = build(config, 3), Data(config)
    with torch.no_grad():
        model.linear.weight.fill_(torch.nan)
    assert loop.evaluate(model, data, torch.device("cpu"), torch.float32).isnan().all()


def test_a_recording_that_memory_cannot_hold_is_an_error_before(monkeypatch):
    monkeypatch.setattr(loop, "memory", lambda: 1e6)
    with pytest.raises(ValueError, match=r"^epochs=400.0: must be fewer, 2e\+03 steps take 0.002 GB or more to record"):
        quietly(small.config(epochs=400))


@pytest.mark.gpu
def test_on_a_gpu():
    model, ds = train(small.config(epochs=6, lr=2.0, momentum=0.0), device="cuda", progress=False)
    assert next(model.parameters()).is_cuda and ds.attrs["device"] == torch.cuda.get_device_name()
    assert (np.sqrt((ds.wg**2 / (ds.w2 * ds.g2)).mean("step")) <= 2e-2).all()


def test_decay_that_follows_the_rate(monkeypatch):
    """w − λ(g + αλ/λ_max w) step by step: growth and shrink with α(t) close, and with the constant α they do not."""
    small.use(monkeypatch)
    config = small.config(
        lr=0.5, momentum=0.0, weight_decay=0.05, weight_decay_schedule="lr", rest_weight_decay_scale=0)  # fmt: skip
    _, ds = train(config, device="cpu", progress=False)
    alpha = measure.weight_decay(ds)
    assert alpha.values == pytest.approx(0.05 * ds.lr.values / 0.5)
    assert measure.telescoping(ds).closure.values == pytest.approx(0, abs=2e-4)
    like = ds.assign_attrs(config=json.dumps(config.replace(weight_decay_schedule="constant").as_dict()))
    assert abs(measure.telescoping(like).closure).max() > 0.05
    assert measure.acceptance(ds).cosine.max() < 1e-3
    w2 = measure.predicted(ds, steps=1).w2
    assert w2.values == pytest.approx(ds.w2.values, rel=1e-3)


@pytest.mark.parametrize("normalization", ["instance", "group", "layer"])
def test_convolutions_decay_whatever_their_norm_is(normalization):
    """Shrink and growth close the books of each layer; the rest, gains and offsets too, does not decay."""
    config = small.config(normalization=normalization, weight_decay=0.05, momentum=0.0, rest_weight_decay_scale=0)
    model, ds = quietly(config)
    assert float(abs(measure.telescoping(ds).closure).max()) < 1e-3
    assert normalized(model) == {name for name, p in model.named_parameters() if p.ndim == 4}
    kinds = {kind: make_optimizers(config.replace(rest_decays=kind, rest_weight_decay_scale=1), model)[0].param_groups
             for kind in REST}  # fmt: skip
    assert {kind: [len(group["params"]) for group in groups] for kind, groups in kinds.items()} == {
        "gains": [8, 8, 9], "offsets": [8, 8, 9], "linear": [8, 1, 16]}  # fmt: skip
