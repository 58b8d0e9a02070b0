"""What is measured is what trains; what is said of it is what was measured. How long anything takes is not tested."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import small
import torch

import resnet_dynamics as rd
from resnet_dynamics import __main__ as cli
from resnet_dynamics import bench, datasets, loops
from resnet_dynamics import train as loop

CPU = torch.device("cpu")
LOOPS = ("recorded", "bare", "recorder", "matmul", "plain", "plain32")


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    small.use(monkeypatch)
    loops.training_step.cache_clear()
    loops.warmed.cache_clear()
    loops._normalized.cache_clear()


# ------------------------------------------------------------------------------------------- the loops


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_the_measured_step_is_that_of_the_training_loop(optimizer):
    config = small.config(optimizer=optimizer)
    trained, ds = loop.train(config, device="cpu", progress=False)
    step, steps = loops.training_step(config, CPU)
    for _ in range(steps):
        step()
    assert all(a.equal(b) for a, b in zip(step.model.parameters(), trained.parameters()))
    assert np.array_equal(step.recorder.loss.numpy(), ds.loss.values)


@pytest.mark.parametrize("half", [True, False])
def test_the_plain_loop_learns_from_the_same_images(monkeypatch, half):
    monkeypatch.setattr(loops, "precision", lambda device: torch.bfloat16)
    loss, correct = loops.plain_step(small.config(), CPU, half)()
    assert 0.5 < loss.item() < 5 and correct.shape == (32,)


def test_the_plain_loop_is_in_half_precision_but_for_its_norms(monkeypatch):
    monkeypatch.setattr(loops, "precision", lambda device: torch.bfloat16)
    kinds = []
    monkeypatch.setattr(loops.F, "cross_entropy", lambda logits, y: kinds.append(logits.dtype) or logits.sum())

    def look(module, given):
        kinds.append((type(module).__name__, given[0].dtype, frozenset(p.dtype for p in module.parameters())))

    with torch.nn.modules.module.register_module_forward_pre_hook(look):
        loops.plain_step(small.config(), CPU, half=True)()
    assert kinds[-1] == torch.float32
    assert {k[1:] for k in kinds[:-1] if k[0] == "Conv2d"} == {(torch.bfloat16, frozenset({torch.bfloat16}))}
    assert {k[1:] for k in kinds[:-1] if k[0] == "BatchNorm2d"} == {(torch.bfloat16, frozenset({torch.float32}))}


def test_every_loop_has_a_function():
    for name in LOOPS:
        if name != "matmul":  # of matrices that take a second
            loops.function(name, small.config(), CPU)()


def test_the_slices_are_windows_of_the_images():
    """Each image of a batch is, outside of a square of zeros, a crop of one training image, perhaps mirrored."""
    x, y, size = loops._normalized("synthetic")
    every = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    every = every.transpose(0, 2, 3, 1, 4, 5)  # image, row, column, channel, height, width
    batches = list(loops.sliced(small.config()))
    assert [len(labels) for _, labels in batches] == [32] * 5
    seen, mirrored = set(), []
    for image, label in zip(batches[0][0][:6].numpy(), batches[0][1]):
        hole = (image == 0).all(0)
        rows, columns = np.nonzero(hole)
        assert hole.sum() == 64 and np.ptp(rows) == np.ptp(columns) == 7
        found = [(flip, *map(int, place)) for flip in (False, True)
                 for place in np.argwhere(((every[..., ::-1] if flip else every) == image)[..., ~hole].all((-2, -1)))]
        assert len(found) == 1 and y[found[0][1]] == label
        seen.add(found[0][1])
        mirrored.append(found[0][0])
    assert len(seen) == 6 and set(mirrored) == {False, True}


def test_the_images_of_the_plain_loop_are_normalized():
    x, _, size = loops._normalized("synthetic")
    inner = x[:, :, loops.PAD:-loops.PAD, loops.PAD:-loops.PAD]
    assert inner.shape[2:] == (size, size)
    np.testing.assert_allclose(inner.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(inner.std((0, 2, 3)), 1, atol=1e-4)


def test_a_measurement_counts_what_it_says(monkeypatch):
    """Ten calls of a second each, of which this process computes half and others keep one core busy."""
    now = iter([(0.0, 0.0, 100.0), (10.0, 5.0, 115.0)])
    monkeypatch.setattr(loops, "_clocks", lambda: next(now))
    ticks = iter(range(1, 20))
    monkeypatch.setattr(loops.time, "perf_counter", lambda: float(next(ticks)))
    calls = []
    found = loops.timed(lambda: calls.append(1), CPU, least=9.5)
    assert len(calls) == 10 and found == {"wall": 1.0, "cpu": 0.5, "foreign": 1.0}


def test_foreign_load_that_nobody_knows_is_none(monkeypatch):
    monkeypatch.setattr(loops, "busy", lambda: None)
    assert loops.timed(lambda: None, CPU, least=0)["foreign"] is None


# ------------------------------------------------------------------------------------------ memory, sweeps


def test_the_memory_of_a_recording_is_that_of_its_shapes():
    layers, filters = len(rd.config.CONVS), sum(
        len(w) for w in rd.models.conv_layers(rd.models.build(small.config())).values())  # fmt: skip
    _, ds = loop.train(small.config(), device="cpu", progress=False)
    found = {wide: loops.footprint(small.config(), CPU, wide) for wide in (False, True)}
    assert found[False]["recording"] == ds.nbytes
    a_filter = (found[True]["series"] - found[False]["series"]) / (4 * 10 * filters)  # float32, 10 steps
    assert 15 <= a_filter <= 25  # each pair of five vectors, once or twice
    assert 15 * layers <= found[False]["series"] / (4 * 10) <= 25 * layers + 8, "and a few of the whole network"
    assert found[True]["recording"] > found[False]["recording"]


@pytest.mark.parametrize("changes, steps", [(dict(), 10), (dict(epochs=6.4), 32), (dict(train_images=64), 4)])
def test_the_memory_of_a_step_is_the_same_whatever_their_number(changes, steps):
    """Also where there are as many as a layer has filters; and of fewer images there are fewer."""
    for filters in (False, True):
        a_step = loops.series_bytes(small.config(), filters) / 10
        assert loops.series_bytes(small.config(**changes), filters) == steps * a_step


def test_a_sweep_is_measured_with_runs_that_nobody_has_made(monkeypatch):
    asked = []
    monkeypatch.setattr(loops, "sweep", lambda config, **given: asked.append(given))
    for workers in (1, 2):
        loops.measured(f"workers {workers}", small.config(), CPU)
    assert [given["workers"] for given in asked] == [1, 2]
    seeds = [seed for given in asked for seed in given["seed"]]
    assert len(set(seeds)) == len(seeds) == 2 * loops.SWEEP


# ----------------------------------------------------------------------------------------- measurement


class Instant:
    """A process that answers at once: 2 s for a step of 1 G multiplications and additions, and less for what it is."""

    asked, stops = [], None
    SHARES = {"recorded": 1.0, "bare": 0.95, "recorder": 0.02, "matmul": 0.5, "plain": 1.1, "plain32": 3.0}

    def __init__(self, device, folder=None):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def ask(self, loop, config):
        if len(self.asked) == self.stops:
            raise KeyboardInterrupt
        self.asked.append((loop, config))
        if loop.startswith("memory"):
            return {"series": 2_000_000, "recording": 1_000_000, "grown": 3_000_000}
        wall = self.SHARES.get(loop, 1.0) * bench.flop(config) * (1 + 0.01 * len(self.asked)) / 1e9
        return {"wall": 2 * wall, "cpu": wall, "foreign": 0.25}


@pytest.fixture
def instant(monkeypatch):
    monkeypatch.setattr(Instant, "asked", [])
    monkeypatch.setattr(Instant, "stops", None)
    monkeypatch.setattr(bench, "Worker", Instant)
    monkeypatch.setattr(bench, "precision", lambda device: torch.bfloat16)
    monkeypatch.setattr(bench, "flop", lambda config: config.width**2 * config.batch_size)
    monkeypatch.setattr(bench, "series_bytes", lambda config, filters: 1)
    return Instant


def measure(config=None, **given):
    return bench.bench(config or rd.Config(data="synthetic", width=16), "cpu", progress=False, **given)


def test_a_measurement_is_whole_and_json_can_hold_it(instant):
    found = measure()
    assert found["finished"] and found["left_out"] == [] and json.loads(json.dumps(found)) == found
    assert set(found["loops"]) == set(LOOPS) and bench.rounds_of(found["loops"]) == 5
    assert [loop for loop, _ in instant.asked[:12]] == [*LOOPS, *LOOPS], "in turn"
    assert {(row["width"], row["batch_size"]) for row in found["cost"]} == {
        (width, n) for width in (8, 16, 64) for n in (64, 128, 256, 512)}  # fmt: skip
    assert all(bench.rounds_of(row["loops"]) == 3 for row in found["cost"])
    assert [(row["width"], row["filters"], row["steps"]) for row in found["memory"]] == [
        (width, wide, 24 * 97) for width in (16, 64) for wide in (False, True)]  # fmt: skip
    assert [row["workers"] for row in found["sweeps"]] == [1, 2]
    assert found["made"]["threads"] == torch.get_num_threads() and found["clock"] == "cpu"


def test_memory_is_measured_of_a_run_as_long_as_the_one_asked_for(instant, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda key: small.images(n=20_000, size=2))
    measure(rd.Config(data="synthetic", width=4, batch_size=100, epochs=10))
    runs = [config for loop, config in instant.asked if loop.startswith("memory")]
    assert {rd.schedules.steps_of(config, 20_000 // config.batch_size) for config in runs} == {10 * 500}


def test_what_does_not_fit_is_left_out_and_said(instant):
    found = measure(minutes=0)
    assert found["finished"] and bench.rounds_of(found["loops"]) == 1 and found["cost"] == found["memory"] == []
    assert "width 64, N = 512 (time)" in found["left_out"] and "sweeps (time)" in found["left_out"]
    assert "left out    memory, width 16 (time); " in bench.report(found)


def test_a_recording_that_memory_does_not_hold_is_not_made(instant, monkeypatch):
    monkeypatch.setattr(bench, "series_bytes", lambda config, filters: 1e15 if filters else 1)
    monkeypatch.setattr(bench, "memory", lambda: 1e12)
    found = measure()
    assert [row["filters"] for row in found["memory"]] == [False, False]
    assert "memory, width 64, every filter (memory)" in found["left_out"]


@pytest.mark.parametrize("asked, rounds", [(7, 1), (29, 4), (30 + 4 + 6 + 5, 5)])
def test_ctrl_c_keeps_the_rounds_that_are_whole(instant, monkeypatch, asked, rounds):
    monkeypatch.setattr(instant, "stops", asked)
    found = measure()
    assert not found["finished"] and bench.rounds_of(found["loops"]) == rounds
    assert all(bench.rounds_of(row["loops"]) == 3 for row in found["cost"])
    text = bench.report(found)
    assert f"medians of {rounds} round" in text and text.endswith("left out    all that came after it was stopped")


def test_ctrl_c_before_the_first_round_ends_it(instant, monkeypatch):
    monkeypatch.setattr(instant, "stops", 5)
    with pytest.raises(KeyboardInterrupt):
        measure()


@pytest.mark.parametrize("threads, clock", [(1, "cpu"), (2, "wall")])
def test_the_clock_is_that_of_one_thread_or_the_one_on_the_wall(instant, monkeypatch, threads, clock):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    found = measure(minutes=0)
    assert found["clock"] == clock
    milliseconds = 1e3 * found["loops"]["recorded"][clock][0]
    assert f"{milliseconds:.4g} ms with the recorder" in bench.report(found)


def test_half_precision_is_compared_with_where_we_compute_in_it(instant, monkeypatch):
    monkeypatch.setattr(bench, "precision", lambda device: torch.float32)
    found = measure()
    assert set(found["loops"]) == set(LOOPS) - {"plain"}
    assert all(set(row["loops"]) == {"recorded", "plain32"} for row in found["cost"])
    assert "in float32" in bench.report(found) and "bfloat16" not in bench.report(found)


@pytest.mark.parametrize("given, message", [
    (dict(rounds=0), "rounds=0: must be at least 1"), (dict(minutes=-1), "minutes=-1: must be a number, 0 or more"),
    (dict(minutes=float("nan")), "minutes=nan: must be")])  # fmt: skip
def test_a_value_that_is_not_allowed_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        measure(**given)


def test_a_script_without_a_main_guard_measures(tmp_path):
    """Also one that comes from a pipe. The processes are Python anew, and not the script again."""
    script = """
