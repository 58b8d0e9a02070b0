"""The machine's devices, with stand-ins for those that are not here; what they are called; load and memory."""

import subprocess
from pathlib import Path

import pytest
import torch

from resnet_dynamics import machine

CPU, KINDS = torch.device("cpu"), ("cuda", "xpu", "mps")


@pytest.fixture
def gpus(monkeypatch):
    """Let GPUs be here: kind → (how many, whether its gradients are right). Tensors of them are the CPU's."""

    def be(**kinds):
        real = torch.ones
        monkeypatch.setattr(machine, "counts", lambda: {kind: kinds.get(kind, (0,))[0] for kind in KINDS})
        monkeypatch.setattr(machine, "agrees", lambda device: device.type in ("cpu", "cuda") or kinds[device.type][1])
        monkeypatch.setattr(torch, "ones", lambda *shape, device: real(*shape) if device.type in kinds else real(
            *shape, device=device))  # fmt: skip

    return be


@pytest.mark.parametrize("kinds, picked", [
    (dict(), "cpu"), (dict(mps=(1, True)), "mps"), (dict(mps=(1, True), xpu=(1, True)), "xpu"),
    (dict(cuda=(2, True), xpu=(1, True), mps=(1, True)), "cuda"), (dict(mps=(1, False)), "cpu"),
    (dict(xpu=(1, False), mps=(1, True)), "mps")])  # fmt: skip
def test_the_gpu_is_the_first_that_computes_as_the_cpu_does(gpus, kinds, picked):
    gpus(**kinds)
    assert machine.pick_device() == torch.device(picked)


def test_a_device_that_computes_wrongly_is_not_taken_by_name_either(gpus):
    gpus(mps=(1, False), xpu=(2, True))
    with pytest.raises(ValueError, match="device='mps': must be one whose gradients are those of the CPU, and with "
                                         "torch .* they are not; here are cpu, xpu:0, xpu:1, mps"):
        machine.pick_device("mps")
    assert machine.pick_device("xpu:1") == torch.device("xpu:1")


def test_an_error_names_every_device_that_is_here(gpus):
    gpus(cuda=(2, True), mps=(1, True))
    with pytest.raises(ValueError, match="device='xpu': must be one that torch finds here: cpu, cuda:0, cuda:1, mps$"):
        machine.pick_device("xpu")


def test_devices_are_counted_as_torch_does(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)  # a driver that is too old
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine.counts() == {"cuda": 0, "xpu": 2, "mps": 1} and list(machine.counts()) == list(KINDS)
    assert machine.devices() == ["cpu", "xpu:0", "xpu:1", "mps"]


def wrong_by(factor, wanted="scale"):
    """Return a `_gradients` whose device, if it is no CPU, has one gradient that is wrong."""
    real, names = machine._gradients, ("image", "weight", "scale", "shift")

    def gradients(device):
        found = real(CPU)
        return [g * factor if name == wanted and device != CPU else g for name, g in zip(names, found)]

    return gradients


@pytest.mark.parametrize("factor, wanted, right", [(1.0, "scale", True), (1.001, "shift", True), (1.5, "scale", False),
                                                   (-1.0, "image", False), (torch.nan, "weight", False)])
def test_wrong_gradients_are_noticed(monkeypatch, factor, wanted, right):
    machine.agrees.cache_clear()
    monkeypatch.setattr(machine, "_gradients", wrong_by(factor, wanted))
    assert machine.agrees(torch.device("mps")) is right
    machine.agrees.cache_clear()


def test_a_device_without_an_operator_is_not_taken():
    assert not machine.agrees(torch.device("meta"))
    assert machine.agrees(CPU) and machine.agrees(torch.device("cuda"))


def test_the_gradients_that_are_compared_are_those_of_float64(monkeypatch):
    """And none is so small that a wrong one would be overlooked; whatever the notebook has set."""
    found = machine._gradients(CPU)
    with torch.no_grad(), torch.device("meta"):
        assert all(a.equal(b) for a, b in zip(machine._gradients(CPU), found))
    draw = torch.randn
    monkeypatch.setattr(torch, "randn", lambda *shape, **new: draw(*shape, **new).double())
    for single, double in zip(found, machine._gradients(CPU)):
        assert single.dtype == torch.float32 and double.dtype == torch.float64 and double.abs().max() > 1
        torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("answer, dtype", [(True, torch.bfloat16), (False, torch.float32), (None, torch.float32)])
