"""What chapters 10 and 10b say in words is what the bundled tables have."""

import gate
import nbformat
import numpy as np
import pytest
import xarray as xr

import resnet_dynamics as rd
from resnet_dynamics import compare, peaks

TEXT = {number: " ".join(" ".join(cell.source for cell in nbformat.read(path, as_version=4).cells
                                  if cell.cell_type == "markdown").split())
        for path in gate.CHAPTERS if (number := path.stem.split("-")[0]) in ("10", "10b")}  # fmt: skip


def loss(name, **which):
    return rd.recorded(name).train_loss.isel(epoch=-1).sel(which)


def unseen(name, **which):
    return rd.recorded(name).final_loss.sel(which)


def of_layers(name, place):
    return loss(name).isel(layer_settings=place)


def starts(arm):
    runs = xr.concat([loss(f"optimum-mixed-{arm}"), loss(f"optimum-mixed-{arm}-more")], "seed")
    return runs.rename(seed="start")


def at_best(runs):
    """At the λ of the lowest mean."""
    return runs.sel(lr=float(runs.mean("seed").idxmin("lr")))


LARS, SGD = (loss("lars-ball", optimizer=name) for name in ("lars", "sgd"))
MANY = xr.concat([loss("optimum-lars"), loss("optimum-lars-more")], "seed")


@pytest.mark.parametrize("chapter, a, b, level", [
    ("10b", of_layers("noisy-layers", 0), loss("rest-no-decay"), 1 - 0.05 / 8),
    ("10b", of_layers("noisy-layers", 2), loss("rest-no-decay"), 1 - 0.05 / 8),
    ("10b", of_layers("noisy-layers", 4), of_layers("noisy-layers", 5), 0.95),
    ("10b", of_layers("tuned-together", 0), loss("fresh-lars"), 0.95),
    ("10b", of_layers("tuned-together", 1), loss("fresh-lars"), 0.95),
    ("10b", at_best(MANY), at_best(starts("decay").rename(start="seed")), 0.95),
    ("10b", at_best(MANY), at_best(starts("none").rename(start="seed")), 0.95),
    ("10", loss("lars-filter"), LARS, 0.95),
    ("10", loss("lars-filter"), SGD, 0.95),
    ("10", loss("lars-memory", lars_memory=0.999), loss("lars-memory", lars_memory=0.9), 0.95),
    ("10", loss("lars-memory", lars_memory=0.999), SGD, 0.95),
    ("10", unseen("bursts", rate_rule="clip"), unseen("bursts", rate_rule="none"), 0.95),
    ("10", unseen("bursts-lars"), unseen("bursts", rate_rule="none"), 0.95),
    ("10", unseen("bursts-fresh", rate_rule="clip"), unseen("bursts-fresh", rate_rule="none"), 0.975),
    ("10", unseen("bursts-fresh-lars"), unseen("bursts-fresh", rate_rule="none"), 0.975),
    ("10", unseen("bursts", rate_rule="none"), unseen("lars-ball", optimizer="sgd"), 0.95),
    ("10", unseen("bursts", rate_rule="clip") - unseen("lars-clip"),
     unseen("bursts", rate_rule="none") - unseen("lars-ball", optimizer="sgd"), 0.95),
    ("10", unseen("bursts-lars") - unseen("lars-ball", optimizer="lars"),
     unseen("bursts", rate_rule="none") - unseen("lars-ball", optimizer="sgd"), 0.95),
])  # fmt: skip
def test_a_difference_stands_in_the_text(chapter, a, b, level):
    d = compare.paired(a, b, level=level)
    assert f"{abs(d.mean):.3f} ± {d.half:.3f}" in TEXT[chapter]


