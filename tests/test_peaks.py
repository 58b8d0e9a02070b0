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


ORDERS = {"falls": slice(None, None, -1), "refined": [0, 2, 4, 6, 7, 1, 3, 5]}


@pytest.mark.parametrize("seeds", [None, 3])
@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_an_axis_changes_nothing(order, seeds):
    table, _ = surface(0.5, noise=0.004, seeds=seeds)
    mixed = table.isel(lr=ORDERS[order])
    xr.testing.assert_identical(peaks.tops(mixed, resamples=5), peaks.tops(table, resamples=5))
    xr.testing.assert_identical(peaks.smooth(mixed), peaks.smooth(table))
    found = peaks.tops(table, resamples=5)
    ridge = peaks.ridge(found.isel(batch_size=[3, 0, 5, 1, 4, 2]), "batch_size")
    xr.testing.assert_identical(ridge, peaks.ridge(found, "batch_size"))


@pytest.mark.parametrize("seeds", [2, 3])
def test_a_seed_that_diverged_is_left_out(seeds):
    table, top = surface(0.0, noise=1e-4, seeds=seeds)
    table = table.where(table.lr < 1)  # 7 values of some rows, and of others
    table[0, :4] = np.nan
    table[1, 2, 0] = np.nan
    found = peaks.tops(table, resamples=5)
    assert np.isnan(found["at"][0]) and 0 < found.attrs["sd"] < 1e-3
    np.testing.assert_allclose(found["at"][1:], top[1:], atol=0.1)


def test_noise_may_have_a_size_for_each_value():
    clean, _ = surface(0.0, seeds=400)
    sizes = np.array([4, 1, 1, 1, 1, 1, 1, 8]) * 1e-3
    table = clean + sizes[:, None] * np.random.default_rng(3).normal(size=clean.shape)
    found, pooled = peaks.tops(table, noise="each", resamples=300), peaks.tops(table, resamples=300)
    np.testing.assert_allclose(found.attrs["sd"], sizes, rtol=0.1)
    xr.testing.assert_identical(found["at"], pooled["at"])
    # Of rows that are alike the scatter of the tops is that of new tables.
    again = [peaks.tops(clean.isel(seed=[0, 1]) + sizes[:, None] * np.random.default_rng(s).normal(size=(6, 8, 2)),
                        resamples=1)["at"] for s in range(60)]  # fmt: skip
    few = peaks.tops(table.isel(seed=[0, 1]), noise="each", resamples=300)
    assert float(few.draws.std()) == pytest.approx(np.std(again), rel=0.35)
    same, _ = surface(0.0, noise=0.002, seeds=3)  # where the sizes are alike, so are the intervals
    each, one = (peaks.tops(same, noise=noise, resamples=300) for noise in ("each", "pooled"))
    assert float((each.high - each.low).mean()) == pytest.approx(float((one.high - one.low).mean()), rel=0.25)


def test_a_value_with_one_run_left_has_the_noise_of_the_others():
    table, _ = surface(0.0, noise=0.002, seeds=3)
    table[:, 3, 1:] = np.nan
    found = peaks.tops(table, noise="each", resamples=5)
    assert np.isfinite(found.attrs["sd"]).all() and found.attrs["sd"][3] == peaks.tops(table, resamples=5).attrs["sd"]


