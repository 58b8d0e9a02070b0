"""python -m resnet_dynamics: explained from Config's docstring, exact about bad input, quick to stop."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import small

import resnet_dynamics as rd
from resnet_dynamics import __main__ as cli
from resnet_dynamics import bench, library, recording, runs
from resnet_dynamics import train as loop

FIELDS = [field.name for field in dataclasses.fields(rd.Config)]
SMALL = [f"--{name.replace('_', '-')}={value}" for name, value in small.SMALL.items()]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    small.use(monkeypatch)
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "runs"


def call(*arguments):
    """Return the exit status of a command line."""
    try:
        return cli.main(list(arguments))
    except SystemExit as end:  # argparse
        return end.code


@pytest.mark.parametrize("command", ["train", "sweep", "bench"])
def test_help_explains_every_field(capsys, command):
    assert call(command, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in FIELDS:
        assert f"--{name.replace('_', '-')}" in text, name
        assert " ".join(cli.explained()[name].split()[:4]) in text, name
    assert "smoke (seconds" in text


def test_sweep_prints_a_line_a_run_and_keeps_the_table(tmp_path, capsys):
    file = tmp_path / "table.nc"
    sweep = ["sweep", *SMALL, "--lr", "0.1", "0.2", "--seed", "0", "1", "--no-augment", "--quiet"]
    assert call(*sweep, "--device", "cpu", "--output", str(file)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"lr={lr}, seed={seed}" for lr in (0.1, 0.2) for seed in (0, 1)]
    assert all("test accuracy" in line for line in lines)
    assert recording.read(file).sizes == {"lr": 2, "seed": 2, "epoch": 2}
    assert call("sweep", *SMALL, "--momentum", "0.9", "1.2") == 2
    assert "momentum=1.2: must be in [0, 1)" in capsys.readouterr().err


def test_every_field_is_explained_in_the_docstring():
    assert list(cli.explained()) == FIELDS
    assert cli.explained()["warmup"] == "length of the rise, in epochs."


def test_help_for_a_newcomer(capsys):
    assert call("--help") == 0
    text = capsys.readouterr().out
    assert "examples:" in text and "train --budget smoke" in text
    assert call("record", "--help") == 0
    assert "sgd-0" in capsys.readouterr().out
    assert call("--version") == 0
    assert rd.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("flags, changes", [
    ("", {}),
    ("--lr 4 --momentum 0", dict(lr=4.0, momentum=0.0)),
    ("--budget smoke --width=4", dict(**rd.Config.smoke(width=4).changes)),
    ("--budget class", dict(width=16, epochs=5, warmup=1)),
    ("--no-augment --no-norm layer1 --train-images 1024", dict(augment=False, no_norm="layer1", train_images=1024)),
    ("--train-images none --weight-decay 1e-3", dict(weight_decay=1e-3)),
    ("--optimizer lars --lars-rate ode --model backbone+res2", dict(optimizer="lars", lars_rate="ode",
                                                                   model="backbone+res2")),
])  # fmt: skip
def test_flags_make_a_configuration(flags, changes):
    assert cli._config(cli.parser().parse_args(["train", *flags.split()])) == rd.Config(**changes)


def test_the_budget_of_the_book():
    assert cli._config(cli.parser().parse_args(["train", "--budget", "book"])) == rd.Config.book()


BAD = {
    "train --lr=-1": "lr=-1.0: must be not negative",
    "train --lr fast": "lr='fast': must be a finite number",
    "train --momentum 1.2": "momentum=1.2: must be in [0, 1)",
    "train --optimizer adagrad": "optimizer='adagrad': must be one of \"sgd\"",
    "train --data mine": "data='mine': must be",
    "train --no-norm conv7": "no_norm='conv7': must be None, or a convolution of resnet9",
    "train --batch-size 500": "batch_size=500: small has only 160",
    "train --device tpu9": "device='tpu9': must be one that torch finds here: cpu",
    "record --only three": "no such run or sweep: three; the manifest has",
    "record --only sgd-0 three": "no such run or sweep: three; the manifest has",  # and sgd-0 is not begun
    "bench --rounds 0": "rounds=0: must be at least 1",
    "train --device meta": "device='meta': must be one that torch finds here: cpu",
    "train --epochs 1e300": "epochs=1e+300: must be positive, at most 1e6",
    "train --lr 1e308": "lr=1e+308: must be not negative, at most 1e30",
    "train --optimizer lars --weight-decay 0": "weight_decay=0.0: must be above 0 with optimizer",
    "sweep --device tpu9 --lr 0.1 0.2": "all 2 runs failed; the first: ValueError: device='tpu9'",
}


@pytest.mark.parametrize("command", BAD)
def test_a_bad_value_is_one_line_and_status_2(capsys, cache, command):
    name, *flags = command.split()
    assert call(name, *(SMALL if name in ("train", "sweep") else []), *flags) == 2
    out, err = capsys.readouterr()
    *_, last = err.splitlines()
    assert last.startswith(f"error: {BAD[command]}") and "Traceback" not in err
    assert name == "sweep" or (err.count("\n") == 1 and out == "")
    assert not list(cache.glob("*.nc"))


@pytest.mark.parametrize("command", [
    "", "learn", "train --rate 4", "train --budget huge", "record --minutes soon", "record --minutes nan",
    "record --minutes=-1", "cache --clear everything"])  # fmt: skip
def test_a_bad_flag_shows_the_usage(capsys, command):
    assert call(*command.split()) == 2
    assert "usage: python -m resnet_dynamics" in capsys.readouterr().err


def test_train_says_what_came_out_and_is_remembered(capsys, tmp_path):
    file = tmp_path / "mine.nc"
    assert call("train", *SMALL, "--device=cpu", "--quiet", f"--output={file}") == 0
    out = capsys.readouterr().out
    config = small.config()
    assert config.digest in out and "test accuracy" in out and "now remembered" in out and out.count("\n") == 1
    assert recording.load(file, config).equals(rd.run(config))
    assert call("train", *SMALL, "--quiet") == 0
    assert "was there" in capsys.readouterr().out


def test_a_divergence_is_a_result(capsys):
    assert call("train", *SMALL, "--epochs=20", "--lr=1e4", "--schedule=constant", "--momentum=0", "--quiet") == 0
    assert "diverged at step" in capsys.readouterr().out


@pytest.mark.parametrize("where", ["training", "loading"])
def test_ctrl_c_is_one_line_and_status_130(capsys, cache, monkeypatch, where):
    def interrupt(*given, **more):
        raise KeyboardInterrupt

    if where == "training":
        monkeypatch.setattr(loop, "evaluate", interrupt)
    else:
        monkeypatch.setattr(loop, "Data", interrupt)
    assert call("train", *SMALL, "--device=cpu") == 130
    out, err = capsys.readouterr()
    said = [line for line in (out + err).splitlines() if "topped" in line]
    assert len(said) == 1 and "remembered" in said[0] and "Traceback" not in err
    assert not list(cache.glob("*.nc"))


@pytest.mark.parametrize("output", [".", "", "/", "nowhere/x.nc", os.devnull])
def test_where_nothing_can_be_written_is_said_before_the_training(capsys, monkeypatch, output):
    monkeypatch.setattr(runs, "_train", lambda *given: pytest.fail("it trains"))
    assert call("train", *SMALL, f"--output={output}") == 2
    assert "argument --output: " in capsys.readouterr().err
    assert Path(os.devnull).is_char_device()


def test_the_smoke_budget_runs_and_ctrl_c_ends_it(tmp_path):
    """As typed in a shell, on the real generated images; a signal, once it trains."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "resnet_dynamics", "train", "--budget", "smoke", "--width", "4", "--device", "cpu"]
    shell = dict(env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with subprocess.Popen([*command, "--epochs", "999"], **shell) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert first.startswith("Training resnet9 of width 4 on synthetic: 15984 steps of 128 images on cpu")
    assert process.returncode == 130 and "Traceback" not in err, err
    assert out.strip() == "Stopped. Nothing is remembered of this run."

    done = subprocess.run([*command, "--quiet"], **shell)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "test accuracy" in done.stdout and "now remembered" in done.stdout


# ---------------------------------------------------------------------------------------- terminals


def python(*command, **given):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **given.pop("env", {})}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, **given)


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "latin-1"])
def test_help_for_a_console_that_has_no_greek(encoding):
    for command in ("train", "sweep"):
        done = python("-m", "resnet_dynamics", command, "--help", env={"PYTHONIOENCODING": encoding})
        assert done.returncode == 0 and b"--weight-decay" in done.stdout and done.stderr == b""


