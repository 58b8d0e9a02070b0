"""Figures and the numbers in them: identities on real recordings, known answers on made-up ones."""

import json

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import resnet_dynamics as rd
from resnet_dynamics import compare, library, measure, peaks, plots, recording, schedules, style, theory
from resnet_dynamics.arms import SEPARATE
from resnet_dynamics.config import CONVS

TINY = dict(train_images=1024, batch_size=32, width=4, epochs=1, warmup=0.25)
RUNS = {
    "sgd": dict(lr=1.0, momentum=0.0),
    "momentum": dict(lr=0.1, momentum=0.9),
    "lars": dict(lr=1.0, momentum=0.0, optimizer="lars"),
}
SEEDS = 3


@pytest.fixture(scope="session")
def real():
    """Three tiny runs, 32 steps each, that were really trained."""
    return {name: rd.run(rd.Config.smoke(**TINY, **run), progress=False) for name, run in RUNS.items()}


def made_up(config=None, c=(0.3, 0.1), start=(1.0, 4.0), steps_per_epoch=20, noise=0.0, wg=0.0):
    """A recording in which random orthogonal gradients of size c do exactly what they do on average."""
    config = config or rd.Config(lr=4.0, momentum=0.0)
    lr = schedules.rates(config, steps_per_epoch)
    c = np.array(c) * np.exp(noise * np.random.default_rng(config.seed).normal(size=(len(lr), len(c))))
    alpha, rho = config.weight_decay, config.momentum
    w2, wv, v2, u2 = theory.moments(np.array(start), c, lr, alpha, rho, optimizer=config.optimizer)
    v2_before = np.concatenate([np.zeros_like(v2[:1]), v2[:-1]])
    data = {"w2": w2, "g2": c**2 / w2, "d2": c**2 / w2 + alpha**2 * w2, "v2": v2, "u2": u2,
            "wg": wg * c, "wv": wv, "dv": alpha * wv, "gv": 0.1 * np.sqrt(c**2 / w2 * v2_before)}  # fmt: skip
    data = {name: (("step", "layer"), a) for name, a in data.items()}
    data |= {"lr": ("step", lr), "loss": ("step", 2 / (1 + lr)), "accuracy": ("step", 1 - lr / 9)}
    epochs = np.arange(1, round(config.epochs) + 1)
    data |= {"test_loss": ("epoch", 1 / epochs), "test_accuracy": ("epoch", 1 - 1 / epochs)}
    coords = {"step": np.arange(len(lr)), "layer": ["prep", "layer1"], "epoch": epochs}
    attrs = {"config": json.dumps(config.as_dict()), "digest": config.digest, "format_version": 1}
    return recording.label(xr.Dataset(data, coords, attrs))


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


# Numbers
@pytest.mark.parametrize("name", RUNS)
def test_every_change_of_the_norm_is_accounted_for(real, name):
    book = measure.telescoping(real[name])
    assert abs(book.closure).max() < 2e-3  # float32 over few steps of little decay
    total = book.growth - book.shrink + book.radial
    np.testing.assert_allclose(total, book.change, atol=1e-4 * float(real[name].w2.max()))
    assert abs(book.radial_share).max() < 0.05


def test_the_motion_of_the_norm_is_growth_minus_shrink_at_every_step(real):
    ds = real["sgd"]
    change = (ds.w2.astype(float).shift(step=-1) - ds.w2).isel(step=slice(0, -1))
    said = (measure.growth(ds) - measure.shrink(ds) + measure.radial(ds)).isel(step=slice(0, -1))
    np.testing.assert_allclose(said, change, atol=1e-6 * float(ds.w2.max()))


@pytest.mark.parametrize("name", ["momentum", "nesterov"])
def test_with_momentum_the_pair_moves_the_applied_weights(real, name):
    # z depends on λ; before and after step t are both taken at λ_t.
    ds = (made_up(rd.Config(optimizer="nesterov")) if name == "nesterov" else real[name]).astype(float)
    c = recording.config(ds)
    power = 2 if name == "nesterov" else 1
    a = ds.lr * c.momentum**power / (1 - c.momentum)
    before = measure.applied_norm(ds)
    w2, wv = ds.w2.shift(step=-1), ds.wv.shift(step=-1)
    after = w2 - 2 * a * wv + a**2 * ds.v2
    said = measure.growth(ds) - measure.shrink(ds) - 2 * ds.lr / (1 - c.momentum) * ds.wg
    np.testing.assert_allclose((after - before)[:-1], said[:-1], atol=2e-5 * float(ds.w2.max()))


