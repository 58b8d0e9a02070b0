"""Nothing of the process reaches into a run, and a run leaves the process as it was."""

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import small
import torch

import resnet_dynamics as rd
from resnet_dynamics.machine import Settings
from resnet_dynamics.models import build
from resnet_dynamics.train import train

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    small.use(monkeypatch)


@pytest.fixture(scope="module")
def alone():
    with pytest.MonkeyPatch.context() as monkeypatch:
        small.use(monkeypatch)
        return trained()


def trained(**changes):
    model, ds = train(small.config(momentum=0.9, **changes), device="cpu", progress=False)
    return ds.drop_attrs() if hasattr(ds, "drop_attrs") else ds, model.state_dict()


def same(one, other):
    return one[0].equals(other[0]) and all(a.equal(b) for a, b in zip(one[1].values(), other[1].values()))


@contextlib.contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def low_precision():
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def low_precision_as_newer_versions_have_it():
    if not hasattr(torch.backends, "fp32_precision"):
        pytest.skip("an older torch")
    torch.backends.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision = "tf32", "bf16"
    try:
        yield
    finally:
        torch.backends.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"


@contextlib.contextmanager
def no_denormals():
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def no_mkldnn():
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = True


@contextlib.contextmanager
def anomalies():
    with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
        yield


@contextlib.contextmanager
def numpy_raises():
    with np.errstate(all="raise"):
        yield


SETTINGS = [
    default_device, default_dtype, low_precision, low_precision_as_newer_versions_have_it, no_denormals, no_mkldnn,
    torch.no_grad, torch.inference_mode, anomalies, numpy_raises,
    lambda: torch.autocast("cpu", torch.bfloat16), lambda: torch.device("meta"),
]  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.__name__)
def test_a_run_is_bitwise_the_one_without_a_setting(alone, setting):
    with setting():
        before = state()
        inside = trained()
        assert state() == before, "the setting is as it was"
    assert same(inside, alone)


def state():
    """All settings of torch that can be asked for."""
    found = {"grad": torch.is_grad_enabled(), "inference": torch.is_inference_mode_enabled(),
             "dtype": torch.get_default_dtype(), "autocast": torch.is_autocast_enabled("cpu"),
             "cache": torch.is_autocast_cache_enabled(), "threads": torch.get_num_threads(),
             "deterministic": torch.are_deterministic_algorithms_enabled(),
             "anomalies": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
             "environment": dict(os.environ)}  # fmt: skip
    backends = torch.backends
    for place in (backends, backends.cudnn, backends.mkldnn, backends.cuda.matmul, *(
            part for backend in (backends.cudnn, backends.mkldnn) for name in ("conv", "matmul", "rnn")
            if (part := getattr(backend, name, None)) is not None)):  # fmt: skip
        for name in ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32", "fp32_precision",
                     "allow_bf16_reduced_precision_reduction", "allow_fp16_reduced_precision_reduction",
                     "allow_fp16_accumulation"):  # fmt: skip
            with contextlib.suppress(RuntimeError):  # old and new settings mixed
                found[f"{place}.{name}"] = getattr(place, name, None)
    return found


@pytest.mark.parametrize("setting", [anomalies, numpy_raises], ids=lambda setting: setting.__name__)
@pytest.mark.parametrize("changes", [dict(lr=1e4, schedule="constant"), dict(init_scale=1e30)], ids=str)
def test_what_watches_for_numbers_that_are_not_finite_does_not_see_a_run(setting, changes):
    """A run that diverges is a result there, too, and one whose |w|² is beyond float32."""
    with setting():
        before = state()
        _, ds = train(small.config(epochs=30, momentum=0.0, **changes), device="cpu", progress=False)
        assert state() == before
    assert not np.isfinite(ds.w2).all() and (ds.attrs["diverged_at"] > 0) == ("lr" in changes)


def test_half_precision_is_added_up_as_in_a_fresh_process():
    place = torch.backends.cuda.matmul
    if not hasattr(place, "allow_fp16_accumulation"):
        pytest.skip("an older torch")
    place.allow_fp16_accumulation = True
    try:
        with Settings(CPU):
            assert not place.allow_fp16_accumulation
        assert place.allow_fp16_accumulation
    finally:
        place.allow_fp16_accumulation = False


