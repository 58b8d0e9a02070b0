"""Runs in other processes are the same runs: one table, whoever does them, whatever becomes of the processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import gate
import numpy as np
import pets
import pytest
import small

import resnet_dynamics as rd
from resnet_dynamics import __main__ as cli
from resnet_dynamics import datasets, jobs, runs
from resnet_dynamics.workers import Workers, share

AXES = {"lr": [0.1, 0.2], "seed": range(3)}
TINY = dict(width=4, batch_size=16, epochs=2, warmup=0.5)  # 10 steps an epoch of 80 images
linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "cache" / "runs"


@pytest.fixture
def images(tmp_path):
    return pets.folder(tmp_path, 40, 10)


def sweep(base=None, **given):
    return rd.sweep(base or small.config(), **{**AXES, "device": "cpu", "progress": False, **given})


def same(table, other) -> bool:
    return table.drop_vars("seconds").identical(other.drop_vars("seconds"))


def test_workers_1_2_and_3_give_one_table(images, cache):
    """Where the cache is and what stands in for CIFAR-10 reaches them; so does the number of threads."""
    base, tables = rd.Config(**TINY), []
    with datasets.standing_in(images):
        for n in (1, 2, 3):
            for file in cache.glob("*.nc"):
                file.unlink()
            tables.append(sweep(base, workers=n, recordings=True))
            assert len(list(cache.glob("*.nc"))) == 6
        assert all(same(table, tables[0]) for table in tables[1:])
        made = json.loads(tables[2].provenance.values.flat[-1])
        assert made["dataset"] == f"stand-in {datasets.images(images).digest}" and "1 thread" in made["device"]
        assert sweep(base, workers=2, recordings=True).identical(tables[2])  # remembered: no process starts


def test_workers_are_an_executor():
    with Workers(2) as executor:
        assert executor.submit(os.getpid).result() not in (os.getpid(), executor.submit(os.getppid).result())
        with pytest.raises(ValueError, match="invalid literal"):
            executor.submit(int, "x").result()
        executor.submit(print, "no answer").result()
        with pytest.raises(ChildProcessError, match="ended with status 3"):
            executor.submit(os._exit, 3).result()
        with pytest.raises(ChildProcessError, match="ended by SIGKILL, as systems end what wants too much memory"):
            executor.submit(signal.raise_signal, signal.SIGKILL).result()
        pids = {executor.submit(os.getpid).result() for _ in range(4)}  # new ones in their places
        slow = [executor.submit(time.sleep, 600) for _ in range(4)]
    assert all(future.done() for future in slow)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_hear_no_ctrl_c_even_before_they_can_say_so():
    """A terminal sends it to all of its processes, those that have just begun, too."""
    with Workers(1) as executor:
        (pid,) = (worker._process.pid for worker in executor._workers)
        os.kill(pid, signal.SIGINT)
        assert executor.submit(os.getpid).result() == pid


def test_a_second_ctrl_c_leaves_no_worker_that_works(monkeypatch):
    """It ends the waiting for the ends of threads, of which each waits for its process."""

    def again(**given):
        raise KeyboardInterrupt

    with Workers(2) as executor:
        slow = [executor.submit(time.sleep, 600) for _ in range(2)]
        with monkeypatch.context() as patched:
            patched.setattr(executor._threads, "shutdown", again)
            with pytest.raises(KeyboardInterrupt):
                executor.__exit__()
        assert all(isinstance(future.exception(60), ChildProcessError) for future in slow)


def test_workers_share_threads_and_gpus(monkeypatch):
    import torch

    has, chosen = torch.get_num_threads(), []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    try:
        for place, threads, of in ((0, 16, 4), (1, 2, 3), (2, 8, 1)):
            share(place, of, threads)
            assert torch.get_num_threads() == max(1, threads // of)
    finally:
        torch.set_num_threads(has)
    assert chosen == [0, 1, 0]


class Deadly(Workers):
    """The process that shall do seed 1 dies once; that of seed 2 always."""

    def submit(self, function, job):
        if {1: job.tries == 1, 2: True}.get(job.configs[0].seed):
            return super().submit(signal.raise_signal, signal.SIGKILL)
        return super().submit(function, job)


def test_a_process_that_dies_costs_its_own_run_if_it_dies_twice(images, cache):
    base = rd.Config(data=datasets.images(images).key, **TINY)
    with Deadly(2) as executor:
        table = sweep(base, executor=executor, lr=[0.1])
    assert table.failed.sel(seed=[0, 1]).values.tolist() == [["", ""]]
    assert table.failed.sel(seed=2).item().startswith("ChildProcessError: its process was ended by SIGKILL, as systems")
    for file in cache.glob("*.nc"):
        file.unlink()
    here = sweep(base, lr=[0.1], seed=[0, 1])
    for name in ("test_loss", "train_loss", "digest"):
        assert table[name].sel(seed=[0, 1]).equals(here[name])


# In this process: what is handed out, and what becomes of it
class Here:
    """An executor that does everything at once, and remembers what it was given."""

    def __init__(self):
        self.jobs, self.cancelled = [], []

    def submit(self, function, job):
        self.jobs.append(job)
        return self.future(function, job)

    def future(self, function, job):
        future = Future()
        future.set_result(function(job))
        return future


@pytest.fixture
def tiny(monkeypatch):
    small.use(monkeypatch)


def test_any_executor_gives_the_same_table(tiny, cache):
    one = sweep()
    for size, calls in ((1, 6), (4, 2), (100, 1)):
        for file in cache.glob("*.nc"):
            file.unlink()
        executor = Here()
        assert same(sweep(executor=executor, runs_per_job=size), one) and len(executor.jobs) == calls
    assert same(sweep(executor=executor), one) and len(executor.jobs) == 1  # what is remembered is not handed out
    for file in cache.glob("*.nc"):
        file.unlink()
    with ThreadPoolExecutor(2) as threads:
        assert same(sweep(executor=threads), one)


def test_what_comes_from_another_cache_is_remembered_here(tiny, cache, tmp_path):
    class Elsewhere(Here):
        def future(self, function, job):
            return super().future(function, replace(job, cache=str(tmp_path / "elsewhere")))

    table = sweep(executor=Elsewhere())
    assert {file.name for file in cache.glob("*.nc")} == {file.name for file in tmp_path.glob("elsewhere/runs/*.nc")}
    assert sweep().identical(table)


def test_a_job_says_where_the_cache_is_and_what_stands_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", "cache")
    monkeypatch.setenv("RESNET_DYNAMICS_CIFAR10", "pets")
    assert jobs.Job(()).cache == str(tmp_path / "cache") and jobs.Job(()).stand_in == str(tmp_path / "pets")
    with datasets.standing_in("other.zip"):
        assert jobs.Job(()).stand_in == str(tmp_path / "other.zip")


def test_a_run_that_fails_is_a_value_elsewhere_too(tiny, capsys):
    wrong = small.config(batch_size=500)
    with pytest.raises(RuntimeError, match="all 6 runs failed; the first: ValueError: batch_size=500: small has only"):
        sweep(wrong, executor=Here())
    table = sweep(executor=Here(), batch_size=[32, 500], seed=[0], lr=[0.1], progress=True)
    assert [bool(text) for text in table.failed.values.ravel()] == [False, True]
    assert "batch_size=500, seed=0" not in capsys.readouterr().out.split("failed, ValueError")[1]


def test_images_that_are_not_there_fail_as_they_do_here(tmp_path):
    with datasets.standing_in(tmp_path / "nothing"):
        with pytest.raises(RuntimeError) as here:
            sweep(rd.Config(**TINY))
        executor = Here()
        with pytest.raises(RuntimeError) as there:
            sweep(rd.Config(**TINY), executor=executor)
    assert str(here.value) == str(there.value) and executor.jobs == []


def test_a_warning_of_all_runs_is_one(tiny, tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("mine")
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "occupied"))
    with pytest.warns(UserWarning, match="is of no use") as warned:
        table = sweep(executor=Here())
    assert len(warned) == 1 and warned[0].filename == __file__ and table.final_accuracy.notnull().all()


def test_a_warning_of_all_processes_is_one(images, tmp_path, monkeypatch):
    base = rd.Config(data=datasets.images(images).key, **TINY)
    real = os.environ["RESNET_DYNAMICS_CACHE"]
    (tmp_path / "cache" / "runs").write_text("mine")  # images can be read, no run can be remembered
    with pytest.warns(UserWarning, match="is of no use.*/cache/runs[)]") as warned:
        table = sweep(base, workers=2, lr=[0.1])
    assert len(warned) == 1 and real in str(warned[0].message) and table.final_accuracy.notnull().all()


def test_a_pool_that_is_broken_leaves_gaps(tiny):
    class Broken(Here):
        def submit(self, function, job):
            if len(self.jobs) == 6:
                raise OSError("no more")
            return super().submit(function, job)

        def future(self, function, job):
            if len(self.jobs) <= 2:
                return super().future(function, job)
            future = Future()
            future.set_exception(OSError("the pool is broken " + 100 * "\nand says so"))
            return future

    table = sweep(executor=Broken())
    failed = table.failed.values.ravel()
    assert (failed == "").sum() == 2
    assert all(text.startswith("OSError: the pool is broken and") and len(text) < 301 for text in failed if text)


@pytest.mark.parametrize("wrong", [
    lambda found, said: None,
    lambda found, said: (None, None),
    lambda found, said: ([None] * 3, said),
    lambda found, said: (found[:1], said),  # else the other rows would be NaN, and nothing would say why
    lambda found, said: (found[::-1], said),  # else each run would be another's
])  # fmt: skip
def test_an_executor_that_gives_something_else_is_named(tiny, wrong, cache):
    class Wrong(Here):
        def future(self, function, job):
            return super().future(lambda job: wrong(*function(job)) if job.tries == 1 else None, job)

    with pytest.raises(RuntimeError, match="the first: TypeError: the executor gave None: must be what the function"):
        sweep(executor=Wrong(), lr=[0.1], runs_per_job=3)


def test_a_run_that_fails_is_what_the_function_returns(tiny):
    executor = Here()
    table = sweep(executor=executor, lr=[0.1], batch_size=[32, 500], seed=[0], runs_per_job=2)
    assert [bool(text) for text in table.failed.values.ravel()] == [False, True] and len(executor.jobs) == 1


def test_an_executor_whose_futures_are_none_is_named(tiny):
    class Eager(Here):
        def future(self, function, job):
            return function(job)

    with pytest.raises(TypeError, match=r"Eager object at .*submit gave .*: must have done\(\) and result\(\)"):
        sweep(executor=Eager())


def test_jobs_of_slurm_are_one_array(tiny):
    """submitit packs what is submitted inside of `batch` into one."""

    class Array(Here):
        open = False

        @contextlib.contextmanager
        def batch(self):
            self.open = True
            yield
            self.open = False

        def future(self, function, job):
            assert self.open
            return super().future(function, job)

    assert (sweep(executor=Array()).failed == "").all()


def test_what_is_stopped_cancels_the_rest(tiny, capsys, cache):
    class Stopped(Here):
        def future(self, function, job):
            if len(self.jobs) <= 2:
                return super().future(function, job)
            future = Future()
            if len(self.jobs) == 3:
                future.set_exception(KeyboardInterrupt())
            else:
                future.cancel = lambda: self.cancelled.append(job)
            return future

    executor = Stopped()
    with pytest.raises(KeyboardInterrupt):
        sweep(executor=executor, progress=True)
    assert executor.cancelled == executor.jobs[3:] and len(list(cache.glob("*.nc"))) == 2
    assert "Stopped at run 3 of 6. The runs before it are remembered." in capsys.readouterr().out


@pytest.mark.parametrize("given, said", [
    (dict(workers=0), "workers=0: must be a whole number, at least 1"),
    (dict(workers=True), "workers=True: must be a whole number"),
    (dict(workers=1.5), "workers=1.5: must be a whole number"),
    (dict(workers="2"), "workers='2': must be a whole number"),
    (dict(runs_per_job=0), "runs_per_job=0: must be a whole number, at least 1"),
    (dict(runs_per_job=None), "runs_per_job=None: must be a whole number"),
    (dict(executor=3), "executor=3: must have submit(function, *args)"),
    (dict(executor=ThreadPoolExecutor), "executor=<class"),
    (dict(executor=Here(), workers=2), "workers=2, executor=<test_jobs.Here"),
])  # fmt: skip
def test_what_cannot_be_meant_is_named_before_anything_runs(cache, given, said):
    with pytest.raises(ValueError) as error:
        sweep(**given)
    assert said in str(error.value) and not cache.exists()


# The process that calls
def children(pid) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids, seconds=20) -> bool:
    for _ in range(10 * seconds):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.1)
    return False


def working(process, runs) -> list[int]:
    """Wait until both workers train; return their numbers."""
    for _ in range(1200):
        assert process.poll() is None, process.communicate()
        if len(list(runs.glob("*.lock"))) >= 2:
            return children(process.pid)
        time.sleep(0.1)
    raise AssertionError("no run has begun in two minutes")


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_caller(tmp_path, images, cache, how):
    """Runs of an hour: stopped by Ctrl-C, which all processes of a terminal hear, or by the death of the caller."""
    key = datasets.images(images).key
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**TINY, "epochs": 1e5, "data": key}.items()]
    command = [sys.executable, "-m", "resnet_dynamics", "sweep", *flags, "--seed", "0", "1", "2", "--workers=2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                          env=os.environ | {"PYTHONPATH": str(gate.ROOT / "src")}) as process:  # fmt: skip
        try:
            pids = working(process, cache)
            assert len(pids) == 2
            (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
            out, err = process.communicate(timeout=60)
        finally:  # or it trains for hours
            process.kill()
    assert gone(pids) and not list(cache.glob("*.nc"))
    if how == signal.SIGINT:
        assert process.returncode == 130 and "Stopped at run 1 of 3." in out and "Traceback" not in err


def test_a_script_needs_no_guard(tmp_path, images):
    """As `multiprocessing` would; its processes read the script again."""
    key = datasets.images(images).key
    (tmp_path / "script.py").write_text(
        f"import resnet_dynamics as rd\nbase = rd.Config(data={key!r}, **{TINY})\n"
        "print(rd.sweep(base, seed=[0, 1], workers=2, device='cpu', progress=False).final_loss.values.tolist())\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(gate.ROOT / "src")})  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    here = rd.sweep(rd.Config(data=key, **TINY), seed=[0, 1], progress=False).final_loss
    assert json.loads(done.stdout) == here.values.tolist() and np.isfinite(here).all()


def test_the_command_line_has_workers(tiny, capsys, monkeypatch):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in small.SMALL.items()]
    assert cli.main(["sweep", *flags, "--workers=0"]) == 2
    assert capsys.readouterr().err == "error: workers=0: must be a whole number, at least 1\n"
    given = []
    monkeypatch.setattr(cli, "record_sweep", lambda *args: given.append(args) or (rd.sweep(small.config()), True))
    assert cli.main(["record", "--only", "flat-batch", "--workers=3", "--quiet"]) == 0
    assert given[0][0] == "flat-batch" and given[0][-1] == 3
    assert runs.recalled(small.config()) is not None
