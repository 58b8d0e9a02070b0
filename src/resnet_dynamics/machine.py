"""The machine that trains: its devices, how they compute, what they are called; and torch's settings while they do.

All recordings of the package were made on CPUs; for CUDA there are tests that need one. XPU (Intel's GPUs) and MPS
(Apple's) were not at hand: what is here of them is from torch's documentation and tested with stand-ins, and `agrees`
asks such a device before it is used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import subprocess
import threading
from pathlib import Path

import torch
import torch.nn.functional as F

__all__ = [
    "Settings", "agrees", "busy", "counts", "cpu_name", "devices", "duration", "grown", "memory", "name_of",
    "pick_device", "precision", "wait",
]  # fmt: skip


def pick_device(device=None) -> torch.device:
    """Return the device of that name, if this machine has it; for None its GPU if there is one, else the CPU.

    Where there are several, the GPU is CUDA (torch's name for AMD's, too), else XPU (Intel's), else MPS (Apple's). One
    of the last two is taken only if its gradients are those of the CPU, see `agrees`.

    Raises:
        ValueError: there is no such device here, or it does not compute as the CPU does; the devices here are named.
    """
    gpus = (kind for kind, count in counts().items() if count and agrees(torch.device(kind)))
    try:
        found = torch.device(next(gpus, "cpu") if device is None else device)
        torch.ones(1, device=found).item()  # which a device without values ("meta") cannot
    except (RuntimeError, AssertionError, TypeError) as error:  # torch has one for every way of not having it
        raise ValueError(f"device={device!r}: must be one that torch finds here: {', '.join(devices())}") from error
    if not agrees(found):
        raise ValueError(f"device={device!r}: must be one whose gradients are those of the CPU, and with torch "
                         f"{torch.__version__} they are not; here are {', '.join(devices())}")  # fmt: skip
    return found


def counts() -> dict[str, int]:
    """Return kind of GPU → how many torch finds here, in the order in which they are picked."""
    return {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "xpu": torch.xpu.device_count() if torch.xpu.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }


def devices() -> list[str]:
    """Return the names of the devices here, as `pick_device` takes them."""
    found = counts()
    several = [f"{kind}:{i}" for kind in ("cuda", "xpu") for i in range(found[kind])]
    return ["cpu", *several, *["mps"] * found["mps"]]


@functools.cache
def agrees(device: torch.device) -> bool:
    """Return whether the device finds the CPU's gradients, within 1 %. CPU and CUDA are taken at their word.

    The others are asked once a process, in a fraction of a second. There are versions of torch in which MPS gives wrong
    gradients of batch norm in the layout of our training, without an error (pytorch/pytorch#175189).
    """
    if device.type in ("cpu", "cuda"):
        return True
    try:
        found, expected = _gradients(device), _gradients(torch.device("cpu"))
    except (RuntimeError, TypeError):  # an operator, or a type of numbers, that it does not have
        return False
    return all((a - b).abs().max() <= 0.01 * b.abs().max() for a, b in zip(found, expected))


def _gradients(device):
    """Return on the CPU the gradients by image, weight, scale and shift of what our networks are made of."""
    random = torch.Generator("cpu").manual_seed(0)
    new = dict(generator=random, dtype=torch.float32, device="cpu")
    with Settings(device):
        x, weight = (torch.randn(shape, **new).to(device, memory_format=torch.channels_last).requires_grad_()
                     for shape in ((8, 3, 8, 8), (16, 3, 3, 3)))  # fmt: skip
        scale, shift = (torch.randn(16, **new).to(device).requires_grad_() for _ in range(2))
        y = F.batch_norm(F.conv2d(x, weight, padding=1), None, None, scale, shift, training=True)
        F.max_pool2d(F.relu(y), 2).pow(2).sum().backward()
        return [leaf.grad.cpu() for leaf in (x, weight, scale, shift)]


def precision(device: torch.device) -> torch.dtype:
    """Return the number format of the network's activations: the fastest that the device computes natively.

    bfloat16 where there is hardware for it (AMX or AVX-512 BF16 on a CPU); float16, with a loss scaler, on older CUDA
    GPUs (T4); float32 elsewhere. Where bfloat16 has to be emulated it is slower than float32.

    MPS computes in float32. Not all of Apple's GPUs have bfloat16, and in float16 the scaler needs more than older
    versions of torch can do there (pytorch/pytorch#142397). Weights and recordings are float32 on every device, and
    nothing of a run is float64 on a GPU: MPS has none.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    native = {"cpu": _cpu_has_bf16, "xpu": _xpu_has_bf16}.get(device.type, bool)()
    return torch.bfloat16 if native else torch.float32


def _cpu_has_bf16() -> bool:
    queries = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # not in every torch
    return any(getattr(torch.cpu, query, bool)() for query in queries)


def _xpu_has_bf16() -> bool:
    with contextlib.suppress(AttributeError, TypeError):  # an older torch cannot be asked
        return torch.xpu.is_bf16_supported(including_emulation=False)
    return False


def name_of(device: torch.device) -> str:
    """Return the name of the device, as recordings have it: "Tesla T4", "Apple M2 Pro GPU", "AMD EPYC, 2 threads"."""
    if device.type == "mps":
        return f"{_sysctl('machdep.cpu.brand_string') or 'Apple'} GPU"  # it is on the chip of the processor
    return getattr(torch, device.type).get_device_name(device) if device.type != "cpu" else cpu_name()


def cpu_name() -> str:
    """Return the processor's model and how many threads torch uses."""
    threads = torch.get_num_threads()
    return f"{_cpu_model()}, {threads} thread{'s' if threads > 1 else ''}"


def _cpu_model() -> str:
    """What Linux and macOS call the processor; elsewhere, or where they do not say, what Python does."""
    lines = []
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    linux = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return linux or _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


@functools.cache
def _sysctl(name: str) -> str:
    """Return what macOS knows under that name; "" elsewhere."""
    if platform.system() != "Darwin":
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["sysctl", "-n", name]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return ""


def wait(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "mps":
        torch.mps.synchronize()
    elif device.type != "cpu":
        getattr(torch, device.type).synchronize(device)


def memory() -> float:
    """Return the bytes of memory of this machine; infinity where the system does not say.

    A GPU of Apple shares it. Of another one's own memory nothing is said: torch raises where it is full.
    """
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def grown(function) -> int | None:
    """Call the function; return by how many bytes this process grew at most meanwhile, None where Linux is not there.

    What it had freed before, and fills again, does not count: so it is what the process could not do without.
    """
    status, page = Path("/proc/self/status"), "VmHWM:"
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the highest is the present one
        before = status.read_text()
    except OSError:
        function()
        return None
    function()
    kilobytes = [int(text.split(page)[1].split()[0]) for text in (before, status.read_text())]
    return 1024 * (kilobytes[1] - kilobytes[0])


def busy() -> float | None:
    """Return for how many seconds this machine's cores have worked since it was started, for whoever it was.

    The cores of two moments' difference, less one's own `time.process_time`, are foreign load. Time that a hypervisor
    gave to other machines counts as work. None where the system does not say; only Linux does.
    """
    try:
        user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
        return (user + nice + system + sum(rest[:3])) / os.sysconf("SC_CLK_TCK")  # interrupts of two kinds, and stolen
    except (OSError, ValueError):
        return None


def duration(seconds: float) -> str:
    """Return a length of time in words: "40 s", "12 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# torch's settings, which all threads of a process share: what a run needs, whatever the notebook has set. What a torch
# does not have is passed over. The order matters: a more general precision is first set to "none", so that the special
# ones show what they are themselves.
_SETTINGS = (
    ("fp32_precision", "none"), ("cudnn.fp32_precision", "none"), ("mkldnn.fp32_precision", "none"),
    ("cuda.matmul.fp32_precision", "ieee"), ("mkldnn.matmul.fp32_precision", "ieee"),
    ("mkldnn.conv.fp32_precision", "ieee"), ("cudnn.conv.fp32_precision", "tf32"),
    ("cudnn.enabled", True), ("cudnn.benchmark", True), ("mkldnn.enabled", True),
    ("cuda.matmul.allow_fp16_reduced_precision_reduction", True),
    ("cuda.matmul.allow_bf16_reduced_precision_reduction", True), ("cuda.matmul.allow_fp16_accumulation", False),
)  # fmt: skip


class Settings(contextlib.AbstractContextManager):
    """Inside, torch computes as it does in a fresh process; afterwards its settings are as they were.

    Gradients are on, inference mode and autocast are off, products of float32 are float32. Several threads may be
    inside at once: the first sets what they share, the last sets it back. Other threads compute by the same settings
    meanwhile; what they set themselves is left to them, and then `disturbed()` is true.
    """

    _lock, _inside, _undo = threading.Lock(), 0, None

    def disturbed(self) -> bool:
        """Return whether somebody has changed what all threads share, so that this may not be the run it should be.

        What is changed back before anybody asks is not noticed; what was noticed once stays so.
        """
        self._disturbed = self._disturbed or _shared_values() != self._began
        return self._disturbed

    def __init__(self, device: torch.device):
        self.device = device

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._shared())
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            for kind in filter(torch.amp.is_autocast_available, {self.device.type, "cpu"}):
                # No cache: it would keep the weights of the first step until the outermost autocast ends, this one.
                stack.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
            if (torch.ones(1, dtype=torch.float32, device="cpu") * 1e-40).item() == 0:  # of this thread alone
                torch.set_flush_denormal(False)
                stack.callback(torch.set_flush_denormal, True)
            self._own = stack.pop_all()
        self._began, self._disturbed = _shared_values(), False
        return self

    def __exit__(self, *error):
        return self._own.__exit__(*error)

    @contextlib.contextmanager
    def _shared(self):
        with self._lock:
            if Settings._inside == 0:
                Settings._undo = _fresh()
            Settings._inside += 1
        try:
            yield
        finally:
            with self._lock:
                Settings._inside -= 1
                if Settings._inside == 0:
                    Settings._undo()


def _fresh():
    """Give torch its settings; return the function that gives it back those that it had."""
    undo = contextlib.ExitStack()
    if not hasattr(torch.backends, "fp32_precision"):  # an older torch, which has this instead
        undo.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision("highest")
    if torch.is_anomaly_enabled():  # it would raise where a run diverges
        undo.callback(torch.autograd.set_detect_anomaly, True, torch.is_anomaly_check_nan_enabled())
        torch.autograd.set_detect_anomaly(False)
    for path, value in _SETTINGS:
        *folders, name = path.split(".")
        with contextlib.suppress(AttributeError, RuntimeError):  # not in this torch, or old and new settings mixed
            place = functools.reduce(getattr, folders, torch.backends)
            had = getattr(place, name)
            if had != value and {had, value} != {"none", "ieee"}:  # which are the same
                setattr(place, name, value)
                undo.callback(_give_back, place, name, value, had)
    return undo.close


def _give_back(place, name, ours, theirs):
    """Set what somebody had set, unless it is no longer ours."""
    with contextlib.suppress(AttributeError, RuntimeError):
        if getattr(place, name) == ours:
            setattr(place, name, theirs)


def _shared_values() -> list:
    """The settings of torch that all threads share and that enter a run; None where torch will not say."""
    found = [torch.get_num_threads()]
    for path, _ in _SETTINGS:
        try:
            found.append(functools.reduce(getattr, path.split("."), torch.backends))
        except (AttributeError, RuntimeError):
            found.append(None)
    return found