def test_intels_gpu_is_asked_for_its_precision(monkeypatch, answer, dtype):
    if answer is None:  # an older torch, where the question has no such argument
        monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda: True, raising=False)
    else:
        monkeypatch.setattr(torch.xpu, "is_bf16_supported", lambda including_emulation: answer, raising=False)
    assert machine.precision(torch.device("xpu")) == dtype


def test_apples_gpu_computes_in_float32():
    assert machine.precision(torch.device("mps")) == torch.float32


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_settings_are_those_of_the_device_too(kind, monkeypatch):
    with torch.autocast(kind):
        with machine.Settings(torch.device(kind)):
            assert not torch.is_autocast_enabled(kind) and not torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_enabled(kind)
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: kind == "cpu")  # an older torch
    with machine.Settings(torch.device(kind)):
        assert not torch.is_autocast_enabled("cpu")


# ---------------------------------------------------------------------------------------- what they are called


@pytest.fixture
def mac(monkeypatch):
    """A Mac: no /proc, and a system that knows its chip."""
    machine._sysctl.cache_clear()
    monkeypatch.setattr(machine.Path, "read_text", lambda path: Path("/no such file").open())
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(machine.platform, "processor", lambda: "arm")
    known = {"machdep.cpu.brand_string": "Apple M2 Pro\n"}

    def run(command, **given):
        assert command[:2] == ["sysctl", "-n"] and given["check"]
        return subprocess.CompletedProcess(command, 0, known[command[2]])

    monkeypatch.setattr(machine.subprocess, "run", run)
    yield monkeypatch
    machine._sysctl.cache_clear()


def test_an_apple_chip_is_called_by_its_name(mac):
    mac.setattr(torch, "get_num_threads", lambda: 8)
    assert machine.name_of(torch.device("mps")) == "Apple M2 Pro GPU"
    assert machine.name_of(CPU) == "Apple M2 Pro, 8 threads"


def test_a_mac_that_does_not_say_is_called_what_python_knows(mac):
    mac.setattr(machine.subprocess, "run", lambda *given, **named: Path("/no such file").open())
    mac.setattr(torch, "get_num_threads", lambda: 1)
    assert machine.name_of(torch.device("mps")) == "Apple GPU" and machine.name_of(CPU) == "arm, 1 thread"


def test_gpus_are_called_what_torch_calls_them(monkeypatch):
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda device: f"Intel(R) Arc(TM) {device.index}")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    assert machine.name_of(torch.device("xpu:1")) == "Intel(R) Arc(TM) 1"
    assert machine.name_of(torch.device("cuda")) == "Tesla T4"


def test_linux_names_its_processor(monkeypatch):
    monkeypatch.setattr(machine.Path, "read_text", lambda path: "processor\t: 0\nmodel name\t: AMD EPYC\n\n")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert machine.cpu_name() == "AMD EPYC, 2 threads"


def test_each_kind_of_device_is_waited_for(monkeypatch):
    waited = []
    for module in (torch.cuda, torch.xpu, torch.mps):
        monkeypatch.setattr(module, "synchronize", lambda *device, name=module.__name__: waited.append((name, *device)))
    for name in ("cpu", "cuda:1", "xpu", "mps"):
        machine.wait(torch.device(name))
    assert waited == [("torch.cuda", torch.device("cuda:1")), ("torch.xpu", torch.device("xpu")), ("torch.mps",)]


# ---------------------------------------------------------------------------------------- load, memory


def test_cores_work_for_whoever_it_is(monkeypatch):
    """User, nice, system, two kinds of interrupts and what a hypervisor took count; idle, waiting, guests do not."""
    stat = "cpu  100 20 30 5000 600 7 8 9 50 60\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    monkeypatch.setattr(machine.Path, "read_text", lambda path: stat)
    monkeypatch.setattr(machine.os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name], raising=False)
    assert machine.busy() == pytest.approx((100 + 20 + 30 + 7 + 8 + 9) / 100)


@pytest.mark.parametrize("stat", ["", "cpu  x y\n", None])
def test_a_system_that_does_not_count_says_so(monkeypatch, stat):
    monkeypatch.setattr(machine.Path, "read_text", lambda path: Path("/no such file").open() if stat is None else stat)
    assert machine.busy() is None


def test_the_memory_that_a_function_takes_is_seen():
    held = []
    grown = machine.grown(lambda: held.append(torch.ones(20_000_000)))
    assert held and (grown is None or 79e6 < grown < 120e6)


def test_where_memory_is_not_counted_the_function_is_called_all_the_same(monkeypatch):
    monkeypatch.setattr(machine.Path, "write_text", lambda path, text: Path("/no such file").open())
    called = []
    assert machine.grown(lambda: called.append(1)) is None and called == [1]
