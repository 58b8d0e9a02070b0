"""Tops and ridges of surfaces whose tops are known."""

import numpy as np
import pytest
import xarray as xr

from resnet_dynamics import peaks

LR = 2.0 ** np.arange(-6, 2)


def surface(slope, noise=0.0, seeds=None, rows=6, seed=0):
    """Accuracy that falls off as a parabola in log2 λ from a ridge of the given slope."""
    u = np.arange(rows) - 2.5
    top = slope * u - 2.5
    clean = 0.7 - 0.01 * (np.log2(LR) - top[:, None]) ** 2
    dims, coords = ["batch_size", "lr"], {"batch_size": 2.0**u, "lr": LR}
    if seeds:
        clean, dims, coords = clean[..., None] + np.zeros(seeds), [*dims, "seed"], coords | {"seed": range(seeds)}
    clean = clean + noise * np.random.default_rng(seed).normal(size=clean.shape)
    return xr.DataArray(clean, coords, dims), top


@pytest.mark.parametrize("slope", [1.0, 0.5, 0.0, -1.0])
def test_the_ridge_of_a_parabola_is_found_exactly(slope):
    accuracy, top = surface(slope)
    found = peaks.tops(accuracy, resamples=20)
    np.testing.assert_allclose(found["at"], top, atol=1e-9)
    np.testing.assert_allclose(found.height, 0.7)
    np.testing.assert_allclose(found.bend, 0.01)
    ridge = peaks.ridge(found, "batch_size")
    assert float(ridge.slope) == pytest.approx(slope, abs=1e-9)
    assert float(ridge.offset) == pytest.approx(-2.5)
    assert ridge.rows == 6 and found.attrs["sd"] < 1e-9


@pytest.mark.parametrize("seeds", [None, 3])
def test_the_interval_covers_the_truth_as_often_as_it_says(seeds):
    inside, sd = [], []
    for seed in range(60):
        accuracy, _ = surface(0.6, noise=0.004, seeds=seeds, seed=seed)
        found = peaks.tops(accuracy, resamples=200)
        ridge = peaks.ridge(found, "batch_size")
        inside.append(bool(ridge.low <= 0.6 <= ridge.high))
        sd.append(found.attrs["sd"])
    assert 0.88 <= np.mean(inside) <= 1.0
    assert np.sqrt(np.mean(np.square(sd))) == pytest.approx(0.004, rel=0.1)


def test_a_top_that_is_not_there_is_not_found():
    accuracy = xr.DataArray(np.log2(LR), {"lr": LR}, ["lr"])
    found = peaks.tops(accuracy, resamples=5)
    assert np.isnan(found["at"]) and np.isnan(found.low)
    assert np.isnan(peaks.tops(accuracy.where(accuracy < -3), resamples=5)["at"])


def test_a_diverged_run_is_left_out():
    accuracy, top = surface(0.0)
    found = peaks.tops(accuracy.where(accuracy.lr < 1), resamples=5)
    np.testing.assert_allclose(found["at"], top, atol=1e-9)


def test_smoothing_keeps_a_straight_line_in_the_middle_and_leaves_out_what_is_not_there():
    accuracy = xr.DataArray(np.log2(LR), {"lr": LR}, ["lr"])
    np.testing.assert_allclose(peaks.smooth(accuracy)[2:-2], accuracy[2:-2], atol=2e-3)
    some = peaks.smooth(accuracy.where(accuracy != -4))
    assert np.isnan(some[2]) and np.isfinite(some[[1, 3]]).all()
    step = xr.DataArray([0.0, 0, 1], {"lr": [1.0, 2, 4]}, ["lr"])
    w = np.exp(-2.0)  # one octave is two standard deviations
    assert float(peaks.smooth(step)[1]) == pytest.approx(w / (1 + 2 * w))


@pytest.mark.parametrize("given", [dict(along="alpha"), dict(points=3)])
def test_a_bad_axis_is_named(given):
    accuracy, _ = surface(1.0)
    with pytest.raises(ValueError, match=r"must be an axis with at least 4 values, of batch_size \(6\), lr \(8\)"):
        peaks.tops(accuracy, **given)
