"""The training loop."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm

from . import __version__, theory
from .config import Config
from .data import Data
from .models import build, conv_layers, symmetries
from .optim import LARS
from .recorder import Recorder
from .recording import from_products
from .schedules import rates

CHECK = 50  # steps between looks at the loss from the host: progress bar, divergence
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of glibc's malloc.h


def train(config: Config, *, device=None, filters=False, progress=True, each=None):
    """Train a network and record it.

        for each step t of T:
            λ ← schedule at (t + ½)/S epochs
            loss ← mean cross-entropy of the batch;  g ← ∇loss
            d ← g + αw;  v ← ρv + d;  w ← w − λv         (torch.optim.SGD; Nesterov and LARS as they say)
            record the inner products of w, g, v_prev, v and Δw in every layer
        after each epoch: loss and accuracy on the test set

    Weights and optimizer are in float32; the network runs under autocast (see `precision`) in channels_last layout.
    The host waits for the device once every 50 steps, to show the loss and to see whether it is still finite. A run
    whose loss is not ends there, as a result: `diverged_at` is the first such step, later values are NaN.

    Args:
        config: the run.
        device: "cuda", "cpu" ... None takes the GPU if there is one.
        filters: record every output filter as well as every layer.
        progress: show what is about to happen, and a progress bar.
        each: called as each(t, so_far) after every step t, counted from 1, and with the same t after every thousand
            images of a test. so_far() returns the recording as it is now: as the one that comes back, NaN after step
            t. It waits for the device, a call without it does not. What `each` raises ends the run, and passes on.

    Returns:
        (model, recording): the trained network and an xarray.Dataset.
    """
    device = pick_device(device)
    data = Data(config, device)
    model = build(config, len(data.classes)).to(device, memory_format=torch.channels_last)
    lr, lars_lr = learning_rates(config, data.steps_per_epoch)
    steps, epochs = len(lr), -(-len(lr) // data.steps_per_epoch)
    if steps == 0:
        raise ValueError(f"epochs={config.epochs}: must be at least one step (an epoch has {data.steps_per_epoch})")
    optimizers = make_optimizers(config, model)
    recorder = Recorder(conv_layers(model), optimizers, steps, filters)
    test = torch.full((2, epochs), torch.nan, device=device)
    dtype = precision(device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16, init_scale=2.0**12)
    watch = Watch(config, data, device, dtype, steps, progress)

    each = each or (lambda t, so_far: None)

    def so_far():
        return finish(config, recorder, lr, lars_lr, test, watch, data, dtype, t)

    t = 0
    cudnn = dict(enabled=True, benchmark=True, deterministic=torch.backends.cudnn.deterministic)  # else switched off
    with watch, torch.backends.cudnn.flags(**cudnn), steady_memory(device):
        for epoch in range(epochs):
            model.train()
            for x, y in data.epoch():
                if t == steps:
                    break
                with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                    logits = model(x)
                loss = F.cross_entropy(logits.float(), y)
                model.zero_grad()
                scaler.scale(loss).backward()
                for optimizer in optimizers:
                    scaler.unscale_(optimizer)
                    set_rate(optimizer, lr[t], lars_lr[t])
                recorder.before()
                for optimizer in optimizers:
                    scaler.step(optimizer)
                recorder.after(t, loss.detach(), (logits.argmax(1) == y).float().mean())
                scaler.update()
                t += 1
                over = watch(t, recorder.loss)
                each(t, so_far)
                if over:
                    break
            if watch.diverged_at >= 0:
                break
            test[:, epoch] = evaluate(model, data, device, dtype, functools.partial(each, t, so_far))
    return model, so_far()


@torch.no_grad()
def evaluate(model, data, device, dtype, each=lambda: None):
    """Return mean loss and accuracy on the test images, [2], on the device. each() is called after every batch."""
    model.eval()
    total = torch.zeros(2, device=device)
    for x, y in data.test():
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = model(x).float()
        total += torch.stack([F.cross_entropy(logits, y, reduction="sum"), (logits.argmax(1) == y).sum()])
        each()
    return total / len(data.test_y)


def make_optimizers(config: Config, model) -> list[torch.optim.Optimizer]:
    """Return the optimizers of a run: one SGD, or LARS for normalized convolutions and SGD for the rest."""
    invariant = {name for group in symmetries(model) if group.per_filter for name in group.parameters}
    convs = {
        "params": [p for name, p in model.named_parameters() if name in invariant],
        "weight_decay": config.weight_decay,
    }
    rest = {
        "params": [p for name, p in model.named_parameters() if name not in invariant],
        "weight_decay": config.weight_decay * config.rest_weight_decay_scale,
        "lr_scale": config.rest_lr_scale,
    }
    common = dict(lr=0.0, momentum=config.momentum)
    if not config.optimizer.startswith("lars"):
        return [torch.optim.SGD([convs, rest], nesterov=config.optimizer == "nesterov", **common)]
    return [LARS(convs["params"], per_filter=config.optimizer == "lars-filter", **common),
            torch.optim.SGD([rest], **common)]  # fmt: skip


def learning_rates(config: Config, steps_per_epoch: int):
    """Return λ and λ_LARS of every step, float64 [T] each.

    λ_LARS = √(2λα(1−ρ)), equations (6) and (9); with lars_rate="ode" times √z, the lag of the norms behind the
    schedule, from the master equation with a constant gradient scale and a start in equilibrium.
    """
    lr = rates(config, steps_per_epoch)
    lars_lr = theory.lars_rate(lr, config.weight_decay, config.momentum)
    if config.lars_rate == "ode":
        lars_lr = lars_lr * np.sqrt(theory.master_ode(lr, config.weight_decay, config.momentum))
    return lr, lars_lr


def set_rate(optimizer, lr, lars_lr):
    for group in optimizer.param_groups:
        group["lr"] = float(lars_lr if isinstance(optimizer, LARS) else lr * group.get("lr_scale", 1))


def pick_device(device=None) -> torch.device:
    """Return the device of that name, if this machine has it; for None the GPU if there is one, else the CPU."""
    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=found)
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


class Watch(contextlib.AbstractContextManager):
    """Say what is about to happen, show how far it is, and see whether the loss is still finite."""

    FIRST = 5  # steps that are timed for the announcement; the first of all is slow and not counted

    def __init__(self, config, data, device, dtype, steps, progress):
        self.steps, self.progress = steps, progress
        self.what = (
            f"{config.model} of width {config.width} on {data.images.name}: {steps} steps of "
            f"{config.batch_size} images on {device} in {str(dtype).removeprefix('torch.')}"
        )
        self.diverged_at, self.bar, self.start = -1, None, time.perf_counter()

    def __call__(self, t, loss):
        """Look after step t (counted from 1); return whether the run has diverged."""
        if t == 1:
            self.second_step = time.perf_counter()
        if self.progress and t == min(1 + self.FIRST, self.steps):
            float(loss[t - 1])  # wait for the device
            each = (time.perf_counter() - self.second_step) / max(1, t - 1)
            tqdm.write(f"Training {self.what}, about {duration(each * self.steps)}.")
            self.bar = tqdm(total=self.steps, initial=t, unit="step", dynamic_ncols=True)
        if t % CHECK and t < self.steps:
            return False
        recent = loss[max(0, t - CHECK) : t].cpu()
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {recent[-1]:.3f}", refresh=False)
            self.bar.update(t - self.bar.n)
        bad = (~recent.isfinite()).nonzero()
        if len(bad):
            self.diverged_at = max(0, t - CHECK) + int(bad[0])
        return self.diverged_at >= 0

    def __exit__(self, kind, error, traceback):
        if self.bar is not None:
            self.bar.close()
        if self.progress and kind is KeyboardInterrupt:
            tqdm.write("Stopped. Nothing is remembered of this run.")
            error.said = True  # so that the command line does not say it again
        if self.progress and self.diverged_at >= 0:
            tqdm.write(f"The loss is no longer finite at step {self.diverged_at}: the run ends here, as a result.")


def duration(seconds: float) -> str:
    """Return a length of time in words: "40 s", "12 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def steady_memory(device):
    """Keep freed memory for the next step instead of handing it back to the system, on Linux's CPU.

    A step frees and takes the same hundreds of megabytes again. By default the C library returns large blocks at once,
    and the kernel clears every page anew.
    """
    libc = None
    if device.type == "cpu" and sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(M_MMAP_MAX, 0), libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        if libc is not None:
            libc.mallopt(M_MMAP_MAX, 65536), libc.mallopt(M_TRIM_THRESHOLD, 128 * 1024)
            libc.malloc_trim(0)