import resnet_dynamics as rd
from resnet_dynamics import bench
print("once")
config = rd.Config(data="synthetic", width=2, batch_size=16)
print(bench.report(bench.bench(config, "cpu", rounds=1, minutes=0, progress=False)))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-"], input=script, env=environment, cwd=tmp_path, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("once") == 1 and "ms with the recorder" in done.stdout and "Traceback" not in done.stderr


def test_a_process_that_ends_early_is_named_with_its_last_words():
    with loops.Worker(CPU) as worker:
        worker.process.kill()
        worker.process.wait()
        with pytest.raises(OSError, match="a process of the measurement has ended early: "):
            worker.ask("recorded", small.config())


def test_operations_are_those_of_the_convolutions():
    """Two for each weight and place, three times (forward, by weights, by inputs); prep has no use for the last."""
    side = {"prep": 32, "layer1": 32, "layer1.res1": 16, "layer1.res2": 16, "layer2": 16, "layer3": 8,
            "layer3.res1": 4, "layer3.res2": 4}  # fmt: skip
    config = rd.Config(width=4, batch_size=8)
    weights = rd.models.conv_layers(rd.models.build(config))
    conv = {name: 2 * 8 * w.numel() * side[name] ** 2 for name, w in weights.items()}
    linear = 3 * 2 * 8 * 32 * 10
    assert bench.flop(config) == 3 * sum(conv.values()) - conv["prep"] + linear


