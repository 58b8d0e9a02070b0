"""What measure refuses, what it says of runs that failed, and steps that a loss scaler left out."""

import numpy as np
import pytest
import xarray as xr
from test_plots import made_up

import resnet_dynamics as rd
from resnet_dynamics import compare, library, measure, recording
from resnet_dynamics.series import of_recording

OF_A_RUN = (
    measure.alive, measure.dead, measure.fate, measure.shrink, measure.growth, measure.norm, measure.applied_norm,
    measure.radial, measure.rate, measure.line, measure.balance, measure.cosine, measure.correlation, measure.rotation,
    measure.drift, measure.kappa, measure.telescoping, measure.acceptance, measure.gradient_size, measure.drive,
    measure.predicted, measure.overall, lambda ds: compare.verdict(ds, [made_up()]),
    lambda ds: compare.verdict(made_up(), [ds]),
)  # fmt: skip
PLAIN = rd.Config(lr=4.0, momentum=0.0)


def table():
    """As `sweep` makes it: it has a config, but no steps."""
    data = {"provenance": ("lr", ["{}"]), "test_accuracy": ("lr", [0.9])}
    return xr.Dataset(data, {"lr": [0.1]}, {"config": "{}"})


NO_RECORDING = {
    "None": (lambda: None, "recording=None: must be an xarray.Dataset, a recording as run"),
    "Config": (rd.Config, "recording=a Config: must be an xarray.Dataset, a recording as run"),
    "list": (lambda: [made_up()], "recording=a list: must be an xarray.Dataset, a recording as run"),
    "series": (lambda: made_up().w2, "recording=a DataArray: must be an xarray.Dataset, a recording as run"),
    "text": (lambda: "sgd-0", "recording='sgd-0': must be an xarray.Dataset, a recording as run"),
    "table": (table, "recording=a table of sweep: must be a recording, as run"),
    "foreign": (lambda: xr.Dataset({"a": ("x", [1])}), "recording=a Dataset without steps and a config: must be a rec"),
}


@pytest.mark.parametrize("what", NO_RECORDING)
@pytest.mark.parametrize("quantity", OF_A_RUN, ids=lambda q: q.__name__)
def test_what_is_no_recording_is_named(quantity, what):
    made, message = NO_RECORDING[what]
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        quantity(made())


def test_a_quantity_that_a_recording_lacks_is_named():
    said = "without {}, the {}: must have it, as run"
    for quantity, name, what in ((measure.dead, "accuracy", "training accuracy"),
                                 (measure.cosine, "wg", "weight times gradient"),
                                 (measure.balance, "g2", "squared gradient"),
                                 (measure.overall, "w2", "squared weight norm")):  # fmt: skip
        with pytest.raises(ValueError, match=said.format(name, what).split("norm")[0].split(":")[0]):
            quantity(made_up().drop_vars(name))
    assert measure.norm(made_up().drop_vars("g2")).dims == ("step", "layer")  # what it does not need it does not miss
    with pytest.raises(AttributeError, match="foo"):
        of_recording(lambda ds: ds.foo)(made_up())