def finish(config, recorder, lr, lars_lr, test, watch, data, dtype, t):
    """Copy the series to the host, all at once, and make the recording of the first t steps."""
    seconds = time.perf_counter() - watch.start
    series = {
        "lr": lr,
        "loss": host(recorder.loss),
        "accuracy": host(recorder.accuracy),
        "test_loss": host(test[0]),
        "test_accuracy": host(test[1]),
    }
    if config.optimizer.startswith("lars"):
        series["lars_lr"] = lars_lr
    done = t if watch.diverged_at < 0 else watch.diverged_at
    products = host(recorder.products)
    products[done:] = np.nan
    series["loss"][done + 1 :] = np.nan  # at `done` itself it shows how the run ended
    series["accuracy"][done:] = np.nan
    per_filter = {name: host(p) for name, p in recorder.filter_products.items()}
    for p in per_filter.values():
        p[done:] = np.nan
    device = recorder.products.device
    provenance = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "precision": str(dtype).removeprefix("torch."),
        "torch_version": str(torch.__version__),  # TorchVersion is no plain str
        "package_version": __version__,
        "dataset": data.images.name,
        "dataset_digest": data.images.digest,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds, 2),
        "images_per_second": round(config.batch_size * done / seconds, 1),
        "diverged_at": watch.diverged_at,
    }
    return from_products(config, recorder.weights, products, series, provenance, per_filter)


def host(tensor) -> np.ndarray:
    """Return a copy on the host, of a tensor that may change."""
    return tensor.cpu().numpy().copy()


def cpu_name() -> str:
    """Return the processor's model and how many threads torch uses."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"