def test_the_time_of_a_run_is_estimated():
    assert 0 < bench.estimate(small.config(), "cpu") < 60


# -------------------------------------------------------------------------------------------- in words


def table(foreign=0.0, **seconds):
    return {name: {"wall": found, "cpu": found, "foreign": [foreign] * len(found)} for name, found in seconds.items()}


def known(**changes):
    """A measurement of round numbers."""
    seconds = dict(recorded=[1.0, 1.1, 1.2], bare=[0.9, 1.0, 1.1], recorder=[0.01, 0.02, 0.03], matmul=[0.1, 0.1, 0.1],
                   plain=[1.1, 1.1, 1.08], plain32=[3.0, 3.3, 6.0])  # fmt: skip
    made = {"device": "a machine", "torch_version": "9.9", "precision": "bfloat16", "cores": 4, "load_before": 1.5}
    return {"made": made, "clock": "cpu", "config": rd.Config(width=16).as_dict(), "flop": 5e9, "product_flop": 2e9,
            "loops": table(**seconds), "cost": [], "memory": [], "sweeps": [], "left_out": [], "finished": True,
            **changes}  # fmt: skip


def test_the_report_has_medians_and_ratios():
    text = bench.report(known())
    assert "1100 ms with the recorder, 1000 ms without" in text
    assert "465 images/s" in text and "a machine; torch 9.9, bfloat16" in text
    assert "1100 ms a step in bfloat16, its images cut out one by one on the host: 1.00 (0.90 to 1.10) times" in text
    assert "3300 ms a step in float32, its images cut out one by one on the host: 3.00 (3.00 to 5.00) times" in text
    assert "2.0 (1.1 to 2.7) % measured alone" in text
    assert "of the 20 GFLOP/s" in text and "medians of 3 rounds" in text


