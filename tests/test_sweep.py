"""A sweep is a table of runs: each is remembered, none can end it, and an interruption costs one run."""

import contextlib
import json
import os
import random
import signal
import sys
import threading
import time
import tomllib

import gate
import killed
import numpy as np
import pandas as pd
import pytest
import small
import torch
import xarray as xr

import resnet_dynamics as rd
from resnet_dynamics import __main__ as cli
from resnet_dynamics import cache as caches
from resnet_dynamics import console, library, recording, runs
from resnet_dynamics.grid import configs
from resnet_dynamics.rows import COLUMNS, bundled, summary
from resnet_dynamics.sweep import record

AXES = {"lr": [0.1, 0.2], "momentum": [0.0, 0.9], "seed": range(3)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    small.use(monkeypatch)
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runs"


def sweep(base=None, **given):
    return rd.sweep(base or small.config(), device="cpu", progress=False, **given)


def bring(monkeypatch, folder, **sweeps):
    """Let the package plan these sweeps, name → axes, and keep their tables in this folder."""
    plans = {name: {"base": small.SMALL, "axes": axes} for name, axes in sweeps.items()}
    monkeypatch.setattr(library, "manifest", lambda: {"runs": {}, "sweeps": plans})
    monkeypatch.setattr(library, "bundle_dir", lambda: folder)


def test_the_table_holds_what_each_run_gives():
    table = sweep(**AXES)
    assert table.digest.dims == tuple(AXES) and table.sizes == {"lr": 2, "momentum": 2, "seed": 3, "epoch": 2}
    at = dict(lr=0.2, momentum=0.9, seed=1)
    ds = rd.run(small.config(**at), device="cpu", progress=False)
    row = table.sel(at)
    assert row.digest == recording.config(ds).digest == small.config(**at).digest
    assert np.array_equal(row.test_accuracy, ds.test_accuracy) and row.final_loss == ds.test_loss[-1]
    assert row.train_loss.values == pytest.approx(ds.loss.values.reshape(2, 5).mean(1))
    assert json.loads(str(row.provenance.values)).items() <= ds.attrs.items()
    assert recording.describe(table).startswith("12 runs of width ")
    assert row.seconds == ds.attrs["seconds"] and row.diverged_at == -1 and row.failed == ""
    assert all(table[name].attrs["long_name"] and table[name].attrs["units"] for name in COLUMNS)


def test_two_sweeps_share_their_runs(monkeypatch):
    trained, train = [], runs._train
    monkeypatch.setattr(runs, "_train", lambda config, *given: trained.append(config) or train(config, *given))
    sweep(lr=[0.1, 0.2])
    sweep(lr=[0.2, 0.3], momentum=[0.9])
    assert [config.lr for config in trained] == [0.1, 0.2, 0.3]


def test_a_run_that_diverges_or_fails_is_a_value(monkeypatch, capsys):
    def run(config, **given):
        if config.seed == 1:
            raise MemoryError("none left")
        return real(config, **given)

    real = runs.run
    monkeypatch.setattr(runs, "run", run)
    table = sweep(small.config(epochs=20, momentum=0.0, schedule="constant"), lr=[0.1, 1e4], seed=[0, 1])
    assert table.failed.sel(seed=1).values.tolist() == ["MemoryError: none left"] * 2
    assert (table.diverged_at.sel(seed=0) >= 0).values.tolist() == [False, True]
    assert np.isfinite(table.final_accuracy.values).tolist() == [[True, False], [False, False]]
    rd.sweep(small.config(), device="cpu", seed=[0, 1])
    assert "seed=1: failed, MemoryError: none left" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="all 1 runs failed.*none left"):
        sweep(seed=[1])


def test_recordings_on_request():
    table = sweep(epochs=[1, 2], lr=[0.1, 0.2], recordings=True)
    ds = rd.run(small.config(epochs=1, lr=0.2, warmup=0.5), device="cpu", progress=False)
    mine = table.sel(epochs=1, lr=0.2)
    assert np.array_equal(mine.w2[:5], ds.w2) and mine.w2[5:].isnull().all()
    assert mine.w2.attrs == ds.w2.attrs and table.sizes["step"] == 10


@pytest.mark.parametrize("order", [["sgd", "lars"], ["lars", "sgd"]])
def test_recordings_hold_what_only_some_runs_have(order):
    table = sweep(optimizer=order, recordings=True)
    assert table.lars_lr.sel(optimizer="sgd").isnull().all() and table.lars_lr.sel(optimizer="lars").notnull().all()
    ds = rd.run(small.config(optimizer="lars"), device="cpu", progress=False)
    assert np.array_equal(table.lars_lr.sel(optimizer="lars"), ds.lars_lr) and table.w2.notnull().all()