AXIS = r"must be an axis with at least 4 values, of batch_size \(6\), lr \(8\)"
LEVEL = "must be between 0 and 1"
BAD = {
    "tops(table, 'alpha')": f"along='alpha': {AXIS}",
    "tops(table.isel(lr=slice(0, 3)))": r"along='lr': must be an axis with at least 4 values, of .* lr \(3\)",
    "tops(table, points=3)": "points=3: must be a whole number, at least 4",
    "tops(table, points=4.5)": "points=4.5: must be a whole number",
    "tops(table, resamples=0)": "resamples=0: must be a whole number, at least 1",
    "tops(table, resamples=None)": "resamples=None: must be a whole number",
    "tops(table, level=1)": f"level=1: {LEVEL}",
    "tops(table, level=95)": f"level=95: {LEVEL}",
    "tops(table, level=nan)": f"level=nan: {LEVEL}",
    "tops(surface(1.0, seeds=3)[0], noise='own')": "noise='own': must be 'pooled' or 'each'",
    "tops(table, noise='each')": "noise='each': must have a dimension seed with at least two",
    "tops(None)": "accuracy=a NoneType: must be a DataArray of numbers",
    "tops(table.to_dataset(name='test_accuracy'))": "accuracy=a Dataset: must be a DataArray of numbers",
    "tops(table.astype(str))": "accuracy=a DataArray of <U.*: must be a DataArray of numbers",
    "tops(table.assign_coords(lr=np.arange(8)))": r"lr=\[0, 1, 2, .*\]: must be positive numbers, of which log2",
    "tops(table.assign_coords(lr=np.arange(8) - 9.0))": r"lr=\[-9.0, .*\]: must be positive numbers",
    "tops(table.assign_coords(lr=list('abcdefgh')))": r"lr=\['a', .*\]: must be positive numbers",
    "tops(table.assign_coords(lr=[1, 2, 4, 8, 4, 6, 7, 9]))": r"lr=\[1, .*\]: must be different values, 4 is there tw",
    "smooth(table.assign_coords(lr=[1, 2, 4, 8, 4, 6, 7, 9]))": r"lr=\[1, .*\]: must be different values, 4 is there",
    "tops(surface(1.0, seeds=4)[0], 'seed')": r"along='seed': must be an axis with at least 4 values",
    "ridge(found.assign_coords(batch_size=[1, 2, 3, 4, 5, 1]), 'batch_size')": ".*: must be different values",
    "tops(table.rename(batch_size='draw'))": "draw: must be no dimension of the accuracy",
    "ridge(table, 'batch_size')": "found=a DataArray: must be what tops",
    "ridge(found, 'lr')": "against='lr': must be the only dimension of the tops, which have batch_size",
    "ridge(found, 'batch_size', level=0)": f"level=0: {LEVEL}",
    "ridge(found.assign_coords(batch_size=np.arange(6)), 'batch_size')": r"batch_size=\[0, .*\]: must be positive",
    "smooth(table, 'alpha')": "along='alpha': must be a dimension of the accuracy, of batch_size, lr",
    "smooth(table, octaves=0)": "octaves=0: must be a number > 0",
    "smooth(table.assign_coords(lr=np.arange(8)))": r"lr=\[0, .*\]: must be positive numbers",
    "smooth([1, 2])": "accuracy=a list: must be a DataArray",
}


@pytest.mark.parametrize("call", BAD)
def test_a_bad_value_is_named_with_what_is_allowed(call):
    table, _ = surface(1.0)
    values = dict(peaks=peaks, np=np, surface=surface, nan=np.nan, table=table, found=peaks.tops(table, resamples=2))
    with pytest.raises((TypeError, ValueError), match=f"^{BAD[call]}"):
        eval(f"peaks.{call}", values)


@pytest.mark.parametrize("seeds", [None, 3])
def test_where_nothing_is_a_number_there_is_no_top(seeds):
    table, _ = surface(1.0, seeds=seeds)
    found = peaks.tops(table.where(table < 0), resamples=2)
    for name in ("at", "height", "bend", "low", "high"):
        assert np.isnan(found[name]).all()
    ridge = peaks.ridge(found, "batch_size")
    assert np.isnan(ridge.slope) and np.isnan(ridge.low) and ridge.rows == 0
    assert np.isnan(peaks.smooth(table.where(table < 0))).all()


def test_one_row_has_a_top_and_no_ridge():
    table, top = surface(1.0)
    found = peaks.tops(table[:1], resamples=2)
    np.testing.assert_allclose(found["at"], top[:1])
    ridge = peaks.ridge(found, "batch_size")
    assert np.isnan(ridge.slope) and np.isnan(ridge.high) and ridge.rows == 1
