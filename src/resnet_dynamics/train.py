"""The training loop."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import time

import numpy as np
import torch
import torch.nn.functional as F

from . import __version__
from .config import Config
from .console import Bar, say, warn
from .data import Data
from .machine import Settings, memory, name_of, pick_device, precision
from .models import build, conv_layers
from .optim import Scaler
from .recorder import Recorder
from .recording import SEMANTICS, from_products
from .schedules import steps_of
from .starts import settle
from .steering import Rates, learning_rates, make_optimizers

__all__ = [
    "CHECK", "COMPILE", "WARM", "Rates", "Step", "Watch", "earns_compiling", "evaluate", "finish", "fitting",
    "learning_rates", "make_optimizers", "repeatable", "train",
]  # fmt: skip

CHECK = 50  # steps between looks at the loss from the host: progress bar, divergence
WARM = 3  # steps before one is recorded as a graph: cuDNN chooses its kernels, optimizers make their buffers
COMPILE = 1.4e9  # images of all steps, times width, from which on compiling pays


def train(config: Config, *, device=None, filters=False, progress=True, each=None, graph=True, source=None):
    """Train a network and record it.

        for each step t of T:
            λ ← schedule at (t + ½)/S epochs
            loss ← mean cross-entropy of the batch;  g ← ∇loss
            d ← g + αw;  v ← ρv + d;  w ← w − λv         (torch.optim.SGD; others as they say)
            record the inner products of w, g, v_prev, v and Δw in every layer
        after each epoch: loss and accuracy on the test set

    Weights and optimizer are in float32; the network runs under autocast (see `precision`) in channels_last layout.
    The host waits for the device once every 50 steps, to show the loss and to see whether it is still finite. A run
    whose loss is not ends there, as a result: `diverged_at` is the first such step, later values are NaN.

    On a GPU a step is recorded once, as a CUDA graph, and replayed: see `repeatable`.

    In float16 a step whose gradients overflow is left out, by all optimizers: `skipped` is 1 there, what has to do with
    g or d is NaN, and the weights stay. Their number is among the attributes. The host does not wait for that either.

    Nothing of the process reaches into it, and it leaves nothing behind: see `machine.Settings`. If another thread
    changes a setting of torch meanwhile, a warning says so, and `disturbed` is among the attributes. They are looked at
    every 50 steps and at the end.

    On the CPU of one machine, with one number of threads and one precision, the result is the same bit for bit. On a
    GPU, where cuDNN chooses its kernels by their speed, and elsewhere, rounding differs, and training amplifies it.

    Args:
        config: the run.
        device: "cuda", "cpu" ... None takes the GPU if there is one.
        filters: record every output filter as well as every layer. Memory for the baseline at full size: 0.31 GB on
            the device, and on the host 0.34 GB for the series and little more while they are made.
        progress: show what is about to happen, and a progress bar.
        each: called as each(t, so_far) after every step t, counted from 1, and with the same t after every thousand
            images of a test. so_far() returns the recording as it is now: as the one that comes back, NaN after step
            t. It waits for the device, a call without it does not. What `each` raises ends the run, and passes on.
        source: the recording of `config.source`, where there is one: trained before if it is not given.

    Returns:
        (model, recording): the trained network and an xarray.Dataset.

    Raises:
        ValueError: names the value that does not fit the images, or this machine.
    """
    device = pick_device(device)
    if config.source and source is None:
        _, source = train(config.source, device=device, progress=progress, graph=graph)
    with Settings(device) as settings:
        each = each or (lambda t, so_far: None)
        model, ds = _train(config, device, filters, progress, each, graph, settings, source)
        if settings.disturbed():
            warn("a setting of torch that all threads share was changed while this run trained, so it may not be the "
                 "run of its configuration; it is not remembered")  # fmt: skip
            ds.attrs["disturbed"] = 1
    return model, ds


def _train(config, device, filters, progress, each, graph, settings, source):
    data = Data(config, device)
    steps = fitting(config, data)
    epochs = -(-steps // data.steps_per_epoch)
    step = Step(config, data, steps, device, filters, source)
    test = torch.full((2, epochs), torch.nan, dtype=torch.float32, device=device)
    watch = Watch(config, data, device, step.dtype, steps, progress, look=settings.disturbed)

    def so_far():
        return finish(config, step, test, watch, t)

    t, make_step = 0, repeatable(step, device) if graph else step
    with watch:
        watch.announce()
        for epoch in range(epochs):
            data.shuffle()
            step.model.train()
            for _ in range(min(data.steps_per_epoch, steps - t)):
                make_step()
                t += 1
                over = watch(t, step.recorder.loss)
                each(t, so_far)
                if over:
                    break
            if watch.diverged_at >= 0:
                break
            test[:, epoch] = evaluate(step.model, data, device, step.dtype, functools.partial(each, t, so_far))
    return step.model, so_far()


class Step:
    """The step of a run, and all that it moves. Called again and again, it makes one step after another.

    Which one it is (t), λ and α, and the choices of its batch lie on the device, where it reads them and writes its
    series. Nothing of it is a number of Python that changes, and nothing waits for the host, so a GPU can replay it.
    """

    def __init__(self, config: Config, data: Data, steps: int, device, filters=False, source=None):
        self.data, self.device, self.dtype = data, device, precision(device)
        self.model = build(config, len(data.classes)).to(device, memory_format=torch.channels_last)
        if config.init_norms == "equilibrium":
            settle(self.model, data, config)
        self.network = torch.compile(self.model) if earns_compiling(config, steps, device) else self.model
        self.optimizers = make_optimizers(config, self.model)
        convs = conv_layers(self.model)
        self.rates = Rates(config, self.optimizers, data.steps_per_epoch, device, convs, source)
        self.scaler = Scaler(self.optimizers, enabled=self.dtype == torch.float16)
        self.recorder = Recorder(convs, self.optimizers, steps, filters)
        self.t = torch.zeros(1, dtype=torch.int64, device=device)

    def __call__(self):
        x, y = self.data.batch(self.t)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits = self.network(x)
        loss = F.cross_entropy(logits.float(), y)
        self.model.zero_grad()
        self.scaler.scaled(loss).backward()
        skipped = self.scaler.unscale()
        self.rates.set(self.t)
        self.recorder.before()
        for optimizer in self.optimizers:
            optimizer.step()
        self.recorder.after(self.t, loss.detach(), (logits.argmax(1) == y).mean(dtype=torch.float32), skipped)
        self.t.add_(1)


def repeatable(step, device):
    """Return a function that makes the steps of `step`, whatever the device; on a GPU without Python's part.

    There, after three steps as they are, one is recorded as a CUDA graph, its kernels with all their arguments, and
    from then on replayed. What changes from step to step therefore lies in tensors, at places that stay.
    """
    if device.type != "cuda":
        return step
    graph, stream, count = torch.cuda.CUDAGraph(), torch.cuda.Stream(device), itertools.count()

    def make_step():
        n = next(count)
        with torch.cuda.device(device):
            if n < WARM:
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    step()
                torch.cuda.current_stream().wait_stream(stream)
                return
            if n == WARM:
                with torch.cuda.graph(graph, stream=stream):
                    step()  # recorded, not made
            graph.replay()

    return make_step


def earns_compiling(config: Config, steps: int, device) -> bool:
    """Return whether a run on a GPU is so long that compiling its network, about a minute, pays.

    It saves memory traffic between the convolutions: computed, not measured, 120 kB an image and unit of width, or
    4e-8 s at the speed of an H100's memory. A minute is that of 1.4e9 images times width, eighteen runs of the baseline
    at full width. So no run of the book is compiled. On a CPU compiling makes the network slower (0.77 times as fast).
    """
    work = steps * config.batch_size * config.width
    return device.type == "cuda" and work >= COMPILE and importlib.util.find_spec("triton") is not None


def fitting(config: Config, data: Data) -> int:
    """Return the steps of a run, if there is one and this machine's memory holds their recording."""
    steps = steps_of(config, data.steps_per_epoch)
    if steps == 0:
        raise ValueError(f"epochs={config.epochs}: must be at least one step (an epoch has {data.steps_per_epoch})")
    if 1e3 * steps > memory():
        raise ValueError(f"epochs={config.epochs}: must be fewer, {steps:.3g} steps take {1e-6 * steps:.3g} GB or more "
                         f"to record, and this machine has {memory() / 1e9:.3g} GB")  # fmt: skip
    return steps