@pytest.mark.parametrize("axes, said", [
    (dict(rate=[1]), "rate=...: must be a field of Config"),
    (dict(lr=[]), "lr=[]: must have at least one value"),
    (dict(lr=[0.1, 0.1]), "must not name a value twice"),
    (dict(momentum=[0.9, 1.2]), "momentum=1.2: must be in [0, 1)"),
    (dict(optimizer=["sgd", "nesterov"], momentum=[0.0, 0.9]), 'above 0 with optimizer="nesterov"'),
    (dict(lr=[[0.1]]), "lr=[0.1]: must be one value of an axis, not a list of them"),
    (dict(lr=np.ones((2, 2))), "must be one value of an axis"),
    (dict(lr=[0.1, np.float32(0.1)]), "lr=[0.1, 0.1]: must not name a value twice"),
    (dict(model=["backbone+res1+res3", "resnet9"]), "model=['resnet9', 'resnet9']: must not name a value twice"),
    (dict(lr="0.1"), "lr='0.1': must be a finite number"),
    (dict(lr=None), "lr=None: must be a finite number"),
])  # fmt: skip
def test_a_bad_axis_is_named_before_anything_runs(cache, axes, said):
    with pytest.raises(ValueError) as error:
        sweep(**axes)
    assert said in str(error.value) and not cache.exists()
    with pytest.raises(TypeError, match="must be a Config"):
        rd.sweep(dict(lr=1))


@pytest.mark.parametrize("values", [
    np.array([0.1, 0.2], np.float32), torch.tensor([0.1, 0.2]), (0.1, 0.2), (x for x in (0.1, 0.2)),
    xr.DataArray([0.1, 0.2], dims="lr"), dict.fromkeys([0.1, 0.2]), pd.Series([0.1, 0.2])],
    ids=lambda values: type(values).__name__)  # fmt: skip
def test_values_of_an_axis_are_the_numbers_that_were_meant(values):
    assert [config.lr for config in configs(small.config(), lr=values)] == [0.1, 0.2]


@pytest.mark.parametrize("value", [np.array(0.1), torch.tensor(0.1), np.float32(0.1), xr.DataArray(0.1)])
def test_a_scalar_is_an_axis_of_one_value(value):
    assert [config.lr for config in configs(small.config(), lr=value)] == [0.1]


def test_truth_values_are_an_axis(tmp_path):
    table = sweep(augment=np.array([True, False]))
    recording.save(table, tmp_path / "table.nc")
    assert recording.read(tmp_path / "table.nc").sel(augment=False).digest == small.config(augment=False).digest


def test_none_on_an_axis_has_a_name(tmp_path):
    table = sweep(no_norm=[None, "prep"], train_images=[None, 64])
    recording.save(table, tmp_path / "table.nc")
    for found in (table, recording.read(tmp_path / "table.nc")):
        assert found.no_norm.values.tolist() == ["none", "prep"]
        assert found.sel(no_norm="none", train_images="64").digest == small.config(train_images=64).digest


def test_a_table_of_runs_that_cannot_be_compared_says_so(tmp_path, monkeypatch):
    """A row of the package is of its own images; those that are trained now are of others."""
    table = sweep(lr=[0.1])
    made = json.loads(str(table.provenance.values[0])) | {"dataset": "CIFAR-10 (JPEG)", "dataset_digest": "c" * 16}
    table.provenance[0] = json.dumps(made)
    recording.save(table, tmp_path / "sweeps" / "a.nc")
    bring(monkeypatch, tmp_path, a=dict(lr=[0.1]))
    with pytest.warns(UserWarning, match=r"compares runs of 2 data sets: CIFAR-10 \(JPEG\), small; ") as warned:
        sweep(lr=[0.1, 0.2])
    assert len(warned) == 1 and warned[0].filename == __file__
    sweep(lr=[0.2, 0.3])  # of one set: no warning


def test_waiting_for_another_process_is_said_by_the_bar(monkeypatch):
    config, held, over, said = small.config(seed=1), threading.Event(), threading.Event(), []

    class Bar(console.Bar):
        def update(self, n=1, says=None):
            if says and "another process" in says:
                said.append(says), over.set()
            super().update(n, says)

    def other():
        with caches.turn(runs.place(config, small.expected("synthetic"))):
            held.set()
            over.wait(60)

    monkeypatch.setattr(sys.modules["resnet_dynamics.sweep"], "Bar", Bar)  # rd.sweep is the function
    thread = threading.Thread(target=other)
    thread.start()
    held.wait(10)
    assert sweep(seed=[0, 1]).final_loss.notnull().all() and set(said) == {"seed=1: another process makes it"}
    thread.join()


def test_one_warning_of_the_cache_for_all_runs(tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("mine")
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "occupied"))
    with pytest.warns(UserWarning, match="is of no use") as warned:
        table = sweep(lr=[0.1, 0.2])
    assert len(warned) == 1 and table.final_accuracy.notnull().all()