@pytest.mark.parametrize("name", ["sgd", "momentum"])
def test_weights_and_gradients_are_orthogonal(real, name):
    table = measure.acceptance(real[name])
    assert table.cosine.max() < 1e-2  # width 4, ε of batch norm
    assert ("kappa" in table) == (name != "sgd") and ("update" in table) == (name == "momentum")


def test_the_corrected_ratio_of_plain_sgd_is_one():
    table = measure.acceptance(made_up(noise=0.3))
    np.testing.assert_allclose(table.corrected, 1, atol=1e-3)
    assert table.corrected.attrs["passed"] == 2 and abs(table.raw - 1).max() > 0.02


def test_the_corrected_ratio_of_real_sgd_is_one(real):
    ds = real["sgd"]
    z, delta = measure.window(measure.balance(ds)).mean("step"), measure.drift(ds)
    np.testing.assert_allclose(z / (1 + delta), 1, atol=0.02)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
def test_the_corrected_ratio_with_momentum_is_one(optimizer):
    ds = made_up(rd.Config(optimizer=optimizer), steps_per_epoch=97)
    table = measure.acceptance(ds)
    np.testing.assert_allclose(table.corrected, 1, atol=0.01)
    if optimizer == "sgd":
        np.testing.assert_allclose(table["update"], 1, atol=0.01)
    assert abs(measure.telescoping(ds).closure).max() < 1e-10


def test_predictions_are_what_made_the_recording():
    ds = made_up()
    for c in ("measured", "constant", "correlated"):
        theirs = measure.predicted(ds, c)
        np.testing.assert_allclose(theirs.w2, ds.w2, rtol=1e-10)
        np.testing.assert_allclose(theirs.z, measure.balance(ds, measure.SMOOTH), rtol=1e-10)
    with pytest.raises(ValueError, match="c='guessed': must be 'constant', 'measured' or 'correlated'"):
        measure.predicted(ds, "guessed")


def test_the_size_of_its_gradients_is_all_that_a_prediction_of_plain_sgd_needs(real):
    theirs = measure.predicted(real["sgd"], steps=1).w2  # of every step
    np.testing.assert_allclose(theirs, real["sgd"].w2, rtol=2e-3)