@torch.no_grad()
def evaluate(model, data, device, dtype, each=lambda: None):
    """Return mean loss and accuracy on the test images, [2], on the device. each() is called after every batch.

    Where the loss is not a number, there is no class that the network would choose, and no accuracy.
    """
    model.eval()
    total = torch.zeros(2, dtype=torch.float32, device=device)
    for x, y in data.test():
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = model(x).float()
        total += torch.stack([F.cross_entropy(logits, y, reduction="sum"), (logits.argmax(1) == y).sum()])
        each()
    return torch.where(total[0].isnan(), torch.nan, total / len(data.test_y))


class Watch(contextlib.AbstractContextManager):
    """Say what is about to happen, show how far it is, and see whether the loss is still finite; and `look`."""

    def __init__(self, config, data, device, dtype, steps, progress, look):
        self.steps, self.progress, self.look = steps, progress, look
        self.what = (
            f"{config.model} of width {config.width} on {data.images.name}: {steps} steps of "
            f"{config.batch_size} images on {device} in {str(dtype).removeprefix('torch.')}"
        )
        self.diverged_at, self.start = -1, time.perf_counter()

    def __enter__(self):
        self.bar = Bar(show=self.progress, total=self.steps, unit="step")
        return self

    def announce(self):
        if self.progress:
            say(f"Training {self.what}.")  # how long it takes is the bar's to say: it is true of this machine alone

    def __call__(self, t, loss):
        """Look after step t (counted from 1); return whether the run has diverged."""
        if t % CHECK and t < self.steps:
            return False
        self.look()
        recent = loss[max(0, t - CHECK) : t].cpu()
        self.bar.update(t - self.bar.n, f"loss {recent[-1]:.3f}")
        bad = (~recent.isfinite()).nonzero()
        if len(bad):
            self.diverged_at = max(0, t - CHECK) + int(bad[0])
        return self.diverged_at >= 0

    def __exit__(self, kind, error, traceback):
        self.bar.close()
        if self.progress and kind is KeyboardInterrupt:
            say("Stopped. Nothing is remembered of this run.")
            error.said = True  # so that the command line does not say it again
        if self.progress and self.diverged_at >= 0:
            say(f"The loss is no longer finite at step {self.diverged_at}: the run ends here, as a result.")