SHARE = "must be two numbers, 0 ≤ first < last ≤ 1"
BAD = {
    "window(ds, (0.9, 0.1))": rf"share=\(0.9, 0.1\): {SHARE}",
    "window(ds, (2, 3))": rf"share=\(2, 3\): {SHARE}",
    "window(ds, (-0.1, 0.5))": SHARE,
    "window(ds, (0.5, nan))": SHARE,
    "window(ds, 0.5)": f"share=0.5: {SHARE}",
    "window(ds, None)": f"share=None: {SHARE}",
    "window(ds, (0.5, 0.5001))": r"share=\(0.5, 0.5001\): must hold at least one step, of 480 it holds none",
    "drift(ds, (0.9, 0.1))": SHARE,
    "acceptance(ds, (2, 3))": SHARE,
    "smooth(ds.w2, 2.5)": "steps=2.5: must be a whole number, or None",
    "smooth(ds.w2, 'ten')": "steps='ten': must be a whole number, or None",
    "predicted(ds, 7)": "c=7: must be 'constant', 'measured' or 'correlated'",
    "predicted(ds, ['measured'])": r"c=\['measured'\]: must be 'constant'",
    "window(ds, '01')": f"share='01': {SHARE}",
    "window(ds, ('0', '1'))": SHARE,
    "smooth(np.ones(3))": "series=a ndarray: must be a DataArray with steps, a series of a recording",
    "smooth(ds)": "series=a Dataset: must be a DataArray with steps",
    "smooth(ds.test_loss)": "series=a DataArray: must be a DataArray with steps",
    "acceptance(ds, (0.998, 1))": r"share=\(0.998, 1\): must hold a step that another follows, of 480 steps",
    "drift(ds[dict(step=slice(None, None, 2))])": "must hold a step that another follows, of 240 ",
    "telescoping(ds[dict(step=slice(4, None, 10))])": "telescoping of a recording whose step 14 follows 4: must",
    "predicted(ds[dict(step=[0, 1, 3])])": "predicted of a recording whose step 3 follows 1: must be steps with",
    "verdict(ds, 5)": "recording=5: must be an xarray.Dataset",
    "verdict(ds, [ds, ds, ds])": "seed=0: must be of one recording, and 3 have it",
    "verdict(ds, [ds, still])": "seeds of 2 different runs: must be seeds of one run",
    "verdict(ds, [])": r"seeds=\[\]: must be a recording or a list of them",
    "verdict(ds, None)": "recording=None: must be an xarray.Dataset",
    "drift(still)": "drift of a run with weight_decay=0.0: must be > 0, drift is relative to the decay",
    "acceptance(still)": "acceptance of a run with weight_decay=0.0: must be > 0",
    "predicted(still)": "predicted of a run with weight_decay=0.0: must be > 0",
    "overall(still)": "balance of a run with weight_decay=0.0: must be > 0",
    "balance(stays)": "balance of a run with lr=0.0: must be > 0, nothing moves",
    "drift(stays)": "drift of a run with lr=0.0: must be > 0",
    "kappa(stays)": "kappa of a run with lr=0.0: must be > 0",
    "telescoping(stays)": "telescoping of a run with lr=0.0: must be > 0",
}


@pytest.mark.parametrize("call", BAD)
def test_a_bad_value_is_named_with_what_is_allowed(call):
    runs = {"ds": made_up(), "still": made_up(PLAIN.replace(weight_decay=0)), "stays": made_up(PLAIN.replace(lr=0))}
    with pytest.raises((TypeError, ValueError), match=BAD[call]):
        eval(call, {**vars(measure), "verdict": compare.verdict, "np": np, "nan": np.nan, **runs})


def test_a_window_is_of_something_with_steps():
    with pytest.raises(TypeError, match="a list without steps: must be a recording, or a series of one"):
        measure.window([1, 2, 3])


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("diverged", [True, False])
def test_of_a_run_that_is_hardly_there_series_are_short_and_numbers_are_refused(steps, diverged):
    if diverged:
        ds = made_up().assign_attrs(diverged_at=steps)
    elif steps:
        ds = made_up().isel(step=slice(0, steps))
    else:
        return
    part = measure.alive(ds)
    for series in (measure.balance, measure.rate, measure.growth, measure.shrink, measure.cosine):
        assert series(part).sizes["step"] == steps and np.isfinite(series(part)).all()
    assert measure.rotation(part).sizes["step"] == max(steps - 1, 0)
    assert not measure.dead(ds)
    for number, least in ((measure.drift, 2), (measure.telescoping, 2), (measure.acceptance, 2), (measure.overall, 1)):
        if steps >= least:
            number(ds)
        else:
            with pytest.raises(ValueError, match=f"of a run.* with {steps} steps before: must be at least {least}"):
                number(ds)
    if diverged:
        assert compare.verdict(ds, [made_up()]).startswith(f"This run diverged at step {steps} of 480")


# A part of a recording
ZOOMS = {"end": slice(-300, None), "start": slice(0, 100), "middle": slice(100, 300), "every tenth": slice(3, None, 10)}
SERIES = (measure.shrink, measure.growth, measure.applied_norm, measure.radial, measure.rate, measure.line,
          measure.balance, measure.cosine, measure.correlation, measure.rotation, measure.gradient_size,
          measure.drive)  # fmt: skip


