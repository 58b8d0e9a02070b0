"""Reports of a live network as recordings: exact bookkeeping where λ and α move, clear refusals where nothing holds."""

import re

import numpy as np
import pytest
import xarray as xr

from resnet_dynamics import history, measure, plots, recording, theory
from resnet_dynamics.arms import SEPARATE
from resnet_dynamics.config import CONVS
from resnet_dynamics.history import SERIES, History

SIZES = [30 + 7 * n for n in range(len(CONVS))]
START = {"lr": 0.5, "weight_decay": 0.02, "momentum": 0.0, "optimizer": "sgd"}


class Network:
    """Eight layers with random gradients at a right angle to their weights, and what the lab reports of them."""

    def __init__(self, seed=0, **start):
        self.random, self.t, self.at, self.told, self.tests = np.random.default_rng(seed), 0, START | start, [], []
        self.w = [self.random.standard_normal(size) for size in SIZES]
        self.v = [np.zeros(size) for size in SIZES]
        self.events = [{"type": "start", "t": 0, "seed": seed, "batch_size": 32, "networks": [dict(self.at)]}]

    def does(self, type, **more):
        """A command, applied before the next step."""
        self.events.append({"type": type, "t": self.t, **more})
        if type == "set":
            self.at |= more
        elif type == "kick":
            n = CONVS.index(more["layer"])
            self.w[n] = self.w[n] * more["factor"]

    def steps(self, number):
        for _ in range(number):
            products = [self.layer(n) for n in range(len(CONVS))]
            at = self.at
            self.told.append((at["lr"], at["weight_decay"], at["momentum"], products, 1 / (1 + self.t), 0.5))
            self.t += 1

    def layer(self, n):
        w, v_prev, at = self.w[n], self.v[n], self.at
        g = self.random.standard_normal(w.size)
        g -= w * (w @ g) / (w @ w)
        g /= np.linalg.norm(w)
        lr, rho = at["lr"], at["momentum"] * (at["optimizer"] != "sgd")
        if at["optimizer"] == "lars":
            lr, d = theory.lars_rate(lr, at["weight_decay"], rho), g * np.linalg.norm(w) / np.linalg.norm(g)
        else:
            d = g + at["weight_decay"] * w
        if at["optimizer"] in SEPARATE:  # w ← w − λ(v + αw)
            v = np.sign(g) if at["optimizer"] == "lion" else rho * v_prev + g
            u = -lr * (v + at["weight_decay"] * w)
            self.w[n], self.v[n] = w + u, v
            rows = np.stack([w, g, v_prev, v, u])
            return (rows @ rows.T)[np.triu_indices(5)]
        v = rho * v_prev + d
        u = -lr * (d + rho * v if at["optimizer"] == "nesterov" else v)
        self.w[n], self.v[n] = w + u, v
        rows = np.stack([w, g, v_prev, v, u])
        return (rows @ rows.T)[np.triu_indices(5)]

    def report(self, t0=None):
        """(header, arrays) of the steps since the last one, as the front end sends them."""
        arrays = [np.asarray(a, np.float32).ravel() for a in zip(*self.told)] or [np.zeros(0, np.float32)] * len(SERIES)
        header = {"t0": self.t - len(self.told) if t0 is None else t0, "t": self.t, "events": self.events,
                  "networks": [{"optimizer": self.at["optimizer"], "tests": self.tests, "diverged_at": -1}],
        }  # fmt: skip
        self.told, self.events, self.tests = [], [], []
        return header, arrays


def told(network, *acts):
    """The recording of a network that does so many steps, or a command, one after the other, with a report each."""
    found = History()
    for act in acts:
        network.steps(act) if isinstance(act, int) else network.does(**act)
        found.take(*network.report())
    (ds,) = found.recordings()
    return ds


def closed(ds):
    found = measure.telescoping(ds)
    assert float(abs(found.closure).max()) < 1e-5
    return found


@pytest.mark.parametrize("optimizer, momentum", [("sgd", 0.9), ("heavy-ball", 0.9), ("nesterov", 0.9), ("lars", 0.0),
                                                 ("lars", 0.9), ("nesterov", 0.0)])  # fmt: skip