def test_the_report_has_a_line_for_each_row():
    cost = [{"width": 8, "batch_size": 64, "flop": 1e9, "loops": table(recorded=[0.02] * 3, plain=[0.03] * 3)}]
    memory = [{"width": 64, "filters": True, "steps": 2328, "series": 5.23e8, "recording": 3.44e8, "grown": 3.9e9},
              {"width": 8, "filters": False, "steps": 2328, "series": 2e6, "recording": 7e5, "grown": None}]
    sweeps = [{"workers": 2, "runs": 6, **table(sweep=[8.0, 7.0, 9.0])["sweep"]}]
    text = bench.report(known(cost=cost, memory=memory, sweeps=sweeps))
    assert "width 8, N = 64: 20 ms a step, 3,200 images/s; the plain loop takes 1.50 (1.50 to 1.50) times" in text
    assert "every filter, width 64, 2328 steps: 523 MB on the device, a recording of 344 MB; made in 3,900 MB" in text
    assert "of the layers, width 8, 2328 steps: 2 MB on the device, a recording of 0.7 MB\n" in text
    assert "6 runs, workers = 2: 8 (7 to 9) s of wall time" in text


@pytest.mark.parametrize("clock, foreign, words, not_said", [
    ("wall", 0.0, "others kept 0.00 of 4 cores busy", "measure again"),
    ("wall", 1.2, "measure again when it is gone; others kept 1.20 of 4 cores busy", "one thread"),
    ("cpu", 1.2, "which foreign load hardly changes; others kept 1.20 of 4 cores busy", "measure again"),
    ("wall", None, "the load was 1.5 before it began", "measure again")])  # fmt: skip