@pytest.mark.parametrize("zoom", ZOOMS)
def test_a_series_of_a_part_is_the_part_of_the_series_or_not_a_number(zoom):
    whole = made_up(rd.Config(), noise=0.2, wg=1e-6)
    part = whole.isel(step=ZOOMS[zoom])
    for quantity in SERIES:
        found = quantity(part)
        there = np.isfinite(found)
        expected = quantity(whole).sel(step=found.step)
        np.testing.assert_allclose(found.where(there), expected.where(there), rtol=1e-12)
        neighbors = quantity in (measure.applied_norm, measure.correlation, measure.rotation)
        assert there.all() if not neighbors else there.any() != (zoom == "every tenth")
    assert (measure.drift(part) if zoom != "every tenth" else measure.kappa(part)).sizes == {"layer": 2}


@pytest.mark.parametrize("zoom", ZOOMS)
@pytest.mark.parametrize("config", [rd.Config(), rd.Config(warmup=0.0), rd.Config(warmup=24.0)], ids=str)
def test_the_rates_of_a_part_say_how_long_the_whole_is(config, zoom):
    whole = made_up(config)
    assert measure.length(whole) == measure.length(whole.isel(step=ZOOMS[zoom])) == whole.sizes["step"]


def test_where_nothing_says_how_long_a_run_is_it_is_what_is_there():
    ds = made_up(rd.Config(schedule="constant")).isel(step=slice(10, 30))
    assert measure.length(ds) == 30 and measure.length(ds.isel(step=slice(0, 0))) == 0
    assert measure.length(made_up().isel(step=[3, 4]).assign(lr=("step", [9.0, 8.0]))) == 5
    known = rd.Config(schedule="constant", train_images=650, batch_size=32)
    assert measure.length(made_up(known).isel(step=slice(10, 30))) == 480


@pytest.mark.parametrize("name", library.bundled())
def test_the_recordings_of_the_book_are_of_whole_runs(name):
    ds = rd.run(library.planned()[name])
    assert measure.length(ds) == measure.length(ds.isel(step=slice(50, -100, 7))) == ds.sizes["step"]


def test_a_part_is_alive_by_the_numbers_of_its_steps():
    ds = made_up().assign_attrs(diverged_at=60)
    for zoom in (slice(40, None), slice(None, None, 10), slice(None, None, -1), slice(100, None)):
        part = ds.isel(step=zoom)
        np.testing.assert_array_equal(measure.alive(part).step, [t for t in part.step.values if t < 60])


def test_a_mean_of_small_values_behind_a_large_one_keeps_its_digits():
    x = xr.DataArray([[1e20, 1.0], *[[1e-3, 1.0]] * 9], dims=("step", "layer"))
    np.testing.assert_allclose(measure.smooth(x, 3)[2:, 0], 1e-3, rtol=1e-12)
    np.testing.assert_array_equal(measure.smooth(x, 3)[:, 1], 1)
    big = xr.DataArray([1e308, 1e308, np.nan, 1.0, 2.0, 3.0], dims="step")
    np.testing.assert_allclose(measure.smooth(big, 2)[3:], [1, 1.5, 2.5])


def test_means_of_the_recordings_are_differences_of_sums():
    for name in ("sgd-0", "momentum-0", "ringing"):
        series = measure.growth(rd.run(library.planned()[name]))
        sums = np.concatenate([np.zeros((1, series.sizes["layer"])), np.cumsum(series.values, axis=0)])
        t = np.arange(series.sizes["step"])
        first, last = np.maximum(t - 25, 0), np.minimum(t + 25, len(t))
        np.testing.assert_array_equal(measure.smooth(series), (sums[last] - sums[first]) / (last - first)[:, None])


# A run that was stopped
def stopped(ds, at=8):
    return ds.isel(step=slice(0, at)).assign_attrs(stopped_at=at, steps=ds.sizes["step"])


