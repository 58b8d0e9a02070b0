"""The training loop."""

from __future__ import annotations

import contextlib
import functools
import time

import numpy as np
import torch
import torch.nn.functional as F

from . import __version__, theory
from .config import Config
from .console import Bar, say, warn
from .data import Data
from .machine import Settings, memory, name_of, pick_device, precision
from .models import build, conv_layers, symmetries
from .optim import LARS
from .recorder import Recorder
from .recording import SEMANTICS, from_products
from .schedules import decays, rates, steps_of

CHECK = 50  # steps between looks at the loss from the host: progress bar, divergence


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

    In float16 a step whose gradients overflow is left out, by all optimizers: `skipped` is 1 there, what has to do with
    g or d is NaN, and the weights stay.

    Nothing of the process reaches into it, and it leaves nothing behind: see `machine.Settings`. If another thread
    changes a setting of torch meanwhile, a warning says so, and `disturbed` is among the attributes.

    On one machine, with one number of threads and one precision, the result is the same bit for bit. Elsewhere rounding
    differs, and training amplifies it.

    Args:
        config: the run.
        device: "cuda", "cpu" ... None takes the GPU if there is one.
        filters: record every output filter as well as every layer. Memory on the host while the recording is made: some
            seven times what the series take, 3.9 GB for the baseline at full size.
        progress: show what is about to happen, and a progress bar.
        each: called as each(t, so_far) after every step t, counted from 1, and with the same t after every thousand
            images of a test. so_far() returns the recording as it is now: as the one that comes back, NaN after step
            t. It waits for the device, a call without it does not. What `each` raises ends the run, and passes on.

    Returns:
        (model, recording): the trained network and an xarray.Dataset.

    Raises:
        ValueError: names the value that does not fit the images, or this machine.
    """
    device = pick_device(device)
    with Settings(device) as settings:
        model, ds = _train(config, device, filters, progress, each or (lambda t, so_far: None))
        if settings.disturbed():
            warn("a setting of torch that all threads share was changed while this run trained, so it may not be the "
                 "run of its configuration; it is not remembered")  # fmt: skip
            ds.attrs["disturbed"] = 1
    return model, ds


def _train(config, device, filters, progress, each):
    data = Data(config, device)
    steps = fitting(config, data)
    epochs = -(-steps // data.steps_per_epoch)
    model = build(config, len(data.classes)).to(device, memory_format=torch.channels_last)
    lr, lars_lr = learning_rates(config, data.steps_per_epoch)
    alpha = np.broadcast_to(decays(config, lr), lr.shape)
    optimizers = make_optimizers(config, model)
    recorder = Recorder(conv_layers(model), optimizers, steps, filters)
    test = torch.full((2, epochs), torch.nan, dtype=torch.float32, device=device)
    dtype = precision(device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16, init_scale=2.0**12)
    watch = Watch(config, data, device, dtype, steps, progress)

    def so_far():
        return finish(config, recorder, lr, lars_lr, test, watch, data, dtype, t)

    t = 0
    with watch:
        watch.announce()
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
                    set_rates(optimizer, lr[t], lars_lr[t], alpha[t])
                skipped = scaler.is_enabled() and overflown(model)
                recorder.before()
                for optimizer in optimizers if not skipped else ():
                    scaler.step(optimizer)
                recorder.after(t, loss.detach(), (logits.argmax(1) == y).float().mean(), skipped)
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


def fitting(config: Config, data: Data) -> int:
    """Return the steps of a run, if there is one and this machine's memory holds their recording."""
    steps = steps_of(config, data.steps_per_epoch)
    if steps == 0:
        raise ValueError(f"epochs={config.epochs}: must be at least one step (an epoch has {data.steps_per_epoch})")
    if 1e3 * steps > memory():
        raise ValueError(f"epochs={config.epochs}: must be fewer, {steps:.3g} steps take {1e-6 * steps:.3g} GB or more "
                         f"to record, and this machine has {memory() / 1e9:.3g} GB")  # fmt: skip
    return steps


def overflown(model) -> bool:
    """Return whether a gradient is not finite. Waits for the device."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    return not all(torch.stack([g.isfinite().all() for g in grads]).tolist())


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
        "weight_decay_scale": config.rest_weight_decay_scale,
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
    alpha = decays(config, lr)
    lars_lr = theory.lars_rate(lr, alpha, config.momentum)
    if config.lars_rate == "ode":
        lars_lr = lars_lr * np.sqrt(theory.master_ode(lr, alpha, config.momentum))
    return lr, lars_lr


def set_rates(optimizer, lr, lars_lr, alpha):
    for group in optimizer.param_groups:
        group["lr"] = float(lars_lr if isinstance(optimizer, LARS) else lr * group.get("lr_scale", 1))
        if "weight_decay" in group:
            group["weight_decay"] = float(alpha * group.get("weight_decay_scale", 1))


class Watch(contextlib.AbstractContextManager):
    """Say what is about to happen, show how far it is, and see whether the loss is still finite."""

    def __init__(self, config, data, device, dtype, steps, progress):
        self.steps, self.progress = steps, progress
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


def finish(config, recorder, lr, lars_lr, test, watch, data, dtype, t):
    """Copy the series to the host, all at once, and make the recording of the first t steps."""
    seconds = time.perf_counter() - watch.start
    done = t if watch.diverged_at < 0 else watch.diverged_at
    ends = np.minimum(data.steps_per_epoch * np.arange(1, test.shape[1] + 1), len(lr))  # steps before each test
    test_loss, test_accuracy = np.where(ends <= done, host(test), np.nan)
    series = {
        "lr": lr,
        "loss": host(recorder.loss),
        "accuracy": host(recorder.accuracy),
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    if config.optimizer.startswith("lars"):
        series["lars_lr"] = lars_lr
    products = host(recorder.products)
    products[done:] = np.nan
    series["loss"][done + 1 :] = np.nan  # at `done` itself it shows how the run ended
    series["accuracy"][done:] = np.nan
    per_filter = {name: host(p) for name, p in recorder.filter_products.items()}
    for p in per_filter.values():
        p[done:] = np.nan
    provenance = {
        "device": name_of(recorder.products.device),
        "precision": str(dtype).removeprefix("torch."),
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
    if dtype == torch.float16:
        series["skipped"] = host(recorder.skipped)
        series["skipped"][done:] = np.nan
        provenance["skipped"] = int(np.nansum(series["skipped"]))
    return from_products(config, recorder.weights, products, series, provenance, per_filter)


def host(tensor) -> np.ndarray:
    """Return a copy on the host, of a tensor that may change."""
    return tensor.cpu().numpy().copy()