def test_foreign_load_is_said(clock, foreign, words, not_said):
    found = known(clock=clock, loops=table(foreign, **dict.fromkeys(LOOPS, [1.0] * 3)))
    assert words in bench.report(found) and not_said not in bench.report(found)


# ------------------------------------------------------------------------------------ the command line


def test_the_command_writes_what_it_has_measured(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(bench, "bench", lambda *given, **named: asked.append((given, named)) or known())
    file = tmp_path / "found.json"
    assert cli.main(["bench", "--width=8", "--rounds=3", "--minutes=2", "--quiet", f"--json={file}"]) == 0
    assert json.loads(file.read_text()) == known() and "465 images/s" in capsys.readouterr().out
    assert asked == [((rd.Config(data="synthetic", width=8), None), dict(rounds=3, minutes=2.0, progress=False))]


def test_the_command_writes_what_it_had_when_it_was_stopped(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench, "bench", lambda *given, **named: known(finished=False))
    file = tmp_path / "found.json"
    assert cli.main(["bench", f"--json={file}"]) == 130
    assert json.loads(file.read_text())["loops"] == known()["loops"] and "465 images/s" in capsys.readouterr().out


@pytest.mark.gpu
def test_on_a_gpu_half_precision_is_compared_with(monkeypatch):
    monkeypatch.undo()
    found = bench.bench(rd.Config(data="synthetic", width=8), "cuda", rounds=3, minutes=0, progress=False)
    assert {"recorded", "plain", "plain32"} <= set(found["loops"]) and found["clock"] == "wall"
    assert found["made"]["precision"] in ("bfloat16", "float16")