def finish(config, step, test, watch, t):
    """Copy the series to the host, and make the recording of the first t steps."""
    seconds = time.perf_counter() - watch.start
    done = t if watch.diverged_at < 0 else watch.diverged_at
    recorder, data, lr = step.recorder, step.data, step.rates.lr
    ends = np.minimum(data.steps_per_epoch * np.arange(1, test.shape[1] + 1), len(lr))  # steps before each test
    test_loss, test_accuracy = np.where(ends <= done, _host(test), np.nan)
    series = {
        "lr": lr.copy(),
        "loss": _host(recorder.loss),
        "accuracy": _host(recorder.accuracy),
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    if config.optimizer.startswith("lars"):
        series["lars_lr"] = step.rates.lars_lr.copy()
    series["loss"][done + 1 :] = np.nan  # at `done` itself it shows how the run ended
    series["accuracy"][done:] = np.nan
    provenance = {
        "device": name_of(step.device),
        "precision": str(step.dtype).removeprefix("torch."),
        "torch_version": str(torch.__version__),  # TorchVersion is no plain str
        "package_version": __version__,
        "semantics": SEMANTICS,
        "dataset": data.images.name,
        "dataset_digest": data.images.digest,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds, 2),
        "images_per_second": round(config.batch_size * done / seconds, 1),
        "diverged_at": watch.diverged_at,
    }
    if step.dtype == torch.float16:
        series["skipped"] = _host(recorder.skipped)
        series["skipped"][done:] = np.nan
        provenance["skipped"] = int(np.nansum(series["skipped"]))
    per_filter = {name: _OnDevice(products) for name, products in recorder.filter_products.items()}
    ds = from_products(config, recorder.weights, _host(recorder.products), series, provenance, per_filter)
    for name in ds.data_vars:
        if "layer" in ds[name].dims:
            ds[name].values[done:] = np.nan
    return ds


class _OnDevice:
    """A series on the device, of which slices of steps come to the host."""

    def __init__(self, series):
        self.series = series

    def __getitem__(self, steps):
        return _host(self.series[steps])


def _host(tensor) -> np.ndarray:
    """Return a copy on the host, of a tensor that may change."""
    return tensor.cpu().numpy().copy()