def test_help_without_docstrings():
    done = python("-OO", "-m", "resnet_dynamics", "train", "--help", text=True)
    assert done.returncode == 0 and "--weight-decay" in done.stdout and done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="a shell with pipes")
def test_a_pipe_that_closes_ends_it_quietly():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = f"{{ '{sys.executable}' -u -m resnet_dynamics train --help; echo status $? >&2; }} | head -c 1"
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
    assert done.stderr in ("status 1\n", "status 0\n")  # 0 if all was written before the pipe closed


# -------------------------------------------------------------------------------------------- cache


def test_the_cache_can_be_seen_and_cleared(capsys, cache):
    assert call("cache") == 0
    assert capsys.readouterr().out.splitlines()[0].startswith(str(cache.parent))
    rd.run(small.config(), device="cpu", progress=False)
    (cache / "broken.nc").write_bytes(b"half")
    odd = rd.run(small.config()).assign_attrs(config='{"dropout": 1}')
    recording.save(odd, cache / "newer.nc")
    assert call("cache") == 0
    text = capsys.readouterr().out
    assert f"{small.config().digest}.nc" in text and "Config(data='synthetic'" in text and "test accuracy" in text
    assert "broken.nc: truncated, damaged" in text
    assert "does not read (unknown configuration fields dropout" in text and "images" in text and "downloads" in text
    assert call("cache", "--clear", "runs") == 0
    assert "cleared runs: 4 files" in capsys.readouterr().out and list(cache.iterdir()) == []