def test_a_sweep_that_is_killed_goes_on_where_it_was(cache):
    """Twelve runs, killed three times: the same table as of one that was not, and nothing runs twice."""
    whole = sweep(**AXES)
    for file in cache.glob("*.nc"):
        file.unlink()
    random.seed(0)
    began = time.perf_counter()
    assert killed.ended(killed.fork(lambda: sweep(**AXES))) == 0
    length = time.perf_counter() - began
    for file in cache.glob("*.nc"):
        file.unlink()
    there = []
    for _ in range(3):
        child = killed.fork(lambda: sweep(**AXES))
        time.sleep(random.uniform(0.1, 0.35) * length)
        os.kill(child, signal.SIGKILL)
        assert killed.ended(child) == -signal.SIGKILL
        there.append({file.name: file.stat().st_mtime_ns for file in cache.glob("*.nc")})
    assert 0 < len(there[0]) <= len(there[-1]) < 12
    again = sweep(**AXES)
    assert again.drop_vars("seconds").identical(whole.drop_vars("seconds"))
    assert there[-1].items() <= {file.name: file.stat().st_mtime_ns for file in cache.glob("*.nc")}.items()


def test_a_table_can_be_kept_in_a_file(tmp_path):
    table = sweep(lr=[0.1, 0.2], optimizer=["sgd", "nesterov"])
    recording.save(table, tmp_path / "table.nc")
    back = recording.read(tmp_path / "table.nc")
    assert back.final_accuracy.identical(table.final_accuracy)
    assert back.digest.values.tolist() == table.digest.values.tolist()


def test_rows_that_come_with_the_package_are_not_run_again(tmp_path, monkeypatch):
    table = sweep(lr=[0.1, 0.2], epochs=[1, 2])
    recording.save(table, tmp_path / "sweeps" / "a.nc")
    bring(monkeypatch, tmp_path, a=dict(lr=[0.1, 0.2], epochs=[1, 2]))
    monkeypatch.setattr(runs, "run", None)
    assert sweep(lr=[0.1, 0.2], epochs=[1, 2]).identical(table)
    assert sweep(lr=[0.2], epochs=[1]).test_loss.values.tolist() == [[table.test_loss.values[1, 0, :1].tolist()]]


def test_a_planned_sweep_is_recorded_once(tmp_path, monkeypatch, capsys):
    plan = {"base": small.SMALL, "axes": {"lr": [0.1, 0.2], "seed": [0, 1]}}
    manifest = library.manifest()
    monkeypatch.setattr(library, "manifest", lambda: {**manifest, "runs": {}, "sweeps": {"some": plan}})
    command = ["record", "--device=cpu", "--quiet", f"--folder={tmp_path}"]
    assert cli.main(command) == 0 and capsys.readouterr().out == "some: 4 runs; recorded\n"
    file = tmp_path / "sweeps" / "some.nc"
    table = recording.read(file)
    assert table.final_loss.equals(sweep(lr=[0.1, 0.2], seed=[0, 1]).final_loss)
    monkeypatch.setattr(runs, "run", None)
    assert cli.main([*command, "--only", "some"]) == 0 and "was there" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["other runs", "a run failed", "broken"])
def test_a_table_that_is_not_the_one_is_put_together_again(tmp_path, monkeypatch, wrong):
    plan = {"base": small.SMALL, "axes": {"lr": [0.1, 0.2]}}
    manifest = library.manifest()
    monkeypatch.setattr(library, "manifest", lambda: {**manifest, "sweeps": {"some": plan}})
    table = sweep(lr=[0.1, 0.3] if wrong == "other runs" else [0.1, 0.2])
    if wrong == "a run failed":
        table.failed[1] = "MemoryError: none left"
    recording.save(table, tmp_path / "sweeps" / "some.nc")
    warned = contextlib.nullcontext()
    if wrong == "broken":
        file = tmp_path / "sweeps" / "some.nc"
        file.write_bytes(file.read_bytes()[:-100])
        warned = pytest.warns(UserWarning, match="put together again")
    with warned:
        made, there = record("some", device="cpu", folder=tmp_path, progress=False)
    assert not there and not made.failed.any() and made.lr.values.tolist() == [0.1, 0.2]
    assert record("some", device="cpu", folder=tmp_path, progress=False)[1]


def test_a_broken_table_of_the_package_is_named_and_passed_over(tmp_path, monkeypatch):
    table = sweep(lr=[0.1, 0.2])
    file = tmp_path / "sweeps" / "a.nc"
    recording.save(table, file)
    file.write_bytes(file.read_bytes()[:-100])
    bring(monkeypatch, tmp_path, a=dict(lr=[0.1, 0.2]))
    with pytest.warns(UserWarning, match="a.nc: truncated, damaged .* looked for elsewhere"):
        assert sweep(lr=[0.1, 0.2]).identical(table)