@pytest.mark.parametrize("scale", [0.125, 0.25, 0.5, 2, 4, 8])
def test_what_a_start_of_another_length_costs(scale):
    """In the text where it costs something; ¼ to 2 are equivalent to the usual start within 0.05 nat."""
    runs = xr.concat([loss("scale-short", init_scale=scale, warmup=1).drop_vars("warmup"),
                      loss("scale-more", init_scale=scale)], "seed")  # fmt: skip
    d = compare.paired(runs, loss("rest-no-decay"))
    assert d.low < 0 or f"{d.mean:.3f} ± {d.half:.3f}" in TEXT["10"]
    assert d.within(0.05) or scale > 2
    long = compare.paired(loss("scale-long", init_scale=scale), SGD.sel(seed=[0, 1, 2]))
    assert abs(long.mean - d.mean) < 0.02


@pytest.mark.parametrize("rule", ["clip", "LARS"])
def test_small_batches_are_no_case_for_clipping(rule):
    sgd = loss("small-batch", rate_rule="none")
    runs = loss("small-batch-lars") if rule == "LARS" else loss("small-batch", rate_rule=rule)
    assert compare.paired(runs, sgd).verdict(0.02) == "equivalent within 0.02"
    good = unseen("lars-ball", optimizer="lars") if rule == "LARS" else unseen("lars-clip")
    d = compare.paired(good, unseen("lars-ball", optimizer="sgd"))
    assert d.verdict(0.02) == "equivalent within 0.02" and d.half < 0.0125


def test_the_best_rates_of_starts_scatter_as_the_text_says():
    """And those of the four that have a lowest point inside the first grid scatter less than all do."""
    fixed = xr.concat([loss("optimum-mixed-fixed-low").rename(seed="start"), starts("fixed")], "lr")
    arms = {"decay": starts("decay"), "none": starts("none"), "fixed": fixed}
    spread = {arm: float(peaks.tops(-runs, resamples=1).at.std(ddof=1)) for arm, runs in arms.items()}
    four = peaks.tops(-starts("fixed").isel(start=slice(0, 6)), resamples=1).at
    assert int(np.isfinite(four).sum()) == 4
    text = TEXT["10b"]
    assert f"standard deviation is {spread['decay']:.2f} octaves with decay" in text
    assert f"{spread['fixed']:.2f} with fixed norms" in text and f"Without decay it is {spread['none']:.2f}" in text
    assert f"{float(four.std(ddof=1)):.2f} octaves of those four in place of {spread['fixed']:.2f} of the ten" in text


def test_the_best_rates_of_networks_scatter_as_the_text_says():
    """No further apart without equilibrium; and the rule of the log: both below 1.2 times the scatter with decay."""
    runs = {arm: loss(f"networks-{arm}") for arm in ("decay", "none", "fixed")}
    spread = {arm: float(peaks.tops(-of, resamples=1).at.std(ddof=1)) for arm, of in runs.items()}
    assert max(spread["none"], spread["fixed"]) < 1.2 * spread["decay"]
    text = TEXT["10b"]
    assert f"scatters by {spread['decay']:.2f} octaves over the eight networks" in text
    assert f"without decay by {spread['none']:.2f}, and with fixed norms" in text
    assert f"never turn alike, by {spread['fixed']:.2f}." in text
    four = {arm: peaks.tops(-of, points=4, resamples=1).at for arm, of in runs.items()}
    assert all(np.isfinite(at).all() for at in four.values())
    spread |= {f"{arm}, 4": float(at.std(ddof=1)) for arm, at in four.items()}
    for arm in ("fixed", "none"):
        assert f"the {spread[arm]:.2f} becomes {spread[f'{arm}, 4']:.2f}" in text
    assert f"which is {spread['none, 4'] / spread['decay, 4']:.3f} times the scatter with decay" in text
    other = {}
    for arm in runs:
        whole = rd.recorded(f"networks-{arm}")
        tops = [peaks.tops(of, resamples=1).at for of in (whole.final_accuracy, -whole.final_loss)]
        other[arm] = [float(at.std(ddof=1)) for at in tops]
    moving = other["decay"] + other["none"]
    assert f"are {min(moving):.2f} to {max(moving):.2f} octaves" in text
    assert f"and {min(other['fixed']):.2f} to {max(other['fixed']):.2f} with fixed norms" in text