def test_a_run_that_was_stopped_is_not_taken_for_a_whole_one():
    whole, part = made_up(), stopped(made_up())
    assert measure.fate(part) == "stopped after 8 of 480 steps" and measure.length(part) == 480
    assert compare.verdict(part, whole) == "This run was stopped after step 8 of 480: there is no whole run to compare."
    said = "stopped after 8 of 480 steps; there is no whole run to compare with."
    assert compare.verdict(whole, part) == f"The book's run: {said}"
    other = made_up(PLAIN.replace(seed=1))
    assert compare.verdict(whole, [other, part]) == f"Of 2 seeds of the book 1: {said}"
    zoom = whole.isel(step=slice(-300, None))
    said = "is here with 300 of its 480 steps"
    assert compare.verdict(zoom, whole) == f"This run {said}: there is no whole run to compare."
    assert compare.verdict(whole, zoom) == f"The book's run: {said}; there is no whole run to compare with."
    ended = whole.assign_attrs(diverged_at=7)
    assert compare.verdict(whole, ended).startswith("The book's run: diverged at step 7; there is no whole run")


def test_what_is_not_a_number_is_said_in_words():
    ds, lost = made_up(), made_up().assign(g2=made_up().g2 * np.nan)
    said = "is not a finite number: there is nothing to compare."
    assert compare.verdict(lost, ds) == f"Dots over line of this run {said}"
    assert compare.verdict(ds, lost) == f"Dots over line of the book's run {said}"
    assert compare.verdict(ds.assign(w2=0 * ds.w2), ds) == f"Dots over line of this run {said}"
    other = made_up(PLAIN.replace(seed=1))
    assert compare.verdict(ds, [other, lost]) == f"Dots over line of the book's runs {said}"


# Whom a run is compared with
def test_a_single_recording_is_a_list_of_one():
    assert compare.verdict(made_up(), made_up()) == compare.verdict(made_up(), [made_up()])


def of(dataset, digest, **attrs):
    return made_up().assign_attrs(dataset=dataset, dataset_digest=digest, **attrs)


def test_a_verdict_says_when_images_or_meaning_differ():
    original, jpeg = of("CIFAR-10", "aa"), of("CIFAR-10 (JPEG)", "bb")
    alike = compare.verdict(jpeg, [jpeg])
    assert "images" not in alike and "is of" not in alike and "semantics" not in alike
    assert compare.verdict(original, [jpeg]) == f"{alike} This run is of CIFAR-10, the book's of CIFAR-10 (JPEG)."
    again = of("CIFAR-10", "cc")
    assert compare.verdict(original, [again]).endswith("This run is of CIFAR-10 (aa), the book's of CIFAR-10 (cc).")
    assert compare.verdict(original, [original, jpeg]).endswith("the book's of CIFAR-10 and CIFAR-10 (JPEG).")
    assert "is of" not in compare.verdict(made_up(), [jpeg])  # it does not say
    second = jpeg.assign_attrs(semantics=2)
    assert compare.verdict(second, [jpeg]) == f"{alike} This run was made by training semantics 2, the book's by 1."
    assert compare.verdict(jpeg.assign_attrs(semantics=1), [jpeg]) == alike


# Runs that fail
def guessing(ds, classes=10, noise=1e-4, accuracy=None):
    """The same with a loss and an accuracy as of guesses."""
    random, steps, batch = np.random.default_rng(0), ds.sizes["step"], recording.config(ds).batch_size
    guessed = random.binomial(batch, 1 / classes, steps) / batch if accuracy is None else np.full(steps, accuracy)
    return ds.assign(loss=("step", np.log(classes) + noise * random.normal(size=steps)), accuracy=("step", guessed))