def test_the_smoothed_z_is_a_ratio_of_sums_and_telescopes():
    ds = made_up(noise=0.5)
    n = ds.sizes["step"]
    z = measure.balance(ds, steps=2 * n)  # every mean is over the whole run
    change = (ds.w2[-1] - ds.w2[0]) / (2 * ds.lr * 5e-4 * ds.w2)[:-1].sum("step")
    np.testing.assert_allclose(z[n // 2], 1 + change, atol=0.01)


def test_smoothing_is_a_centered_mean():
    x = xr.DataArray(np.arange(10.0)[:, None] * [1, 2], dims=("step", "layer"), attrs={"units": "u²"})
    y = measure.smooth(x, 3)
    np.testing.assert_allclose(y[:, 0], [0.5, 1, 2, 3, 4, 5, 6, 7, 8, 8.5])
    assert y.attrs == x.attrs and measure.smooth(x, None) is x
    np.testing.assert_allclose(measure.smooth(x.T, 3), y.T)
    missing = x.copy(data=np.where(x == 0, np.nan, x))
    np.testing.assert_allclose(measure.smooth(missing, 3)[:2, 0], [1, 1.5])


def test_a_window_is_the_middle_half():
    part = measure.window(made_up())
    assert (int(part.step[0]), int(part.step[-1])) == (120, 359)


def test_rotation_of_plain_sgd_is_known():
    # At equilibrium cos θ = 1 − λα; with |Δw| and both norms it is the angle of a triangle, however small.
    config = rd.Config(lr=4.0, momentum=0.0, schedule="constant", epochs=40)
    ds = made_up(config, steps_per_epoch=97)
    angle = measure.rotation(ds)
    np.testing.assert_allclose(np.cos(angle[-1]), 1 - 4 * 5e-4, rtol=1e-8)
    assert angle.sizes["step"] == ds.sizes["step"] - 1


def test_correlation_is_the_cosine_with_the_momentum_before_the_step():
    chi = measure.correlation(made_up(rd.Config()))
    np.testing.assert_allclose(chi[1:], 0.1)
    assert np.isnan(chi[0]).all()


def test_quantities_say_what_they_are():
    ds = made_up(rd.Config())
    for quantity in (measure.shrink, measure.growth, measure.norm, measure.rate, measure.line, measure.balance,
                     measure.cosine, measure.correlation, measure.rotation, measure.applied_norm, measure.radial,
                     measure.drift, measure.kappa, measure.gradient_size):  # fmt: skip
        value = quantity(ds)
        assert value.name == quantity.__name__ and {"symbol", "long_name", "units"} <= set(value.attrs)


@pytest.mark.parametrize(
    "quantity", [measure.shrink, measure.growth, measure.balance, measure.drift, measure.acceptance]
)
def test_what_lars_does_not_have_is_refused(real, quantity):
    with pytest.raises(ValueError, match=f"{quantity.__name__} of a run with optimizer='lars'"):
        quantity(real["lars"])


def test_without_decay_there_is_no_line():
    with pytest.raises(ValueError, match="weight_decay=0.0: must be > 0"):
        measure.balance(made_up(rd.Config(lr=4.0, momentum=0.0, weight_decay=0.0)))


def test_verdicts():
    c = rd.Config(lr=4.0, momentum=0.0)
    seeds = [made_up(c.replace(seed=i), noise=0.3) for i in range(SEEDS)]
    assert "Inside" in compare.verdict(made_up(c.replace(seed=9), noise=0.3), seeds)
    other = made_up(c.replace(momentum=0.9))  # λ' ten times too large: nowhere near
    other = other.assign(g2=4 * other.g2)
    assert "Outside, above by" in compare.verdict(other, seeds)
    assert "a difference of +0.0 %" in compare.verdict(seeds[0], seeds[:1])
    other.attrs["diverged_at"] = 7
    assert compare.verdict(other, seeds).startswith("This run diverged at step 7 of 480")


# The recordings of the book
@pytest.mark.parametrize("name", library.bundled())
def test_a_bundled_recording_is_accepted(name):
    config = library.planned()[name]
    ds = rd.run(config)
    if config.optimizer not in SEPARATE:  # of those it is not known what a step adds along w
        assert abs(measure.telescoping(ds).closure).max() < 1e-3
    cosines = measure.rms(measure.cosine(ds))
    if config.no_norm:
        assert cosines.sel(layer=config.no_norm) > 10 * cosines.drop_sel(layer=config.no_norm).max()
        cosines = cosines.drop_sel(layer=config.no_norm)
    if config.width < 16:  # in narrow networks the last convolution has two or three times as much
        assert cosines[-1] < 3e-3
        cosines = cosines[:-1]
    assert cosines.max() < 1e-3
    if name.startswith(("sgd-", "momentum-")):
        table = measure.acceptance(ds)
        for value in (table.raw, table.corrected, table.get("update", table.corrected)):
            assert value.attrs["passed"] >= min(value.attrs["layers"], 7 if config.momentum else 8)


@pytest.mark.parametrize("name", [name for name in library.bundled() if name.startswith("momentum-")])
def test_correlated_batches_explain_the_norm_under_momentum(name):
    ds = rd.run(library.planned()[name])
    error = {c: abs(np.log(measure.predicted(ds, c).w2 / ds.w2)).max() for c in ("measured", "correlated")}
    assert error["correlated"] < 0.05 < 0.1 < error["measured"]


# Figures
def some(recordings):
    return recordings if isinstance(recordings, list) else [recordings]


SEEDED = {
    "shrink": plots.shrink,
    "growth": plots.growth,
    "balance": plots.balance,
    "norms": plots.norms,
    "ratio": plots.ratio,
    "prediction": plots.prediction,
    "cosine": plots.cosine,
    "rotation": plots.rotation,
    "memory": plots.memory,
    "curves": plots.curves,
    "verdict": lambda recordings, ax=None: plots.verdict(some(recordings)[0], recordings, ax),
}
UNITS = {
    "shrink": "% of |w₀|²", "growth": "% of |w₀|²", "balance": "% of |w₀|²", "norms": "(|w₀|²)", "ratio": "(rad/step)",
    "rotation": "(rad/step)", "curves": "(%)",
}  # fmt: skip


@pytest.fixture(scope="module")
def seeds():
    c = rd.Config(lr=4.0, momentum=0.0, epochs=6, warmup=2)
    return [made_up(c.replace(seed=i), noise=0.2, wg=1e-6) for i in range(SEEDS)]


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("several", [False, True])
def test_a_figure_has_labels_units_and_readable_text(name, several, seeds):
    before = dict(matplotlib.rcParams)
    fig, ax = plt.subplots(figsize=plots.SIZE, layout="constrained")
    assert SEEDED[name](seeds if several else seeds[0], ax) is ax
    fig.canvas.draw()
    assert matplotlib.rcParams == before
    assert ax.get_xlabel() and ax.get_ylabel() and UNITS.get(name, "") in ax.get_ylabel()
    assert ax.get_xlabel() in ("training step", "epoch", "share of training (%)")
    texts = [text for text in fig.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
    assert texts and min(text.get_fontsize() for text in texts) >= 10
    assert matplotlib.colors.to_hex(ax.get_facecolor()) == "#ffffff"
    if several and name not in ("balance", "ratio"):
        assert any(isinstance(part, matplotlib.collections.PolyCollection) for part in ax.collections)
    inside = fig.bbox.padded(2)
    for part in (ax.get_tightbbox(), ax.yaxis.get_tightbbox(fig.canvas.get_renderer())):
        assert inside.x0 <= part.x0 and part.x1 <= inside.x1 and inside.y0 <= part.y0 and part.y1 <= inside.y1


def test_a_figure_makes_its_own_axes(seeds):
    ax = plots.norms(seeds[0])
    assert tuple(ax.figure.get_size_inches()) == plots.SIZE
    assert not plt.rcParams["axes.grid"]


@pytest.mark.parametrize("run", ["momentum", "lars"])
def test_figures_of_real_runs(real, run):
    drawn = ["norms", "ratio", "cosine", "curves", "rotation"]
    for name in drawn if run == "lars" else set(SEEDED) - {"memory"}:
        SEEDED[name](real[run])


def test_ratio_draws_dots_and_the_line_of_the_theory(seeds):
    ax = plots.ratio(seeds[0], dots=100)
    dots = [line for line in ax.lines if line.get_marker() == "."]
    (line,) = [line for line in ax.lines if line.get_marker() != "."]
    np.testing.assert_allclose(line.get_ydata(), np.sqrt(2 * seeds[0].lr * 5e-4))
    assert len(dots) == 2 and sum(len(d.get_xdata()) for d in dots) == 80
    for layer, d in zip(seeds[0].layer, dots):
        np.testing.assert_allclose(d.get_ydata(), measure.rate(seeds[0]).sel(layer=layer, step=d.get_xdata()))


def test_ratio_puts_lars_beside_sgd(real):
    ax = plots.ratio([real["sgd"], real["lars"]])
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["λ|g|/|w|, dark to light with depth", "√(2λα)", "λ_LARS of the LARS run"]


def test_a_prediction_lies_on_the_measurement():
    ax = plots.prediction(made_up(), c=["measured", "constant"])
    lines = {line.get_label(): line.get_ydata() for line in ax.lines if not line.get_label().startswith("_")}
    measured = lines.pop("measured")
    assert len(lines) == 2
    for theirs in lines.values():
        np.testing.assert_allclose(theirs, measured, rtol=1e-8)


def test_cosine_states_its_rms(seeds):
    (text,) = plots.cosine(seeds[0]).texts
    assert text.get_text().startswith("rms of all steps: 1·10⁻⁶ (")


def test_layers_can_be_told_apart_in_grey():
    styles = plots.layer_styles(CONVS)
    assert len({(look["color"], str(look["linestyle"])) for look in styles.values()}) == len(styles) == 8
    grey = [np.dot(look["color"][:3], (0.2126, 0.7152, 0.0722)) for look in styles.values()]
    assert all(np.diff(grey) >= 0) and max(grey) < 0.75
    assert min(np.diff(sorted(set(np.round(grey, 6))))) > 0.1


def test_layers_of_a_deep_network_can_be_told_apart():
    """By a color for each block, as one for all would have its styles more than once; and some have their names."""
    parts = ("self_attention.in_proj_weight", "self_attention.out_proj", "mlp.0", "mlp.3")
    names = [f"encoder.layers.encoder_layer_{i}.{part}" for i in range(12) for part in parts]
    styles, labels = plots.layer_styles(names), style.layer_names(names)
    assert len({(look["color"], str(look["linestyle"])) for look in styles.values()}) == len(names)
    assert len({look["color"] for look in styles.values()}) == 12
    assert len(labels) == len({*labels.values()}) == 8 and [*labels][0] == names[0] and [*labels][-1] == names[-1]
    assert labels[names[0]] == "e.l.e0.s.in_proj_weight" and max(map(len, labels.values())) <= style.LONG
    assert [*style.layer_names(CONVS).values()] == [*CONVS]


def test_a_layer_looks_the_same_alone(seeds):
    (alone,) = plots.norms(seeds[0], layers="layer1").lines
    assert alone.get_color() == plots.norms(seeds[0]).lines[1].get_color()
    (one, line) = plots.ratio(seeds[0], layers=["layer1"]).lines
    assert one.get_color() == alone.get_color() and line.get_color() == "black"


def test_wrong_recordings_are_refused(seeds):
    with pytest.raises(TypeError, match="recording=a DataArray: must be an xarray.Dataset"):
        plots.norms([seeds[0].w2])
    with pytest.raises(ValueError, match="must be a recording or a list"):
        plots.norms([])
    with pytest.raises(ValueError, match="2 different runs: must be seeds of one run"):
        plots.norms([seeds[0], made_up()])
    with pytest.raises(ValueError, match="no layer layer9 in this recording: it has prep, layer1"):
        plots.norms(seeds, layers="layer9")
    with pytest.raises(ValueError, match="quantity='speed': must be one of"):
        plots.curves(seeds, quantity="speed")


def test_a_run_that_diverged_is_drawn_as_far_as_it_went(seeds):
    ds = seeds[0].copy(deep=True)
    ds.attrs["diverged_at"] = 60
    ds.g2[60:] = np.nan
    for name in SEEDED:
        SEEDED[name](ds)
    assert plots.ratio(ds).lines[-1].get_xdata()[-1] == 59


RECORDING = "must be an xarray.Dataset, a recording as run"
BAD = {
    "ratio(None)": f"recording=None: {RECORDING}",
    "norms([ds, None])": f"recording=None: {RECORDING}",
    "norms(rd.Config())": f"recording=a Config: {RECORDING}",
    "norms([rd.Config()])": f"recording=a Config: {RECORDING}",
    "curves({'a': None})": f"recording=None: {RECORDING}",
    "verdict(None, ds)": f"recording=None: {RECORDING}",
    "verdict(ds, None)": f"recording=None: {RECORDING}",
    "verdict(ds, [])": r"recordings=\[\]: must be a recording or a list of them",
    "ratio(table)": "recording=a table of sweep: must be a recording, as run",
    "curves(table)": "recording=a table of sweep: must be a recording, as run",
    "ratio(ds, dots=0)": "dots=0: must be a whole number, at least 1",
    "ratio(ds, dots=0.5)": "dots=0.5: must be a whole number, at least 1",
    "ratio(ds, layers=[])": r"layers=\[\]: must be a layer or a list of some of prep, layer1, or None for all",
    "norms(ds, layers=7)": "layers=7: must be a layer or a list of some of prep, layer1",
    "norms(ds, layers=[7])": "no layer 7 in this recording: it has prep, layer1",
    "norms(ds, ax=7)": "ax=a int: must be the axes to draw on",
    "curves({})": r"runs=\{\}: must be a recording, or at least one name with its recording",
    "curves([])": r"recordings=\[\]: must be a recording or a list of them",
    "curves(ds, quantity=['loss'])": r"quantity=\['loss'\]: must be one of",
    "curves(ds.drop_vars('test_loss'), quantity='test_loss')": "a recording without test_loss: must have it",
    "prediction(ds, layer=7)": "layer=7: must be the name of a layer, or None for all",
    "prediction(ds, layer=['prep'])": r"layer=\['prep'\]: must be the name of a layer",
    "prediction(ds, layer='layer9')": "no layer layer9 in this recording",
    "prediction(ds, c='guessed')": "c='guessed': must be 'measured', 'constant' or 'correlated', or a list",
    "prediction(ds, c=None)": "c=None: must be 'measured', 'constant' or 'correlated', or a list",
    "memory(ds, starts=[0])": r"starts=\[0\]: must be a list of numbers > 0",
    "memory(ds, starts=1)": "starts=1: must be a list of numbers > 0",
    "figure(foo=1)": r"figure\(foo=...\): must be an argument of plt.subplots: nrows, ncols, .*figsize",
    "ratio(at_once)": "one diverged at step 0, nothing to draw: must be runs that took a step",
    "norms([ds, at_once])": "one diverged at step 0, nothing to draw: must be runs that took a step",
    "curves({'a': at_once})": "one diverged at step 0, nothing to draw: must be runs that took a step",
    "landscape(ds)": "accuracy=a Dataset: must be a DataArray of two dimensions, lr and another",
    "landscape(None)": "accuracy=a NoneType: must be a DataArray of two dimensions",
    "tuning(ds.w2)": "accuracy=a DataArray of step, layer: must be a DataArray of two dimensions, model and lr",
    "landscape(grid * np.nan)": "accuracy: no value is a number, must have at least one",
    "memory(ds, starts=[])": r"starts=\[\]: must be a list of numbers > 0",
    "memory(ds, starts=[np.inf])": r"starts=\[inf\]: must be a list of numbers > 0",
    "prediction(ds, c=[])": r"c=\[\]: must be 'measured', 'constant' or 'correlated', or a list",
    "norms(ds, ax=polar)": "ax=a PolarAxes: must be the axes to draw on",
    "landscape(grid, span=-1)": "span=-1: must be a number > 0, a difference of accuracies",
    "landscape(grid, span='x')": "span='x': must be a number > 0",
    "landscape(grid, grid_tops, slope='x')": "slope='x': must be a number, with `found` through",
    "landscape(grid, slope=1)": "slope=1: must be a number, with `found` through whose middle it goes, or None",
    "landscape(grid, grid)": "found=a DataArray: must be the tops of the rows, as peaks.tops returns them",
    "landscape(grid, grid_tops.assign_coords(batch_size=[64]))":
        r"found of batch_size=\[64\]: must be the tops of the rows, batch_size=\[32\]",
    "landscape(grid, grid_tops.isel(batch_size=0))": "found of a single one: must be the tops of the rows",
    "landscape(grid.assign_coords(lr=[0.1, 0.1]))": r"lr=\[0.1, 0.1\]: must be different values, each once",
    "tuning(nets, looks=[1])": r"looks=\[1\]: must be model → arguments of plot",
    "tuning(nets, looks={'a': 1})": r"looks=\{'a': 1\}: must be model → arguments of plot",
    "tuning(nets, looks={'b': {}})": r"looks\['b'\]: must be of a model of the table: a",
    "landscape(grid.assign_coords(lr=[0.0, 1.0]))": r"lr=\[0.0, 1.0\]: must be positive numbers, the axis is log",
}


@pytest.mark.parametrize("call", BAD)
def test_a_bad_value_is_named_and_leaves_no_figure(call):
    ds, table = made_up(), xr.Dataset({"provenance": ("lr", ["{}"])}, {"lr": [0.1]}, {"config": "{}"})
    grid = xr.DataArray([[0.5, 0.6]], {"batch_size": [32], "lr": [0.1, 0.2]}, ["batch_size", "lr"])
    values = dict(plots=plots, rd=rd, np=np, ds=ds, table=table, grid=grid, at_once=ds.assign_attrs(diverged_at=0),
                  nets=grid.rename(batch_size="model").assign_coords(model=["a"]),
                  grid_tops=xr.Dataset({name: ("batch_size", [-3.0]) for name in ("at", "low", "high")}, grid.coords),
                  polar=matplotlib.figure.Figure().add_subplot(projection="polar"))  # fmt: skip
    with pytest.raises((TypeError, ValueError), match=BAD[call]):
        eval(f"plots.{call}", values)
    assert plt.get_fignums() == []


def noted(ax):
    return [text.get_text() for text in ax.texts if "diverged" in text.get_text() or "learn" in text.get_text()]


def test_that_a_run_diverged_or_does_not_learn_is_said_in_the_figure(seeds):
    ended = seeds[0].assign_attrs(diverged_at=60)
    stays = seeds[0].assign(loss=("step", np.full(seeds[0].sizes["step"], np.log(10))),
                            accuracy=("step", np.full(seeds[0].sizes["step"], 0.1)))  # fmt: skip
    for name in SEEDED:
        assert noted(SEEDED[name](seeds[0])) == []
        of = "the book: " if name == "verdict" else ""
        assert noted(SEEDED[name](ended)) == [f"{of}diverged at step 60"]
        assert noted(SEEDED[name](stays)) == [f"{of}does not learn: loss stays at 2.303"]
        plt.close("all")
    assert noted(plots.norms([seeds[0], seeds[1].assign_attrs(diverged_at=60)])) == ["1 of 2: diverged at step 60"]
    assert noted(plots.curves({"hot": ended, "cold": seeds[1:]})) == ["hot: diverged at step 60"]
    assert "This run does not learn: loss" in plots.verdict(stays, seeds).get_title("left").replace("\n", " ")


@pytest.mark.parametrize("changes", [dict(momentum=0.0), dict(optimizer="nesterov")], ids=str)
def test_a_network_without_gradients_is_drawn(changes):
    ds = rd.run(rd.Config.smoke(lr=1.0, weight_decay=1.0, **changes), progress=False)
    assert float(ds.g2.min()) == 0 and np.isnan(measure.cosine(ds)).any()
    measure.acceptance(ds)
    for name in SEEDED:
        assert noted(SEEDED[name](ds))
        plt.close("all")
    (said,) = (text.get_text() for text in plots.cosine(ds.assign(wg=0 * ds.wg, g2=0 * ds.g2)).texts[:1])
    assert said == "rms of all steps: none, all gradients are 0"


def test_a_run_that_stands_still_is_drawn():
    ds = made_up(rd.Config(lr=0.0, momentum=0.0))
    for draw in (plots.growth, plots.balance, plots.norms, plots.ratio):
        draw(ds)


@pytest.mark.parametrize("recordings", [lambda ds: ds, lambda ds: [ds], lambda ds: {"a": ds}, lambda ds: {"a": (ds,)}])
def test_epochs_are_those_of_the_whole_run(seeds, recordings):
    (line,) = plots.curves(recordings(seeds[0].assign_attrs(diverged_at=60)), quantity="loss").lines
    assert line.get_xdata()[-1] == 60 * 6 / 120


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_that_diverged_at_once_is_drawn(seeds, steps):
    for name in SEEDED:
        assert noted(SEEDED[name](seeds[0].assign_attrs(diverged_at=steps)))
        plt.close("all")


def limits(ax):
    return tuple(map(float, ax.get_xlim()))


@pytest.mark.parametrize("zoom, across", [(slice(-30, None), (90, 120)), (slice(None, None, 10), (0, 111)),
                                          (slice(20, 40), (20, 40)), (slice(None), (0, 120))])  # fmt: skip
def test_a_part_of_a_recording_is_drawn_at_its_steps(seeds, zoom, across):
    parts = [ds.isel(step=zoom) for ds in seeds]
    for name in ("shrink", "growth", "balance", "norms", "ratio", "cosine", "memory"):
        assert limits(SEEDED[name](parts)) == limits(SEEDED[name](parts[0])) == across, name
        plt.close("all")
    (line,) = plots.curves(parts[0], quantity="loss").lines
    np.testing.assert_allclose(line.get_xdata(), (parts[0].step + 1) / 20)


def test_seeds_are_drawn_at_the_steps_that_all_of_them_have(seeds):
    parts = [seeds[0].isel(step=slice(20, None)), seeds[1].isel(step=slice(0, 60))]
    ax = plots.rotation(parts)
    assert limits(ax) == (20, 60)
    np.testing.assert_array_equal(ax.lines[-1].get_xdata(), np.arange(20, 60))
    with pytest.raises(ValueError, match="recordings: 2 without a step in common, must be of the same steps"):
        plots.norms([seeds[0].isel(step=slice(60, None)), parts[1]])
    ax = plots.ratio([seeds[0].assign_attrs(diverged_at=60), seeds[1]])
    assert limits(ax) == (0, 120)


def test_a_run_that_was_stopped_ends_at_its_share_of_the_axis(seeds):
    part = seeds[0].isel(step=slice(0, 30)).assign_attrs(stopped_at=30, steps=120)
    (line,) = plots.curves(part, quantity="loss").lines
    assert line.get_xdata()[-1] == 6 * 30 / 120
    lines = plots.verdict(part, seeds).lines
    assert lines[1].get_xdata()[-1] == 100 * 29.5 / 120 and lines[0].get_xdata()[-1] == 100 * 119.5 / 120
    said = "stopped after 30 of 120 steps"
    assert [text.get_text() for text in plots.norms([part, seeds[1]]).texts] == [f"1 of 2: {said}"]
    assert [text.get_text() for text in plots.verdict(seeds[0], [part]).texts] == [f"the book: {said}"]
    assert plots.verdict(seeds[0], [part]).lines[0].get_xdata()[-1] == 100 * 29.5 / 120


def test_a_run_that_took_no_step_is_named_beside_others(seeds):
    none = seeds[0].assign_attrs(diverged_at=0)
    assert noted(plots.ratio([seeds[0], none])) == ["1 of 2: diverged at step 0"]
    assert noted(plots.curves({"a": seeds, "b": none})) == ["b: diverged at step 0"]
    assert plots.verdict(none, seeds).get_title("left").startswith("This run diverged at step 0 of")


def test_a_band_of_different_images_or_meaning_is_warned_of(seeds):
    one, other = (ds.assign_attrs(dataset=name, dataset_digest=name[-2:]) for ds, name in
                  zip(seeds, ("CIFAR-10", "CIFAR-10 (JPEG)")))  # fmt: skip
    with pytest.warns(UserWarning, match=r"^a band of recordings of 2 data sets: CIFAR-10, CIFAR-10 \(JPEG\)$"):
        plots.norms([one, other])
    with pytest.warns(UserWarning, match="^a band of recordings of 2 training semantics: 1, 2$"):
        plots.norms([one, seeds[1].assign_attrs(one.attrs, config=seeds[1].attrs["config"], semantics=2)])
    plots.norms([one, one])


def test_style_is_a_context():
    before = dict(matplotlib.rcParams)
    with plots.style():
        assert plt.rcParams["axes.grid"]
    assert matplotlib.rcParams == before
    fig, axes = plots.figure(2, 1, figsize=(5, 5))
    assert len(axes) == 2 and matplotlib.rcParams == before


# Tables of runs
@pytest.fixture
def accuracy():
    """[batch_size, lr], with tops on a diagonal and a corner that diverged."""
    lr, size = 2.0 ** np.arange(-6, 2), 2.0 ** np.arange(5, 11)
    z = 0.7 - 0.01 * (np.log2(lr) - np.log2(size)[:, None] + 10) ** 2
    accuracy = xr.DataArray(z, {"batch_size": size, "lr": lr}, ["batch_size", "lr"])
    return accuracy.where((accuracy.lr < 2) | (accuracy.batch_size < 64))


@pytest.mark.parametrize("dims", [("batch_size", "lr"), ("lr", "batch_size")])
def test_a_landscape_has_its_tops_where_they_were_found(accuracy, dims):
    found = peaks.tops(accuracy, resamples=10)
    ax = plots.landscape(accuracy.transpose(*dims), found, slope=1)
    ax.figure.canvas.draw()
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(dots.get_xdata(), found["at"])
    np.testing.assert_allclose(dots.get_ydata(), np.log2(accuracy.batch_size))
    (dashed,) = (line for line in ax.lines if line.is_dashed())
    np.testing.assert_allclose(np.diff(dashed.get_xdata()), np.diff(dashed.get_ydata()))
    assert ax.get_xlabel() == "highest learning rate λ" and ax.get_ylabel() == "batch size N"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["32", "64", "128", "256", "512", "1024"]


def test_tuning_draws_a_curve_for_each_network(accuracy):
    table = accuracy.rename(batch_size="model").assign_coords(model=list("abcdef"))
    ax = plots.tuning(table, looks={"a": {"color": "black", "label": "the first"}})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["the first", *"bcdef"]
    for line, name in zip(ax.lines, "abcdef"):
        np.testing.assert_allclose(line.get_ydata(), 100 * table.sel(model=name))
    assert ax.lines[0].get_color() == "black" and ax.get_xscale() == "log"


@pytest.mark.parametrize("order", [slice(None, None, -1), [0, 2, 4, 6, 7, 1, 3, 5]], ids=["falls", "refined"])
def test_the_order_of_an_axis_changes_no_figure(accuracy, order):
    found = peaks.tops(accuracy, resamples=10)
    table, tops = accuracy.isel(lr=order, batch_size=[3, 0, 5, 1, 4, 2]), found.isel(batch_size=[1, 0, 2, 5, 4, 3])
    ax, mixed = plots.landscape(accuracy, found, slope=1), plots.landscape(table, tops, slope=1)
    same(ax, mixed)
    np.testing.assert_array_equal(ax.collections[0].get_array(), mixed.collections[0].get_array())
    table = accuracy.rename(batch_size="model").assign_coords(model=list("abcdef"))
    same(plots.tuning(table), plots.tuning(table.isel(lr=order)))


def same(ax, other):
    for one, two in zip(ax.lines, other.lines, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), two.get_xydata())