def test_what_was_reported_is_a_recording(optimizer, momentum):
    network = Network(optimizer=optimizer, momentum=momentum)
    ds = told(network, 1, 40, 0, 59)
    assert ds.step.values.tolist() == list(range(100)) and ds.layer.values.tolist() == list(CONVS)
    assert recording.setting(ds).optimizer == {"heavy-ball": "sgd", "nesterov": "nesterov" if momentum else "sgd"}.get(
        optimizer, optimizer)
    assert float(ds.momentum[0]) == (0 if optimizer == "sgd" else pytest.approx(momentum))
    assert {**ds.attrs}.items() >= {"seed": 0, "batch_size": 32, "steps": 100, "diverged_at": -1}.items()
    assert all(ds[name].attrs["units"] for name in ds.data_vars) and "drawn there" in recording.describe(ds)
    closed(ds)
    assert float(abs(measure.cosine(ds)).max()) < 1e-3
    measured = measure.rotation(ds)
    assert measured.sizes["step"] == 99 and float(measured.max()) < 1
    assert np.array_equal(ds.equals(told(Network(optimizer=optimizer, momentum=momentum), 100)), True)


def test_what_lambda_multiplies_is_v_of_sgdw_and_its_like():
    """The rate is λ|v|/|w|, and goes to the line; the equations of SGD are refused."""
    ds = told(Network(optimizer="sgdw", momentum=0.8, lr=0.5, weight_decay=0.05), 400)
    assert recording.setting(ds).optimizer == "sgdw" and ds.v2.attrs["long_name"].endswith("what λ multiplies")
    rate, line = measure.rate(ds), measure.line(ds)
    np.testing.assert_allclose(rate, 0.5 * np.sqrt(ds.v2 / ds.w2), rtol=1e-6)
    np.testing.assert_allclose(line, np.sqrt(2 * 0.025 * 0.2 / 1.8), rtol=0.15)
    assert float(abs(np.sqrt((rate[200:] ** 2).mean()) / line.mean() - 1)) < 0.1
    with pytest.raises(ValueError, match="growth of a run with optimizer='sgdw': must be a run of SGD"):
        measure.growth(ds)
    ds = told(Network(optimizer="lion", momentum=0.9, lr=0.01, weight_decay=0.5), 20)
    assert measure.rate(ds).shape == (20, 8) and ds.weights.values.sum() == 25740
    with pytest.raises(ValueError, match="line of a run with optimizer='lion'"):
        measure.line(ds)


def test_lr_and_weight_decay_may_move():
    acts = [100, dict(type="set", lr=1.0), 50, dict(type="set", weight_decay=0.005), 150]
    ds = told(Network(), *acts)
    assert np.array_equal(ds.lr, np.repeat([0.5, 1.0], [100, 200]).astype(np.float32))
    assert measure.weight_decay(ds).values == pytest.approx(np.repeat([0.02, 0.005], [150, 150]))
    assert measure.weight_decay(ds.isel(step=slice(160, None))) == pytest.approx(0.005)
    closed(ds)
    line = theory.lars_rate(ds.lr.values.astype(float), np.repeat([0.02, 0.005], [150, 150]))
    assert measure.line(ds).values == pytest.approx(line, rel=1e-6)
    ratio = measure.predicted(ds).w2 / ds.w2  # of plain SGD the recurrence is exact, but for the running mean of c
    assert float(abs(np.log(ratio)).max()) < 0.15
    assert 0.8 < float(measure.acceptance(ds).raw.mean()) < 1.3


def test_a_kick_parts_the_steps():
    network = Network()
    ds = told(network, 80, dict(type="kick", layer="layer2", factor=3), 120)
    assert ds.part.values.tolist() == [0] * 80 + [1] * 120
    jump = np.sqrt(ds.w2.sel(layer="layer2"))
    assert float(jump[80] / jump[79]) == pytest.approx(3, rel=0.05)
    with pytest.raises(ValueError, match=re.escape(
        "telescoping of a recording whose weights were changed before step 80: must be steps without such a change "
        "between them, such as ds.sel(step=slice(80, None))")):  # fmt: skip
        measure.telescoping(ds)
    closed(ds.sel(step=slice(80, None)))
    closed(ds.sel(step=slice(None, 79)))
    assert bool(np.isnan(measure.rotation(ds)[79]).all()) and int(np.isnan(measure.rotation(ds)).sum()) == 8
    after = measure.predicted(ds.sel(step=slice(80, None))).w2 / ds.w2
    assert float(abs(np.log(after)).max()) < 0.15
    assert np.isfinite(measure.drift(ds)).all()


