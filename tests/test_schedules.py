"""Schedules are values: they can be called, summed and plotted."""

import numpy as np
import pytest

from resnet_dynamics import Config
from resnet_dynamics.schedules import Cosine, PiecewiseLinear, decays, epochs_at, rates, schedule

CASES = [
    (Config(), 0.5 * 24 * 0.4),
    (Config(warmup=0), 0.5 * 24 * 0.4),
    (Config(warmup=24), 0.5 * 24 * 0.4),
    (Config(schedule="constant"), 24 * 0.4),
    (Config(lr=4.0, epochs=3, warmup=1), 0.5 * 3 * 4.0),
    (Config(schedule="wsd"), (24 - 0.5 * 5 - 0.5 * 5) * 0.4),
    (Config(schedule="wsd", warmup=0, cooldown=0), 24 * 0.4),
    (Config(schedule="wsd", warmup=4, cooldown=20), 0.5 * 24 * 0.4),
]


@pytest.mark.parametrize("config, integral", CASES, ids=str)
def test_the_sum_of_the_rates_is_the_integral(config, integral):
    lr = rates(config, steps_per_epoch=97)
    assert lr.dtype == np.float64 and len(lr) == config.epochs * 97
    assert lr.sum() / 97 == pytest.approx(integral, rel=1e-12)
    assert 0 < lr.min() and lr.max() <= config.lr


def test_the_triangle_goes_through_its_corners():
    assert schedule(Config())([0, 2.5, 5, 14.5, 24]) == pytest.approx([0, 0.2, 0.4, 0.2, 0])
    assert schedule(Config(warmup=0))([0, 12, 24]) == pytest.approx([0.4, 0.2, 0])


def test_the_cosine_goes_through_its_points():
    found = schedule(Config(schedule="cosine"))([0, 2.5, 5, 5 + 19 / 3, 14.5, 24])
    assert found == pytest.approx([0, 0.2, 0.4, 0.3, 0.2, 0], abs=1e-15)
    assert Cosine(0.4, 0, 24)([0, 12, 24]) == pytest.approx([0.4, 0.2, 0], abs=1e-15)
    assert rates(Config(schedule="cosine"), 1000).sum() / 1000 == pytest.approx(0.5 * 24 * 0.4, rel=1e-6)


@pytest.mark.parametrize("kind", ["triangular", "cosine", "wsd"])
def test_the_epoch_is_read_from_the_rate(kind):
    config = Config(schedule=kind)
    for epoch in (0.5, 4.0, 20.0, 23.9):
        found = epochs_at(config, float(schedule(config)(epoch)) / config.lr)
        assert any(one == pytest.approx(epoch) for one in found)
    assert epochs_at(config, 1.0) == []


def test_decay_follows_the_rate():
    config = Config(weight_decay_schedule="lr", lr=4.0)
    lr = rates(config, 97)
    assert decays(config, lr) == pytest.approx(lr / 8000)
    assert decays(Config(), lr) == 5e-4


def test_a_step_takes_the_middle_of_its_interval():
    config = Config(epochs=10, warmup=5)
    assert rates(config, 4)[:3] == pytest.approx(schedule(config)([0.125, 0.375, 0.625]))


def test_a_fraction_of_an_epoch():
    assert len(rates(Config(epochs=1.5, warmup=0), 10)) == 15


def test_constant_outside_of_the_knots():
    assert PiecewiseLinear((1, 2), (0.1, 0.3))([0, 1.5, 9]) == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("epochs, values, said", [
    ((0, 5), (0, 0.4, 0), r"epochs=\(0, 5\): must rise, and be as many as the rates \(3\)"),
    ((0, 5, 5), (0, 0.4, 0), r"epochs=\(0, 5, 5\): must rise"), ((5, 0), (0, 0.4), "must rise"),
    ((), (), r"epochs=\(\): must be finite numbers"), (0, 0.4, "epochs=0: must be finite numbers"),
    ((0, float("nan")), (0, 0.4), "epochs=.*nan.*: must be finite numbers"),
    ((0, 1), (0, -0.4), "rates=.*: must be finite numbers, not negative"),
    ((0, 1), ("0", "1"), "rates=.*: must be finite numbers")])  # fmt: skip
def test_knots_that_make_no_line_are_named(epochs, values, said):
    with pytest.raises(ValueError, match=f"^{said}" if said.startswith(("epochs", "rates")) else said):
        PiecewiseLinear(epochs, values)