def test_settings_are_given_back_when_a_run_fails():
    with low_precision():
        before = state()
        with pytest.raises(ZeroDivisionError), Settings(CPU):
            assert state() != before
            raise ZeroDivisionError
        assert state() == before


def test_two_trainings_at_once_give_back_what_the_first_found():
    with low_precision():
        before = state()
        first, second = Settings(CPU), Settings(CPU)
        inside, go = threading.Event(), threading.Event()

        def other():
            with second:
                inside.set()
                go.wait(10)

        thread = threading.Thread(target=other)
        with first:
            during = state()
            thread.start()
            inside.wait(10)
        assert {k: v for k, v in state().items() if "precision" in k} == {
            k: v for k, v in during.items() if "precision" in k}, "the second is still inside"  # fmt: skip
        go.set()
        thread.join()
        assert state() == before


def test_a_setting_that_changes_meanwhile_is_said_and_left(monkeypatch, tmp_path):
    """Press Train, run the next cell: what that sets is the reader's, and the run is not remembered."""
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path))

    def change(t, so_far):
        torch.set_float32_matmul_precision("medium")

    before = torch.backends.mkldnn.matmul.fp32_precision if hasattr(torch.backends, "fp32_precision") else None
    try:
        with pytest.warns(UserWarning, match="was changed while this run trained") as warned:
            ds = rd.run(small.config(), device="cpu", progress=False, each=change)
        assert len(warned) == 1 and ds.attrs["disturbed"] == 1 and not list(tmp_path.rglob("*.nc"))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
        if before is not None:
            torch.backends.mkldnn.matmul.fp32_precision = before


def test_a_setting_that_is_changed_back_meanwhile_is_said_too():
    """For as long as it takes to look: 50 steps."""
    def change(t, so_far):
        torch.set_num_threads(2 if 40 <= t < 60 else 1)

    with pytest.warns(UserWarning, match="was changed while this run trained"):
        _, ds = train(small.config(epochs=13), device="cpu", progress=False, each=change)
    assert ds.attrs["disturbed"] == 1 and torch.get_num_threads() == 1


def test_weights_are_those_of_the_seed_whatever_another_thread_draws():
    """And they are those that torch's own generator would give, which is left alone."""
    config, over = rd.Config(width=8, seed=7), threading.Event()
    torch.manual_seed(7)
    expected = rd.models.ResNet9("resnet9", 8).state_dict()
    torch.manual_seed(1)
    ours = torch.get_rng_state()

    def draw():
        while not over.is_set():
            torch.randn(1000)
            torch.manual_seed(0)

    for model in ("resnet9", "resnet18", "vgg11"):
        parameters = list(build(config.replace(model=model)).parameters())
        assert all(p.dtype == torch.float32 and p.requires_grad for p in parameters)
    assert torch.get_rng_state().equal(ours)
    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _ in range(20):
            model = build(config)
            assert all(w.equal(expected[name]) for name, w in model.state_dict().items())
    finally:
        over.set()
        thread.join()


def test_a_run_beside_a_thread_that_draws_is_the_run(alone):
    over = threading.Event()

    def draw():
        while not over.wait(1e-3):
            torch.randn(1000)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        assert all(same(trained(), alone) for _ in range(4))
    finally:
        over.set()
        thread.join()


MALLOC = """
import sys
sys.path[:0] = %r
import resource, numpy as np, small
from resnet_dynamics.train import train
small.use()
x = np.ones(200_000)

def faults():  # pages that 200 rounds on arrays of 1.6 MB take anew
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        (x + 1) * 2
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin

faults()
before = faults()
train(small.config(), device="cpu", progress=False)
faults()
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_the_memory_of_the_process_works_as_before():
    code = MALLOC % [str(Path(__file__).parent), str(Path(rd.__file__).parents[1])]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after <= before + 2000, (before, after)  # 400 pages an array, if each is taken from the system anew