@pytest.mark.parametrize("act, said", [
    (dict(type="set", optimizer="heavy-ball", momentum=0.9), "ρ changed from 0 to 0.9 at step 30: must be the same"),
    (dict(type="set", optimizer="lars"), "the optimizer changed from sgd to lars at step 30: must be the same in all "
     "steps; take a part, such as ds.sel(step=slice(30, None))")])  # fmt: skip
def test_no_equation_holds_across_a_change_of_the_optimizer(act, said):
    ds = told(Network(), 30, act, 70)
    for function in (measure.growth, measure.rate, measure.line, plots.ratio, plots.norms):
        if function is plots.norms:
            continue  # |w|² needs no equation
        with pytest.raises(ValueError, match=re.escape(said)):
            function(ds)
    for part in (ds.sel(step=slice(30, None)), ds.sel(step=slice(None, 29))):
        closed(part)
        plots.ratio(part)


def test_the_figures_take_it():
    ds = told(Network(optimizer="heavy-ball", momentum=0.8), 200)
    for draw in (plots.shrink, plots.growth, plots.balance, plots.norms, plots.ratio, plots.prediction, plots.cosine,
                 plots.rotation, plots.memory):  # fmt: skip
        draw(ds)
    with pytest.raises(ValueError, match="a recording without a configuration: must be one that run"):
        plots.curves(ds)
    moved = told(Network(), 60, dict(type="set", lr=0.8, weight_decay=0.01), 60)
    for draw in (plots.shrink, plots.balance, plots.ratio, plots.prediction, plots.rotation, plots.norms):
        draw(moved)


def test_a_run_without_decay_refuses_what_is_relative_to_it():
    ds = told(Network(), 30, dict(type="set", weight_decay=0.0), 70)
    with pytest.raises(ValueError, match=re.escape("balance of a run with weight_decay=0.0: must be > 0")):
        measure.balance(ds)
    closed(ds)


def test_it_begins_anew_with_a_start_and_is_not_mixed_with_another():
    found, one, two = History(), Network(1), Network(2)
    one.steps(20)
    found.take(*one.report())
    two.steps(5)
    found.take(*two.report())
    one.steps(10)
    found.take(*one.report())  # of another view of the widget
    two.steps(5)
    found.take(*two.report())
    (ds,) = found.recordings()
    assert ds.sizes["step"] == 10 and ds.attrs["seed"] == 2 and found.t == 10
    assert ds.equals(told(Network(2), 10))


def test_nothing_is_heard_before_a_start():
    network = Network()
    network.events = []
    network.steps(3)
    found = History()
    found.take(*network.report())
    assert found.recordings() == [] and found.t == 0


def test_two_networks_and_their_tests():
    found, one, two = History(), Network(1), Network(1, lr=2.0, weight_decay=0.005)
    one.events[0]["networks"].append(dict(two.at))
    one.steps(4), two.steps(4)
    one.tests.append({"t": 4, "loss": 2.0, "accuracy": 0.25})
    one.does("set", network=1, optimizer="heavy-ball", momentum=0.5)
    two.at |= {"optimizer": "heavy-ball", "momentum": 0.5}
    (header, arrays), (other, more) = one.report(), two.report()
    header["networks"] += other["networks"]
    found.take(header, arrays + more)
    one.steps(4), two.steps(4)
    (header, arrays), (other, more) = one.report(), two.report()
    header["networks"] += other["networks"]
    found.take(header, arrays + more)
    first, second = found.recordings()
    assert first.optimizer.values.tolist() == ["sgd"] * 8 and second.optimizer.values.tolist() == ["sgd"] * 8
    assert second.momentum.values.tolist() == [0] * 4 + [0.5] * 4
    assert (first.test.values.tolist(), first.test_accuracy.values.tolist()) == ([4], [0.25])
    assert second.sizes["test"] == 0 and float(second.lr[0]) == 2


def test_the_last_steps_are_kept(monkeypatch):
    monkeypatch.setattr(history, "KEPT", 100)
    ds = told(Network(), *[25] * 20)
    assert 100 <= ds.sizes["step"] <= 125 and int(ds.step[-1]) == 499 and ds.attrs["steps"] == 500
    assert np.isnan(measure.correlation(ds)[0]).all()  # the step before it is not there
    closed(ds)


def test_it_is_a_dataset_that_other_tools_read(tmp_path):
    ds = told(Network(), 12, dict(type="set", optimizer="lars"), 8)
    ds.to_netcdf(tmp_path / "live.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "live.nc", engine="h5netcdf") as again:
        assert again.load().equals(ds)
