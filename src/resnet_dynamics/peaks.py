"""Where a measured curve has its top, and how the top moves: accuracy against learning rate in a table of runs.

Accuracy is noisy and flat at its top, so the best of a few values says little about where the top is. A parabola in
log2 λ through the values around the best one says more, and the scatter about it says how much.
"""

from __future__ import annotations

import numbers

import numpy as np
import xarray as xr

__all__ = ["OCTAVE", "ridge", "smooth", "tops"]

OCTAVE = 0.5  # standard deviation of the kernel of `smooth`


def tops(accuracy: xr.DataArray, along: str = "lr", *, points: int = 5, resamples: int = 500, level=0.95,
         noise: str = "pooled") -> xr.Dataset:
    """Return where accuracy has its top along an axis, by a parabola in log2, with an interval.

    The parabola is fitted to the mean over seeds, at those `points` neighboring values whose mean is highest: where
    accuracy falls off steeply on one side, this leaves out the fall. There is a top if the parabola is concave and its
    top is not outside the values of the axis.

    The interval is by resampling: noise of the size that was seen is added to the mean, and all is done again, the
    choice of points included. It does not contain the misfit of the parabola, and leaves out draws without a top. The
    size is that of the scatter between seeds, or with a single seed that of the residuals of the parabolas; pooled over
    all the points that went into fits. Runs may scatter more at some values of the axis than at others: with
    noise="each" every value has a size of its own, that of the scatter between seeds there, pooled over the rows alone.

    Args:
        accuracy: of a table of `sweep`, with a dimension `along`, perhaps `seed`, and others. NaN is left out.
        along: the axis; positive values, each once, in any order.
        points: at least 4.
        resamples: how often.
        level: share of the draws in the interval.
        noise: "pooled" or "each" (needs at least two seeds).

    Returns:
        Dataset over the other dimensions: `at`, log2 of the place of the top (NaN: no top); `height`; `bend`, by how
        much the parabola falls at one octave from its top; `low` and `high`,
        the ends of the interval of `at`; `draws` (with dimension draw), all of it. Attribute sd: the noise of one run;
        with noise="each" a list of it, one for each value of the axis, rising.

    Raises:
        ValueError: there is no such axis, it has fewer than 4 values or one that is not positive, there is a dimension
            draw, or another argument is not as above.
    """
    _table(accuracy)
    _whole("points", points, 4)
    _whole("resamples", resamples, 1)
    _share(level)
    if noise not in ("pooled", "each"):
        raise ValueError(f"noise={noise!r}: must be 'pooled' or 'each'")
    if along == "seed" or along not in accuracy.dims or accuracy.sizes[along] < 4:
        has = ", ".join(f"{name} ({n})" for name, n in accuracy.sizes.items())
        raise ValueError(f"along={along!r}: must be an axis with at least 4 values, of {has}")
    if "draw" in accuracy.dims:
        raise ValueError("draw: must be no dimension of the accuracy, the draws of the interval have it; rename yours")
    accuracy = _rising(accuracy, along)
    seeds = accuracy.sizes.get("seed", 1)
    if noise == "each" and seeds < 2:
        raise ValueError("noise='each': must have a dimension seed with at least two, whose scatter it is")
    mean = accuracy.mean("seed") if "seed" in accuracy.dims else accuracy
    others = [d for d in mean.dims if d != along]
    x = _octaves(accuracy, along)
    rows = mean.transpose(*others, along).values.astype(float).reshape(-1, len(x))

    fits = [_top(x, row, points) for row in rows]
    used = [fit[2] for fit in fits]
    if seeds > 1:
        each = accuracy.transpose(*others, along, "seed").values.astype(float).reshape(-1, len(x), seeds)
        variances = each.var(axis=-1, ddof=1)
        fitted = np.concatenate([variances[i][use] for i, use in enumerate(used)])
        variance = _mean(fitted)
    else:
        left = np.concatenate([fit[3] for fit in fits])
        freedom = sum(len(use) - 3 for use in used if len(use) > 3)
        variance = (left**2).sum() / freedom if freedom else np.nan
    sd = float(np.sqrt(variance))
    if noise == "each":
        own = np.sqrt([_mean(column) for column in variances.T])
        sd = np.where(np.isnan(own), sd, own).tolist()  # a value with a single run left in each row

    added = np.random.default_rng(0).normal(size=(resamples, *rows.shape)) * sd / np.sqrt(seeds)
    draws = np.array([[_top(x, row + e, points)[0] for row, e in zip(rows, noisy)] for noisy in added])
    tail = 100 * (1 - level) / 2
    low, high = (_percentile(draws, q) for q in (tail, 100 - tail))
    none = np.isnan([fit[0] for fit in fits])
    low[none], high[none] = np.nan, np.nan

    shape, coords = [mean.sizes[d] for d in others], {d: mean[d] for d in others}

    def labelled(values, *extra):
        return xr.DataArray(np.reshape(values, [*(len(values) for _ in extra), *shape]), coords, [*extra, *others])

    out = {
        "at": labelled([fit[0] for fit in fits]),
        "height": labelled([fit[1] for fit in fits]),
        "bend": labelled([fit[4] for fit in fits]),
        "low": labelled(low),
        "high": labelled(high),
        "draws": labelled(draws, "draw"),
    }
    return xr.Dataset(out, attrs={"sd": sd, "along": along})


def _mean(values):
    """Mean of those that are there, NaN if none is."""
    return np.nanmean(values) if np.isfinite(values).any() else np.nan


