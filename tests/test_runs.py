"""run(config) is bundled, remembered or trained; whatever happens in between, the next call is right."""

import contextvars
import dataclasses
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import small

import resnet_dynamics as rd
from resnet_dynamics import library, recording, runs
from resnet_dynamics.cache import unseal
from resnet_dynamics.data import Data


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    small.use(monkeypatch)
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runs"


@pytest.fixture
def trainings(monkeypatch):
    """The configurations that were trained, as they are."""
    seen, train = [], runs._train

    def counted(config, *given):
        seen.append(config)
        return train(config, *given)

    monkeypatch.setattr(runs, "_train", counted)
    return seen


def run(config, **given):
    return rd.run(config, device="cpu", progress=False, **given)


def script(code, tmp_path, **variables):
    """Run Python in a process of its own, in an empty folder; return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **variables}
    done = subprocess.run([sys.executable, *code], env=environment, cwd=tmp_path,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not rd.bundled(), reason="no recording is bundled")
def test_a_bundled_run_is_there_in_a_second_without_torch(tmp_path):
    code = """
import time, sys, json
import resnet_dynamics as rd
config = list(rd.bundled().values())[0]
begin = time.process_time()  # of this process: others may keep the machine busy
ds = rd.run(config)
print(json.dumps([time.process_time() - begin, "torch" in sys.modules, ds.sizes["step"], config.digest]))
"""
    seconds, torch, steps, digest = json.loads(script(["-W", "error", "-c", code], tmp_path))
    assert seconds < 1 and not torch and steps > 1000
    assert not (tmp_path / "cache" / "runs").exists()  # nothing is written


def test_a_changed_configuration_trains_and_is_remembered(cache, trainings):
    a, b = small.config(), small.config(lr=0.2)
    first, other = run(a), run(b)
    assert trainings == [a, b] and not first.w2.equals(other.w2)
    assert run(a).identical(first) and run(b).identical(other)
    assert trainings == [a, b]
    assert {f.name for f in cache.glob("*.nc")} == {f"{a.digest}.nc", f"{b.digest}.nc"}
    assert runs.remembered(a) and not runs.remembered(small.config(lr=0.3))


def test_what_is_not_to_be_remembered_is_not(cache, trainings):
    run(small.config(), remember=False)
    assert not cache.exists()
    run(small.config()), run(small.config(), remember=False)
    assert len(trainings) == 3


def test_filters_are_added_to_what_is_remembered(trainings):
    plain = run(small.config())
    with_filters = run(small.config(), filters=True)
    assert "filter" not in plain.dims and "filter" in with_filters.dims and len(trainings) == 2
    assert run(small.config()).equals(plain) and run(small.config(), filters=True).identical(with_filters)
    assert len(trainings) == 2
    assert with_filters.w2.equals(plain.w2)


def test_a_run_that_diverges_is_remembered(trainings):
    config = small.config(epochs=20, lr=1e4, schedule="constant", momentum=0.0)
    end = run(config).attrs["diverged_at"]
    assert end > 0 and run(config).attrs["diverged_at"] == end and len(trainings) == 1


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "a flipped bit": lambda content: content[:9000] + bytes([content[9000] ^ 1]) + content[9001:],
    "empty": lambda content: b"",
    "foreign": lambda content: b"<html>404</html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_cannot_be_trusted_is_named_and_the_run_done_again(cache, trainings, damage):
    config = small.config()
    first = run(config)
    file = cache / f"{config.digest}.nc"
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.warns(UserWarning) as warned:
        again = run(config)
    assert [str(w.message).startswith(str(file)) for w in warned] == [True]
    assert str(warned[0].message).endswith("The run is done again.") and warned[0].filename == __file__
    assert again.equals(first) and len(trainings) == 2
    assert run(config).identical(again) and len(trainings) == 2  # and whole from now on


OTHERS = {
    "newer format": (dict(format_version=99), "format 99"),
    "another run": (dict(), "holds another run"),
    "other images": (dict(dataset="cats", dataset_digest="1" * 16), r"is of other images \(cats, 1{16}\)"),
    "another meaning": (dict(semantics=7), r"when training meant something else \(7, now 1\)"),
    "not sealed": (dict(), "has no checksum"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_whole_file_that_is_not_the_one_is_kept_under_another_name(cache, trainings, other):
    config, (changes, said) = small.config(), OTHERS[other]
    first = run(config)
    file = cache / f"{config.digest}.nc"
    recording.save((run(small.config(seed=1)) if other == "another run" else first).assign_attrs(changes), file)
    if other == "not sealed":
        file.write_bytes(unseal(file.read_bytes()))
    del trainings[:]
    content = file.read_bytes()
    with pytest.warns(UserWarning, match=said) as warned:
        assert run(config).equals(first)
    assert len(warned) == 1 and "The file is now" in str(warned[0].message) and trainings == [config]
    assert (cache / f"{config.digest}.other1.nc").read_bytes() == content
    assert run(config).equals(first) and trainings == [config]


def test_a_run_is_of_the_images_that_there_are(cache, trainings, monkeypatch):
    """One stand-in for CIFAR-10, another, and the original: three runs, and each is remembered."""
    from resnet_dynamics import datasets

    config, found = small.config(data="cifar10", batch_size=20), {}
    sets = {"A": small.images(), "B": small.images(classes=2)}
    for name, images in sets.items():
        sets[name] = dataclasses.replace(images, name=name, digest=name.lower() * 16)
    sets["CIFAR-10"] = dataclasses.replace(small.images(classes=5), name="CIFAR-10", digest="c" * 16)
    for _ in range(2):
        for name, images in sets.items():
            digest = None if name == "CIFAR-10" else images.digest
            monkeypatch.setattr(datasets, "load", lambda key, images=images: images)
            monkeypatch.setattr(datasets, "expected", lambda key, n=name, d=digest: SimpleNamespace(name=n, digest=d))
            assert runs.remembered(config) == (name in found)
            ds = run(config)
            assert ds.attrs["dataset"] == name and ds.equals(found.setdefault(name, ds))
            assert rd.sweep(config, lr=[0.1], progress=False).final_loss == ds.test_loss[-1]
    assert len(trainings) == 3 and not found["A"].equals(found["B"]) and not found["A"].equals(found["CIFAR-10"])
    assert {f.name for f in cache.glob("*.nc")} == {
        f"{config.digest}.nc", f"{config.digest}-{'a' * 16}.nc", f"{config.digest}-{'b' * 16}.nc"}  # fmt: skip


def test_what_training_means_is_part_of_a_run(cache, trainings, monkeypatch):
    config = small.config()
    before = run(config)
    assert before.attrs["semantics"] == recording.SEMANTICS
    monkeypatch.setattr(recording, "SEMANTICS", recording.SEMANTICS + 1)
    monkeypatch.setattr("resnet_dynamics.train.SEMANTICS", recording.SEMANTICS)
    assert not runs.remembered(config)
    after = run(config)
    assert len(trainings) == 2 and after.attrs["semantics"] == recording.SEMANTICS
    assert {f.name for f in cache.glob("*.nc")} == {f"{config.digest}.nc", f"{config.digest}-s2.nc"}
    monkeypatch.undo()


def test_bundled_runs_have_the_meaning_of_today_and_one_set_of_images():
    made = {(ds.attrs.get("semantics", 1), ds.attrs["dataset"], ds.attrs["dataset_digest"])
            for ds in map(rd.run, rd.bundled().values())}  # fmt: skip
    assert len(made) == 1 and next(iter(made))[0] == recording.SEMANTICS


def test_a_broken_bundled_recording_is_named_and_passed_over(tmp_path, monkeypatch, trainings):
    monkeypatch.setattr(library, "bundle_dir", lambda: tmp_path)
    (tmp_path / f"{small.config().digest}.nc").write_bytes(b"half")
    with pytest.warns(UserWarning, match="done again"):
        ds = run(small.config())
    assert ds.sizes["step"] == 10 and len(trainings) == 1
    assert (tmp_path / f"{small.config().digest}.nc").read_bytes() == b"half"  # the package is not written to


def test_a_folder_in_the_way_is_an_error_before_any_training(cache, trainings):
    (cache / f"{small.config().digest}.nc").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match="a folder is where a file of the cache should be"):
        run(small.config())
    assert trainings == []


def test_what_is_not_a_configuration_is_named():
    with pytest.raises(TypeError, match=r"run\(\{'lr': 4\}\): must be a Config"):
        rd.run({"lr": 4})


@pytest.mark.parametrize("bad", [dict(train_images=1000), dict(batch_size=500), dict(epochs=0.01, warmup=0)], ids=str)
def test_a_run_that_cannot_be_leaves_nothing(cache, bad):
    with pytest.raises(ValueError, match=f"^{next(iter(bad))}="):
        run(small.config(**bad))
    assert [f.suffix for f in cache.iterdir()] == [".lock"]


def test_ctrl_c_remembers_nothing(cache, monkeypatch, trainings):
    batch = Data.batch

    def interrupted(self, t):
        if t == 3:
            raise KeyboardInterrupt
        return batch(self, t)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Data, "batch", interrupted)
        run(small.config())
    assert [f.suffix for f in cache.iterdir()] == [".lock"] and not runs.remembered(small.config())
    assert run(small.config()).sizes["step"] == 10 and len(trainings) == 2


def test_a_run_that_each_ends_is_not_remembered(cache, trainings):
    def enough(t, so_far):
        if t == 3:
            raise LookupError(int(so_far().w2[:, 0].notnull().sum()))

    for given in (dict(), dict(remember=False)):
        with pytest.raises(LookupError, match="^3$"):
            run(small.config(), each=enough, **given)
    assert [f.suffix for f in cache.iterdir()] == [".lock"] and not runs.remembered(small.config())
    seen = []
    ds = run(small.config(), each=lambda t, so_far: seen.append(t))
    assert sorted(set(seen)) == list(range(1, 11))
    assert run(small.config(), each=enough).identical(ds) and len(trainings) == 3


def test_killed_at_any_moment_the_next_call_is_right_and_two_at_once_train_once(tmp_path):
    """60 × SIGKILL, half of them at random times of the whole run, half while it saves."""
    here = Path(__file__).parent
    # No GPU: what it has started does not survive a fork.
    variables = dict(RESNET_DYNAMICS_CACHE=str(tmp_path / "killed"), CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")
    verdict = json.loads(script([str(here / "killed.py")], tmp_path, **variables))
    killed = verdict["killed"]
    assert killed["kills"] == 60 and killed["in save"] > 0, killed
    assert all(not name.endswith(".part") for name in killed["left"]), killed
    assert verdict["at once"] == {"statuses": [0, 0, 0], "trained": 1}


# ------------------------------------------------------------------------------------------- record


@pytest.fixture
def plan(monkeypatch):
    """A manifest of two small runs."""
    planned = {"one": small.config(), "two": small.config(seed=1)}
    monkeypatch.setattr(library, "planned", lambda: planned)
    return planned


def test_record_makes_what_is_missing(tmp_path, trainings, plan):
    def record(**given):
        return {name: ds for name, ds in runs.record(folder=tmp_path, device="cpu", progress=False, **given)}

    one = record(only=["one"])["one"]
    assert trainings == [plan["one"]]
    assert one.equals(recording.thin(run(plan["one"], remember=False)))
    del trainings[:]
    both = record()
    assert list(both) == ["one", "two"] and trainings == [plan["two"]]
    assert both["one"].identical(one)
    (tmp_path / f"{plan['two'].digest}.nc").write_bytes(b"half")
    del trainings[:]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        record()
    assert trainings == [plan["two"]] and len(warned) == 1


def test_record_names_an_unknown_run(tmp_path, plan):
    with pytest.raises(ValueError, match="no such run: three; the manifest has one, two"):
        list(runs.record(only=["three"], folder=tmp_path))


def test_a_recording_that_cannot_be_saved_is_kept(tmp_path, plan, trainings):
    (tmp_path / "a file").write_text("mine")
    with pytest.raises(OSError, match=r"cannot be written .*; the recording is kept at .*, and found by run\(config\)"):
        list(runs.record(only=["one"], folder=tmp_path / "a file", device="cpu", progress=False))
    assert run(plan["one"]).sizes["step"] == 10 and len(trainings) == 1


def test_what_stands_in_for_the_data_does_so_while_it_records(tmp_path, plan, monkeypatch):
    from resnet_dynamics import datasets

    inside, load = [], datasets.load
    monkeypatch.setenv(datasets.VARIABLE, "before")
    monkeypatch.setattr(datasets, "load", lambda key: inside.append(datasets.available("cifar10")) or load(key))
    _, ds = next(runs.record(data=tmp_path, only=["one"], folder=tmp_path, progress=False))
    assert inside == [True] and not datasets.available("cifar10")
    assert os.environ[datasets.VARIABLE] == "before" and ds.attrs["dataset"] == "small"


def test_trainings_of_a_context_can_be_followed_from_outside():
    seen, config = [], small.config()
    here = contextvars.copy_context()
    here.run(runs.watcher.set, lambda t, so_far: seen.append(t))
    ds = here.run(run, config)
    steps = ds.sizes["step"]
    assert sorted(set(seen)) == list(range(1, steps + 1))
    seen.clear()
    run(config.replace(seed=7))
    assert seen == [], "and those of others are not"
    own = []
    here.run(run, config.replace(seed=8), each=lambda t, so_far: own.append(t))
    assert own and seen == [], "who says something of their own is heard"
