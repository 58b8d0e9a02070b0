"""What the page draws is what was recorded: windows, codes, the grid's table, and the run nearest to a setting."""

import base64
import contextlib
import json

import numpy as np
import pytest
import small
from test_plots import made_up

import resnet_dynamics as rd
from resnet_dynamics import config as configuration
from resnet_dynamics import library, measure, page_data, recording, runs
from resnet_dynamics.grid import configs
from resnet_dynamics.page_data import curve, decode, encode, nearest, windowed, windows
from resnet_dynamics.rows import bundled
from resnet_dynamics.sweep import record

AXES = {"lr": [0.1, 0.4], "momentum": [0.0, 0.9]}
ROUNDED = 2**-12
CODED = 7e-4


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    small.use(monkeypatch)
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty package whose book has three runs and a grid, of 10 steps each."""
    manifest = {
        "runs": {"one": {}, "seed": {"seed": 1}, "two": {"optimizer": "lars", "momentum": 0.0}},
        "sweeps": {"explorer": {"base": small.SMALL, "axes": AXES, "series": True}, "other": {"base": {}, "axes": {}}},
    }
    monkeypatch.setattr(configuration, "_BOOK", small.SMALL)
    monkeypatch.setattr(library, "manifest", lambda: manifest)
    monkeypatch.setattr(library, "bundle_dir", lambda: tmp_path)
    monkeypatch.setattr(page_data, "TRAINING_IMAGES", {"synthetic": 160, "cifar10": 50_000})
    with forgotten():
        yield tmp_path


@contextlib.contextmanager
def forgotten():
    page_data.pack.cache_clear()
    try:
        yield
    finally:
        page_data.pack.cache_clear()


def run(**changes):
    return rd.run(small.config(**changes), device="cpu", progress=False)


def diverged(**changes):
    return run(epochs=30, lr=1e4, schedule="constant", momentum=0.0, **changes)


# ------------------------------------------------------------------------------------------ windowed


@pytest.mark.parametrize("steps, edges", [
    (1, [0, 1]), (2, [0, 1, 2]), (10, [0, 1, 2, 4, 8, 10]), (16, [0, 1, 2, 4, 8, 16]), (17, [0, 1, 2, 4, 8, 16, 17]),
    (372, [0, 1, 2, 4, 8, *range(16, 372, 8), 372]), (513, [0, 1, 2, 4, 8, *range(16, 513, 16), 513]),
    (2328, [0, 1, 2, 4, 8, *range(16, 2328, 40), 2328])])  # fmt: skip
def test_windows(steps, edges):
    assert windows(steps).tolist() == edges


@pytest.mark.parametrize("changes", [
    dict(momentum=0.0), dict(), dict(optimizer="nesterov"), dict(optimizer="lars"),
    dict(optimizer="lars", momentum=0.0)], ids=str)  # fmt: skip
def test_a_window_holds_means_and_its_first_step(changes):
    ds = run(**changes)
    part = windowed(ds)
    assert part.w2.dims == ("window", "layer") and part.loss.dims == ("window",) and part.test_loss.dims == ("epoch",)
    assert part.attrs["edges"].tolist() == [0, 1, 2, 4, 8, 10] and part.window.values.tolist() == [0, 1, 2, 4, 8]
    assert np.array_equal(part.w2, ds.w2[[0, 1, 2, 4, 8]]) and np.array_equal(part.test_accuracy, ds.test_accuracy)
    if "lars_lr" in ds:
        rho = recording.config(ds).momentum
        growth = (ds.lars_lr / (1 - rho)) ** 2 * (ds.d2 + 2 * rho * ds.dv)
        assert rho or growth.values[3] == pytest.approx((ds.lars_lr**2 * ds.w2).values[3], rel=1e-3)
    else:
        growth = measure.growth(ds)
    c2 = ds.g2.astype(float) * ds.w2
    overlap = {"nesterov": 0.81, "sgd": recording.config(ds).momentum}.get(recording.config(ds).optimizer, 0)
    drive = c2 + 2 * overlap * ds.gv * ds.w2
    for i, (first, last) in enumerate([(0, 1), (1, 2), (2, 4), (4, 8), (8, 10)]):
        for name, series in (("c2", c2), ("drive", drive), ("growth", growth), ("loss", ds.loss),
                             ("accuracy", ds.accuracy)):  # fmt: skip
            mean = series[first:last].astype(float).mean("step")
            np.testing.assert_allclose(part[name][i], mean, rtol=1e-6, err_msg=name)
    assert all(part[name].attrs["units"] for name in part.data_vars)
    halves = windowed(ds, [0, 5])
    assert halves.sizes["window"] == 1 and halves.loss.values == pytest.approx(ds.loss.values[:5].mean())


@pytest.mark.parametrize("edges", [[0], [0, 4, 4], [1, 4], [0, 999], [0, 1.5], [[0, 1]], []], ids=str)
def test_edges_that_cut_no_windows_are_named(edges):
    with pytest.raises(ValueError, match=r"^edges=.*: must be whole numbers that rise from 0 to at most \d+$"):
        page_data.windowed(made_up(), edges)


@pytest.mark.parametrize("steps", [0, -1, 2.5, None])
def test_a_run_of_no_steps_has_no_windows(steps):
    with pytest.raises(ValueError, match=f"^steps={steps}: must be a whole number, at least 1"):
        page_data.windows(steps)


@pytest.mark.parametrize("function", [page_data.windowed, page_data.curve])
def test_what_is_no_recording_is_named(function):
    with pytest.raises(TypeError, match="^recording=None: must be an xarray.Dataset"):
        function(None)


def test_a_run_that_diverged_is_missing_from_there_on():
    ds = diverged()
    end = ds.attrs["diverged_at"]
    part = windowed(ds)
    alive = np.array(part.window < end)
    assert 0 < alive.sum() < len(alive)
    for name in ("w2", "c2", "drive", "growth", "loss", "accuracy"):
        there = part[name].notnull().values.reshape(len(alive), -1)
        assert np.array_equal(there.all(1), alive) and np.array_equal(there.any(1), alive), name
    last = part.window.values[alive][-1]
    assert part.loss.values[alive][-1] == pytest.approx(ds.loss.values[last:end].astype(float).mean())


# -------------------------------------------------------------------------------------------- codes


def test_codes_are_within_seven_in_ten_thousand():
    values = np.geomspace(2.0**-63.9, 2.0**63.9, 50_001)
    assert encode(values).dtype == np.dtype("<u2")
    assert abs(decode(encode(values)) / values - 1).max() < CODED
    assert decode(encode(1.0)) == 1 and encode(1.0) == 32768 and encode(2.0) == 32768 + 512


def test_codes_of_what_has_no_logarithm():
    assert encode([np.nan, 0.0, -1.0, 1e-30, 1e30, np.inf]).tolist() == [0, 1, 1, 1, 65535, 65535]
    assert np.isnan(decode([0])[0]) and decode([1])[0] == 0 and decode([65535])[0] > 1e19


# -------------------------------------------------------------------------------------------- curve


def test_a_curve_is_the_recording_in_plain_values():
    ds = run(momentum=0.0, lr=0.2)
    made = curve(ds, id=3, plan="smoke")
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    part = windowed(ds)
    for name in ("w2", "c2", "drive", "growth"):
        np.testing.assert_allclose(made[name], part[name].transpose("layer", "window"), rtol=1e-5)
    for name in ("loss", "accuracy", "test_loss", "test_accuracy"):
        np.testing.assert_allclose(made[name], part[name], rtol=1e-5)
    told = {"id": 3, "plan": "smoke", "state": "done", "optimizer": "sgd", "lr": 0.2, "momentum": 0.0, "epochs": 2.0,
            "weight_decay": 5e-4, "schedule": "triangular", "warmup": 0.5, "steps": 10, "steps_per_epoch": 5,
            "dataset": "small", "diverged_at": -1, "edges": [0, 1, 2, 4, 8, 10]}  # fmt: skip
    assert told.items() <= made.items() and "width 4, small" in made["what"]


def test_a_curve_ends_where_the_recording_does():
    seen = {}
    rd.run(small.config(), device="cpu", progress=False, each=lambda t, so_far: seen.update({t: curve(so_far())}))
    assert [seen[t]["edges"] for t in (1, 3, 9, 10)] == [[0, 1], [0, 1, 2, 3], [0, 1, 2, 4, 8, 9], [0, 1, 2, 4, 8, 10]]
    assert [len(seen[t]["test_loss"]) for t in (5, 6, 10)] == [0, 1, 1]
    whole = curve(run())
    for t, part in seen.items():
        json.dumps(part, allow_nan=False)
        full = sum(edge <= t for edge in whole["edges"][1:])  # windows that are complete
        assert part["loss"][:full] == whole["loss"][:full] and part["w2"][0][:full] == whole["w2"][0][:full]
        assert part["steps"] == 10 and len(part["w2"][7]) == len(part["edges"]) - 1


def test_a_curve_of_a_run_that_diverged():
    made = curve(diverged(), state="diverged")
    json.dumps(made, allow_nan=False)
    assert made["edges"][-1] == made["diverged_at"] > 0 and made["steps"] == 150
    assert None not in made["loss"] and len(made["loss"]) == len(made["edges"]) - 1


# -------------------------------------------------------------------------- the table of the grid


def trained(monkeypatch):
    """The configurations that are trained from now on."""
    seen, train = [], runs._train
    monkeypatch.setattr(runs, "_train", lambda config, *given: seen.append(config) or train(config, *given))
    return seen


def test_the_table_of_a_sweep_with_series(place, monkeypatch):
    seen = trained(monkeypatch)
    table, there = record("explorer", device="cpu", folder=place, progress=False)
    assert not there and len(seen) == 4
    table = page_data.grid()
    assert table.identical(recording.read(place / "sweeps" / "explorer.nc"))
    assert table.w2.dims == (*AXES, "window", "layer") and table.window_loss.dims == (*AXES, "window")
    assert list(table.attrs["edges"]) == [0, 1, 2, 4, 8, 10] and table.w2.attrs["units"] == "u²"
    for lr, rho in ((0.1, 0.0), (0.4, 0.9)):
        row, ds = table.sel(lr=lr, momentum=rho), run(lr=lr, momentum=rho)
        np.testing.assert_allclose(row.w2, ds.w2[[0, 1, 2, 4, 8]], rtol=ROUNDED)
        np.testing.assert_allclose(row.c2[3], (ds.g2 * ds.w2)[4:8].mean("step"), rtol=1.01 * ROUNDED)
        np.testing.assert_allclose(row.growth[4], measure.growth(ds)[8:10].mean("step"), rtol=1.01 * ROUNDED)
        np.testing.assert_allclose(row.window_loss[2], ds.loss[2:4].mean(), rtol=1.01 * ROUNDED)
        np.testing.assert_allclose(row.window_accuracy[2], ds.accuracy[2:4].mean(), rtol=1.01 * ROUNDED)
        assert np.array_equal(row.test_loss, ds.test_loss)
    assert record("explorer", device="cpu", folder=place, progress=False)[1] and len(seen) == 4
    digests = {config.digest for config in configs(small.config(), **AXES).flat}
    assert set(bundled(digests)) == digests
    monkeypatch.setattr(runs, "run", None)
    assert rd.sweep(small.config(), lr=[0.4], momentum=[0.9], progress=False).final_loss == table.final_loss[1, 1]


def test_a_table_without_series_is_put_together_again(place, monkeypatch):
    recording.save(rd.sweep(small.config(), device="cpu", progress=False, **AXES), place / "sweeps" / "explorer.nc")
    seen = trained(monkeypatch)
    assert page_data.pack()["sets"][0]["runs"] == []
    table, there = record("explorer", device="cpu", folder=place, progress=False)
    assert not there and seen == [] and table.c2.notnull().all()


def test_a_run_that_fails_leaves_a_gap_and_is_tried_again(place, monkeypatch):
    def fails(config, **given):
        if config.lr == 0.4 and config.momentum:
            raise MemoryError("none left")
        return real(config, **given)

    real = runs.run
    with monkeypatch.context() as patch:
        patch.setattr(runs, "run", fails)
        table, _ = record("explorer", device="cpu", folder=place, progress=False)
    assert table.w2.isnull().all(("window", "layer")).values.tolist() == [[False, False], [False, True]]
    assert table.failed.values.tolist() == [["", ""], ["", "MemoryError: none left"]]
    assert [one["lr"] for one in page_data.pack()["sets"][0]["runs"]] == [0.1, 0.1, 0.4]
    table, there = record("explorer", device="cpu", folder=place, progress=False)
    assert not there and table.w2.notnull().all()


def test_series_of_runs_of_several_lengths_are_refused(place, monkeypatch):
    manifest = library.manifest()
    plan = {"base": small.SMALL, "axes": {"epochs": [1, 2]}, "series": True}
    monkeypatch.setattr(library, "manifest", lambda: manifest | {"sweeps": {"explorer": plan}})
    with pytest.raises(ValueError, match="must have runs of the same number of steps"):
        record("explorer", device="cpu", folder=place, progress=False)


def test_a_table_may_hold_a_run_that_diverged(place, monkeypatch):
    manifest = library.manifest()
    base = {**small.SMALL, "epochs": 20, "momentum": 0.0, "schedule": "constant"}
    plan = {"base": base, "axes": {"lr": [0.1, 1e4]}, "series": True}
    monkeypatch.setattr(library, "manifest", lambda: manifest | {"sweeps": {"explorer": plan}})
    table, _ = record("explorer", device="cpu", folder=place, progress=False)
    pack = page_data.pack()
    assert [one["diverged_at"] for one in pack["sets"][0]["runs"]] == table.diverged_at.values.tolist()
    series = unpacked(pack, 0)[1]
    assert np.isfinite(series["w2"][:, 0]).all() and np.isnan(series["w2"][:, -1]).all()
    assert np.isnan(series["test_loss"][-1])


def test_series_of_another_experiment_are_not_of_the_grid(place, monkeypatch):
    manifest = library.manifest()
    longer = {"base": {**small.SMALL, "epochs": 4}, "axes": {"lr": [0.1]}, "series": True}
    seeds = {"base": small.SMALL, "axes": {"seed": [1]}, "series": True}
    monkeypatch.setattr(library, "manifest", lambda: manifest | {
        "sweeps": {"longer": longer, **manifest["sweeps"], "seeds": seeds}})  # fmt: skip
    for name in ("longer", "seeds"):
        record(name, device="cpu", folder=place, progress=False)
    assert page_data.pack()["sets"][0]["runs"] == []


# --------------------------------------------------------------------------------------------- pack


def unpacked(pack, n):
    """The series of every run of a set, as JavaScript reads them."""
    one, layers = pack["sets"][n], len(pack["layers"])
    width, epochs = len(one["edges"]) - 1, one["epochs"]
    shapes = {"w2": (layers, width), "c2": (layers, width), "drive": (layers, width), "growth": (layers, width),
              "loss": (width,), "accuracy": (width,), "test_loss": (epochs,), "test_accuracy": (epochs,)}  # fmt: skip
    codes = np.frombuffer(base64.b64decode(one["codes"]), "<u2")
    rows = decode(codes).reshape(len(one["runs"]), (4 * layers + 2) * width + 2 * epochs)
    found = []
    for row in rows:
        found.append({})
        for name, shape in shapes.items():
            found[-1][name], row = row[: np.prod(shape)].reshape(shape), row[np.prod(shape) :]
        assert len(row) == 0
    return found


def test_the_evidence_is_what_was_recorded(place):
    record("explorer", device="cpu", folder=place, progress=False)
    list(runs.record(device="cpu", folder=place, progress=False))
    pack = page_data.pack()
    assert json.loads(json.dumps(pack, allow_nan=False)) == pack and page_data.pack() is pack
    assert pack["layers"] == list(run().layer.values)
    grid, book = pack["sets"]
    assert [(one["lr"], one["momentum"], one["optimizer"]) for one in grid["runs"]] == [
        (0.1, 0.0, "sgd"), (0.1, 0.9, "heavy-ball"), (0.4, 0.0, "sgd"), (0.4, 0.9, "heavy-ball")]  # fmt: skip
    assert [one["name"] for one in grid["runs"]] == ["explorer"] * 4
    assert book["runs"] == [
        {"optimizer": "heavy-ball", "lr": 0.1, "weight_decay": 5e-4, "momentum": 0.9, "diverged_at": -1, "name": "one"},
        {"optimizer": "lars", "lr": 0.1, "weight_decay": 5e-4, "momentum": 0.0, "diverged_at": -1, "name": "two"},
    ]
    assert grid["edges"] == book["edges"] == [0, 1, 2, 4, 8, 10] and grid["epochs"] == 2
    assert grid["what"] == "ResNet-9 of width 4, 160 generated images, batches of 32"
    settings = [(n, i, one) for n in (0, 1) for i, one in enumerate(pack["sets"][n]["runs"])]
    for n, i, one in settings:
        optimizer = {"lars": "lars"}.get(one["optimizer"], "sgd")
        part = windowed(run(lr=one["lr"], momentum=one["momentum"], optimizer=optimizer))
        for name, values in unpacked(pack, n)[i].items():
            np.testing.assert_allclose(values, part[name].T, rtol=CODED + ROUNDED, atol=1e-12, err_msg=name)


def test_plans(place):
    record("explorer", device="cpu", folder=place, progress=False)
    plans = page_data.plans()
    assert [plans[name]["label"] for name in plans] == [
        "2 epochs, λ constant (4 recorded settings)", "2 epochs, λ up and down",
        "10 epochs, generated images (half a minute)", "5 epochs, width 16 (minutes)",
        "24 epochs, width 64 (for a GPU)"]  # fmt: skip
    assert list(plans) == ["short", "book", "smoke", "class", "full"]
    assert [plan["set"] for plan in plans.values()] == [0, 1, None, None, None]
    assert {"steps": 485, "steps_per_epoch": 97, "epochs": 5.0, "warmup": 1.0, "schedule": "triangular",
            "batch_size": 512}.items() <= plans["class"].items()  # fmt: skip
    assert plans["class"]["what"] == "ResNet-9 of width 16, 50,000 images of CIFAR-10, batches of 512"


def test_a_table_that_cannot_be_trusted_is_named_and_passed_over(place):
    record("explorer", device="cpu", folder=place, progress=False)
    file = place / "sweeps" / "explorer.nc"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="explorer.nc: truncated, damaged .* It is not shown."):
        assert page_data.pack()["sets"][0]["runs"] == []


def test_a_table_with_other_windows_is_refused(place, monkeypatch):
    record("explorer", device="cpu", folder=place, progress=False)
    monkeypatch.setattr(page_data, "TRAINING_IMAGES", {"synthetic": 320, "cifar10": 50_000})
    with pytest.raises(ValueError, match="explorer: its windows are not those of 20 steps"):
        page_data.pack()


def test_the_evidence_of_the_package():
    """The book's own runs, and the grid as soon as its table is there."""
    with forgotten():
        pack = page_data.pack()
    grid, book = pack["sets"]
    json.dumps(pack, allow_nan=False)
    of = [name for name in ("sgd-0", "momentum-0", "lars", "slow", "no-decay", "nesterov", "lars-momentum")
          if name in rd.bundled()]  # fmt: skip
    assert [one["name"] for one in book["runs"]] == of and book["edges"] == windows(2328).tolist()
    series = unpacked(pack, 1)
    for name, found in zip(of, series):
        ds = rd.run(rd.bundled()[name])
        assert ds.sizes["step"] == pack["plans"]["book"]["steps"] == 2328
        np.testing.assert_allclose(found["w2"], ds.w2[book["edges"][:-1]].T, rtol=CODED)
        np.testing.assert_allclose(found["test_accuracy"], ds.test_accuracy, rtol=CODED)
    assert grid["edges"] == windows(pack["plans"]["short"]["steps"]).tolist() and grid["epochs"] == 4
    if not (library.bundle_dir() / "sweeps" / "explorer.nc").is_file():
        assert grid["runs"] == [] and grid["codes"] == ""
        return
    entry = library.manifest()["sweeps"]["explorer"]
    wanted = {(lr, a, rho) for lr in entry["axes"]["lr"] for a in entry["axes"]["weight_decay"]
              for rho in entry["axes"]["momentum"]}  # fmt: skip
    mine = [one for one in grid["runs"] if one["name"] == "explorer"]
    assert {(one["lr"], one["weight_decay"], one["momentum"]) for one in mine} == wanted and len(mine) == len(wanted)
    assert f"({len(grid['runs'])} recorded settings)" in pack["plans"]["short"]["label"]
    for one, found in zip(grid["runs"], unpacked(pack, 0)):
        alive = np.array(grid["edges"][:-1]) < (one["diverged_at"] if one["diverged_at"] >= 0 else np.inf)
        assert np.array_equal(np.isfinite(found["w2"]).all(0), alive), one
        assert (found["w2"][:, 0] > 0).all()  # some die later: no gradient is left, or no weight
        assert (found["w2"][:, alive] >= 0).all() and (found["c2"][:, alive] >= 0).all()