def _percentile(draws, q):
    with np.errstate(invalid="ignore"):
        return np.array([np.percentile(d[~np.isnan(d)], q) if (~np.isnan(d)).any() else np.nan for d in draws.T])


def _top(x, y, points):
    """Return place and height of the top, the indices that were fitted, the residuals there, and the bend."""
    there = np.flatnonzero(np.isfinite(y))
    if len(there) < 4:
        return np.nan, np.nan, there[:0], np.array([]), np.nan
    points = min(points, len(there))
    totals = np.convolve(y[there], np.ones(points), mode="valid")
    use = there[int(np.argmax(totals)) :][:points]
    bend, slope, level = np.polyfit(x[use] - x[use[0]], y[use], 2)
    left = y[use] - np.polyval([bend, slope, level], x[use] - x[use[0]])
    at = x[use[0]] - slope / (2 * bend) if bend < 0 else np.nan
    if not x[there[0]] <= at <= x[there[-1]]:
        return np.nan, np.nan, use, left, np.nan
    return at, level - slope**2 / (4 * bend), use, left, -bend


def ridge(found: xr.Dataset, against: str, level=0.95) -> xr.Dataset:
    """Return how the top moves: the slope of log2 of its place against log2 of another axis, by least squares.

    Args:
        found: by `tops`; all its dimensions but `against` must be gone.
        against: a dimension of it, of positive values, each once. Rows without a top are left out.
        level: share of the draws in the interval.

    Returns:
        Dataset: `slope`, `offset` (at log2 = 0), `low` and `high` of the slope from the draws, `rows`. NaN if fewer
        than two rows have a top.

    Raises:
        ValueError: it has other dimensions, or an argument is not as above.
    """
    if not isinstance(found, xr.Dataset) or not {"at", "draws"} <= {*found.data_vars}:
        raise ValueError(f"found=a {type(found).__name__}: must be what tops(...) returns")
    if found["at"].dims != (against,):
        has = ", ".join(found["at"].dims) or "none"
        raise ValueError(f"against={against!r}: must be the only dimension of the tops, which have {has}")
    _share(level)
    found = _rising(found, against)
    u = _octaves(found, against)

    def line(at):
        there = np.isfinite(at)
        return np.polyfit(u[there], at[there], 1) if len({*u[there]}) > 1 else (np.nan, np.nan)

    slope, offset = line(found["at"].values)
    kept = np.where(np.isfinite(found["at"].values), found.draws.transpose("draw", against).values, np.nan)
    slopes = np.array([line(draw)[0] for draw in kept])
    low, high = (_percentile(slopes[:, None], q)[0] for q in (50 * (1 - level), 100 - 50 * (1 - level)))
    return xr.Dataset({"slope": slope, "offset": offset, "low": low, "high": high,
                       "rows": int(np.isfinite(found["at"].values).sum())})  # fmt: skip


def smooth(accuracy: xr.DataArray, along: str = "lr", *, octaves: float = OCTAVE) -> xr.DataArray:
    """Return the mean over neighbours along an axis, weighted by a Gaussian in log2 of its values. NaN is left out.

    The axis comes back rising, whatever order it had. octaves: standard deviation of the Gaussian (> 0); weights are
    divided by their sum, so at an end it is one-sided.
    """
    _table(accuracy)
    if along not in accuracy.dims:
        raise ValueError(f"along={along!r}: must be a dimension of the accuracy, of {', '.join(accuracy.dims)}")
    if not isinstance(octaves, numbers.Real) or not 0 < octaves < np.inf:
        raise ValueError(f"octaves={octaves!r}: must be a number > 0")
    accuracy = _rising(accuracy, along)
    x = _octaves(accuracy, along)
    weight = np.exp(-0.5 * ((x[:, None] - x) / octaves) ** 2)
    y = np.moveaxis(accuracy.values.astype(float), accuracy.get_axis_num(along), -1)
    there = np.isfinite(y)
    total = there @ weight.T
    out = (np.where(there, y, 0) @ weight.T) / np.where(total > 0, total, np.nan)
    return accuracy.copy(data=np.moveaxis(np.where(there, out, np.nan), -1, accuracy.get_axis_num(along)))


# What an argument must be
def _table(accuracy):
    if not isinstance(accuracy, xr.DataArray) or accuracy.dtype.kind not in "iuf":
        what = f" of {accuracy.dtype}" if isinstance(accuracy, xr.DataArray) else ""
        raise TypeError(f"accuracy=a {type(accuracy).__name__}{what}: must be a DataArray of numbers, as "
                        "sweep(...).test_accuracy")  # fmt: skip


def _rising(table, along):
    """Return a table sorted along an axis, which must have each value once."""
    octaves = _octaves(table, along)
    if twice := sorted({value for value in octaves if (octaves == value).sum() > 1}):
        values = table[along].values.tolist()
        raise ValueError(f"{along}={values}: must be different values, {2 ** twice[0]:g} is there twice")
    return table if (np.diff(octaves) > 0).all() else table.isel({along: np.argsort(octaves)})


def _octaves(table, along):
    """Return log2 of an axis."""
    values = table[along].values
    if values.dtype.kind not in "iuf" or not ((values > 0) & np.isfinite(values)).all():
        raise ValueError(f"{along}={values.tolist()}: must be positive numbers, of which log2 is taken")
    return np.log2(values.astype(float))


def _whole(name, value, least):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}: must be a whole number, at least {least}")


def _share(level):
    if not isinstance(level, numbers.Real) or not 0 < level < 1:
        raise ValueError(f"level={level!r}: must be between 0 and 1")