# ------------------------------------------------------------------------------------------- record


@pytest.fixture
def plan(monkeypatch):
    planned = {"one": small.config(), "two": small.config(seed=1)}
    monkeypatch.setattr(library, "planned", lambda: planned)
    monkeypatch.setattr(library, "planned_sweeps", dict)
    return planned


def test_record_is_resumable_and_says_a_line_a_run(capsys, tmp_path, plan):
    common = ["record", "--device=cpu", "--quiet", f"--folder={tmp_path}"]
    assert call(*common, "--only", "two") == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["two"]
    assert call(*common) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "one: test accuracy" in lines[0] and "recorded" in lines[0]
    assert "two: test accuracy" in lines[1] and "was there" in lines[1]
    assert {f.stem for f in Path(tmp_path).glob("*.nc")} == {config.digest for config in plan.values()}


def test_record_starts_no_run_that_does_not_fit(capsys, tmp_path, plan, monkeypatch):
    now, train = [0.0], runs._train
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bench, "estimate", lambda config, device, data: 100.0)

    def slowly(*given):
        now[0] += 110.0
        return train(*given)

    monkeypatch.setattr(runs, "_train", slowly)
    common = ["record", "--device=cpu", "--quiet", f"--folder={tmp_path}"]
    assert call(*common, "--minutes=3") == 0
    out = capsys.readouterr().out
    assert "one: test accuracy" in out and "two: not started, it takes 1.7 min and 1.2 min are left" in out
    assert call(*common, "--minutes=3") == 0
    out = capsys.readouterr().out
    assert "was there" in out and "two: test accuracy" in out