# ------------------------------------------------------------------------------------------ nearest


def setting(lr, weight_decay, momentum, optimizer="heavy-ball"):
    return {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "optimizer": optimizer}


RUNS = [setting(0.1, 0.0, 0.9), setting(0.1, 5e-4, 0.9), setting(0.4, 5e-4, 0.9), setting(0.4, 5e-4, 0.0, "sgd"),
        setting(0.4, 8e-3, 0.99), setting(0.4, 5e-4, 0.9, "lars"), setting(0.1, 5e-4, 0.9)]  # fmt: skip


@pytest.mark.parametrize("wanted, index", [
    (setting(0.4, 5e-4, 0.9), 2), (setting(0.3, 4e-4, 0.85), 2), (setting(0.1, 5e-4, 0.9), 1),
    (setting(0.2, 5e-4, 0.9), 1),                # between the two: the first
    (setting(0.4, 5e-4, 0.0), 3), (setting(0.4, 5e-4, 0.9, "sgd"), 3),  # sgd is ρ = 0, whatever momentum says
    (setting(0.4, 5e-4, 0.6), 3), (setting(0.4, 5e-4, 0.7), 2),         # ln(1 − ρ): √(1 · 0.1) is between
    (setting(9.9, 0.0, 0.0), 0), (setting(0.4, 1e-9, 0.9), 2),          # without decay only without, with only with
    (setting(7.0, 0.5, 0.1, "lars"), 5), (setting(0.4, 5e-4, 0.9, "nesterov"), None),
    (setting(0.4, 0.0, 0.9, "lars"), None)])  # fmt: skip
def test_the_nearest_run(wanted, index):
    assert nearest(RUNS, **wanted) == index
    assert nearest([], **wanted) is None


def test_the_grid_says_what_the_text_says_of_it():
    """Numbers in chapter 2 (accuracies along and across the ridges) and on the explorer's page (too hot)."""
    grid = page_data.grid()

    def accuracy(lr, weight_decay, momentum):
        return 100 * float(grid.final_accuracy.sel(lr=lr, weight_decay=weight_decay, momentum=momentum))

    start = accuracy(0.1, 2e-3, 0.9)
    assert abs(accuracy(0.4, 2e-3, 0.7) - start) < 5.5 and abs(accuracy(0.4, 5e-4, 0.9) - start) < 5.5
    assert round(start - accuracy(0.4, 2e-3, 0.9)) == 13
    hot = grid.sel(lr=6.4, weight_decay=5e-4, momentum=0.99)
    assert hot.diverged_at == 221 and hot.window_loss.sel(window=16) > 100