def test_only_tables_that_hold_a_wanted_run_are_opened(tmp_path, monkeypatch):
    """And a table that is written meanwhile is read again."""
    plans = dict(a=dict(lr=[0.1, 0.2]), b=dict(lr=[0.2, 0.3]), c=dict(seed=[7]))
    bring(monkeypatch, tmp_path, **plans)
    for name, table in {name: sweep(**axes) for name, axes in plans.items()}.items():
        recording.save(table, tmp_path / "sweeps" / f"{name}.nc")
    opened, read = [], recording.read

    def noted(path, *given):
        if path.parent.name == "sweeps":
            opened.append(path.stem)
        return read(path, *given)

    monkeypatch.setattr(recording, "read", noted)
    sweep(lr=[0.4])
    assert opened == []
    sweep(lr=[0.1]), sweep(lr=[0.1])
    assert opened == ["a"]
    sweep(lr=[0.2])
    assert opened == ["a", "b"]
    os.utime(tmp_path / "sweeps" / "b.nc", ns=(1, 1))
    sweep(lr=[0.3])
    assert opened == ["a", "b", "b"]


def test_rows_of_the_package_are_its_tables_row_by_row():
    for name in ("lars-ball", "flat-batch"):
        base, axes = library.planned_sweeps()[name]
        table = recording.read(library.sweep_file(name))
        rows = bundled(config.digest for config in configs(base, **axes).flat)
        assert set(rows) == set(table.digest.values.ravel()) and len(rows) == table.digest.size
        flat = table.stack(run=table.digest.dims)
        for n in range(flat.sizes["run"]):
            row = rows[flat.digest[n].item()]
            assert row["provenance"] == flat.provenance[n].item()
            assert all(np.array_equal(row[name], flat[name].isel(run=n), equal_nan=True) for name in COLUMNS)


def test_tables_are_part_of_the_package():
    data = tomllib.loads((gate.ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert {"recordings/*", "recordings/sweeps/*"} <= set(data["resnet_dynamics"])


def test_every_row_of_the_package_is_of_a_planned_sweep():
    plans = library.planned_sweeps()
    wanted = {config.digest for base, axes in plans.values() for config in configs(base, **axes).flat}
    files = {path.stem for path in (library.bundle_dir() / "sweeps").glob("*.nc")}
    assert files <= set(plans)
    for name in files:
        table = recording.read(library.bundle_dir() / "sweeps" / f"{name}.nc")
        assert set(table.digest.values.ravel()) <= wanted


def test_what_is_recorded_has_a_name():
    base, axes = library.bundled_sweeps()["flat-batch"]
    assert rd.recorded("flat-batch").identical(rd.sweep(base, progress=False, **axes))
    assert rd.recorded("sgd-0").identical(rd.run(rd.bundled()["sgd-0"], progress=False))
    with pytest.raises(ValueError, match="name='flat-bath': must be one of .*'flat-batch'"):
        rd.recorded("flat-bath")


def test_summary_of_an_epoch_that_was_not_finished():
    ds = rd.run(small.config(epochs=1.4), device="cpu", progress=False)
    row = summary(ds)
    assert len(row["train_loss"]) == len(row["test_loss"]) == 2
    assert row["train_loss"][1] == pytest.approx(float(ds.loss[5:].mean()))


def test_the_recorded_runs_keep_the_exact_symmetry():
    """Chapter 2: w₀ → r w₀, λ → r²λ, α → α/r² for the convolutions alone leaves the accuracy of a whole training."""
    base, axes = library.planned_sweeps()["stable-resnet9"]
    middle = rd.sweep(base, progress=False, **axes).final_accuracy.mean("seed")
    for name, r in (("flat-decay-high", 0.5), ("flat-decay-low", 2)):
        other, axes = library.planned_sweeps()[name]
        assert other.weight_decay == base.weight_decay / r**2
        table = rd.sweep(other, progress=False, **axes).final_accuracy.mean("seed")
        exact = table.sel(init_scale=r, rest_lr_scale=r**-2, rest_weight_decay_scale=r**2)
        slice_ = table.sel(init_scale=1, rest_lr_scale=1, rest_weight_decay_scale=1)
        there = [lr for lr in exact.lr.values if lr / r**2 in middle.lr.values]
        assert len(there) >= 4
        apart = [100 * (t.sel(lr=there).values - middle.sel(lr=np.array(there) / r**2).values) for t in (exact, slice_)]
        assert abs(apart[0]).max() < 1.5 and abs(apart[0].mean()) < 0.5 < abs(apart[1].mean())
