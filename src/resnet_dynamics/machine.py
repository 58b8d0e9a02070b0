"""The machine that trains: its devices, how they compute, and torch's settings while they do."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import threading
from pathlib import Path

import torch


def pick_device(device=None) -> torch.device:
    """Return the device of that name, if this machine has it; for None the GPU if there is one, else the CPU."""
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.ones(1, device=found).item()  # which a device without values ("meta") cannot
    except (RuntimeError, AssertionError, TypeError) as error:  # torch has one for every way of not having it
        has = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ValueError(f"device={device!r}: must be one that torch finds here: {', '.join(has)}") from error
    return found


def precision(device: torch.device) -> torch.dtype:
    """Return the number format of the network's activations: the fastest that the device computes natively.

    bfloat16 where there is hardware for its matrix products (AMX or AVX-512 BF16 on a CPU); float16, with a loss
    scaler, on older GPUs (T4); float32 elsewhere. Where bfloat16 has to be emulated it is slower than float32.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    queries = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # not in every torch
    native = any(getattr(torch.cpu, query, bool)() for query in queries)
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32


def name_of(device: torch.device) -> str:
    """Return the name of the device, as recordings have it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """Return the processor's model and how many threads torch uses."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"


def memory() -> float:
    """Return the bytes of memory of this machine; infinity where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


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
    ("cuda.matmul.allow_bf16_reduced_precision_reduction", True),
)  # fmt: skip


class Settings(contextlib.AbstractContextManager):
    """Inside, torch computes as it does in a fresh process; afterwards its settings are as they were.

    Gradients are on, inference mode and autocast are off, products of float32 are float32. Several threads may be
    inside at once: the first sets what they share, the last sets it back. Other threads compute by the same settings
    meanwhile; what they set themselves is left to them, and then `disturbed()` is true.
    """

    _lock, _inside, _undo = threading.Lock(), 0, None

    def disturbed(self) -> bool:
        """Return whether somebody has changed what all threads share, so that this may not be the run it should be."""
        return _shared_values() != self._began

    def __init__(self, device: torch.device):
        self.device = device

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._shared())
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            for kind in {self.device.type, "cpu"}:
                # No cache: it would keep the weights of the first step until the outermost autocast ends, this one.
                stack.enter_context(torch.autocast(kind, enabled=False, cache_enabled=False))
            if (torch.ones(1, dtype=torch.float32, device="cpu") * 1e-40).item() == 0:  # of this thread alone
                torch.set_flush_denormal(False)
                stack.callback(torch.set_flush_denormal, True)
            self._own = stack.pop_all()
        self._began = _shared_values()
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