def test_a_network_that_guesses_is_dead():
    ds = made_up()
    assert not measure.dead(ds) and measure.fate(ds) == ""
    for classes in (2, 10, 100):
        assert measure.dead(guessing(ds, classes))
    assert measure.fate(guessing(ds)) == "does not learn: loss stays at 2.303"
    assert "This run does not learn: loss stays at 2.303." in compare.verdict(guessing(ds), ds)
    learned = guessing(ds)
    learned.loss[: 3 * ds.sizes["step"] // 4] = ds.loss[: 3 * ds.sizes["step"] // 4]  # once it did, now it does not
    assert measure.dead(learned)


def test_a_network_that_learns_stands_still_or_diverges_is_not_dead():
    ds = made_up()
    assert not measure.dead(guessing(ds, noise=0.02))
    assert not measure.dead(guessing(ds, accuracy=0.2))
    assert not measure.dead(guessing(made_up(PLAIN.replace(lr=0))))  # nobody asked it to learn
    assert not measure.dead(guessing(ds).assign_attrs(diverged_at=400))
    assert measure.fate(guessing(ds).assign_attrs(diverged_at=400)) == "diverged at step 400"
    assert not measure.dead(guessing(ds).isel(step=slice(0, 15)))


def test_a_run_whose_decay_wins_is_dead():
    killed = rd.Config.smoke(lr=1.0, momentum=0.0, weight_decay=1.0)
    assert measure.fate(rd.run(killed, progress=False)) == "does not learn: loss stays at 2.303"


@pytest.mark.parametrize("name", library.bundled())
def test_the_runs_of_the_book_learn(name):
    assert measure.fate(rd.run(library.planned()[name])) == ""


# Steps that a loss scaler left out
def with_gaps(ds, at=(0, 7, 8, 200)):
    """The same run with steps before which nothing moves: g and d are no numbers, w and v stay."""
    rows = np.sort(np.append(np.arange(ds.sizes["step"]), at))
    gap = np.append(rows[:-1] == rows[1:], False)  # of equal rows the first ones: the state before the step
    out = ds.isel(step=rows).assign_coords(step=np.arange(len(rows)))
    v2_before = ds.v2.shift(step=1, fill_value=0.0).values[rows]
    empty = xr.DataArray(gap, dims="step")
    out = out.assign({name: out[name].where(~empty) for name in ("g2", "d2", "dv", "gv", "wg")})
    out = out.assign(u2=out.u2.where(~empty, 0.0), v2=(out.v2.dims, np.where(gap[:, None], v2_before, out.v2)))
    return out.assign(skipped=("step", gap.astype(float))).assign_attrs(ds.attrs, skipped=int(gap.sum())), ~gap


@pytest.mark.parametrize("config", [PLAIN, rd.Config(), rd.Config(optimizer="nesterov"),
                                    rd.Config(optimizer="lars", lr=1.0), rd.Config(optimizer="lars", momentum=0.0)],
                         ids=lambda c: f"{c.optimizer}-{c.momentum:g}")  # fmt: skip
def test_a_step_that_was_left_out_changes_no_number(config):
    ds = made_up(config.replace(optimizer="sgd") if "lars" in config.optimizer else config, noise=0.2, wg=1e-6)
    if config.optimizer == "lars":
        ds = ds.assign(lars_lr=("step", np.full(ds.sizes["step"], 0.01))).assign_attrs(made_up(config).attrs)
    gaps, there = with_gaps(ds)
    numbers = [measure.telescoping]
    if config.optimizer != "lars":
        numbers += [lambda ds, f=f: f(ds, (0, 1)) for f in (measure.drift, measure.kappa, measure.acceptance)]
        for series in (measure.growth, measure.shrink, measure.radial, measure.balance, measure.applied_norm):
            np.testing.assert_allclose(series(gaps)[there], series(ds), rtol=1e-12)
        for series in (measure.growth, measure.shrink, measure.radial):
            assert (series(gaps)[~there] == 0).all()
        for c in ("constant", "measured", "correlated"):
            theirs = measure.predicted(gaps, c, steps=1).w2.values
            np.testing.assert_allclose(theirs[there], measure.predicted(ds, c, steps=1).w2, rtol=1e-10)
            assert (theirs[:-1][~there[:-1]] == theirs[1:][~there[:-1]]).all()  # it waits
        np.testing.assert_allclose(measure.overall(gaps, (0, 1)), measure.overall(ds, (0, 1)))
    for number in numbers:
        xr.testing.assert_allclose(number(gaps), number(ds), rtol=1e-9)
