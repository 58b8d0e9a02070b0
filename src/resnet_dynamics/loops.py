"""What `bench` measures, each loop in a process that does nothing else meanwhile."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from . import cache, datasets
from .config import Config
from .data import CUTOUT, PAD, Data
from .machine import Settings, busy, grown, precision, wait
from .models import build, conv_layers
from .recorder import Recorder
from .schedules import steps_of
from .sweep import sweep
from .train import Step, make_optimizers, repeatable, train

__all__ = [
    "OURS", "PLAIN", "SWEEP", "WARM", "Worker", "footprint", "function", "measured", "plain_step", "product",
    "product_size", "series_bytes", "serve", "sliced", "swept", "timed", "training_step", "warmed",
]  # fmt: skip

OURS = ("recorded", "bare", "recorder")  # our step, the same without the recorder, the recorder alone
PLAIN = ("plain", "plain32")  # the loop of cifar10-fast, in half precision in our layout, and in float32 in torch's
SWEEP = 6  # runs of the sweep that is measured
WARM, LEAST = 4, 0.5  # calls before a loop is measured for the first time, and seconds that it is measured


class Worker(contextlib.AbstractContextManager):
    """A process that measures: asked for a loop by name, it answers with what that took.

    It is Python anew and not multiprocessing's, which would run the caller's script a second time. Ctrl-C does not
    reach it: the process that asks decides what is kept. It ends when that one does.
    """

    def __init__(self, device, folder=None):
        given = json.dumps([str(device), torch.get_num_threads()])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore",
                       **({cache.VARIABLE: str(folder)} if folder else {})}  # fmt: skip
        command = [sys.executable, "-c", f"from {__name__} import serve; serve()", given]
        pipe, self.words = subprocess.PIPE, tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.words, text=True, env=environment,
                                        start_new_session=True)  # fmt: skip

    def ask(self, loop: str, config: Config):
        """Return the answer.

        Raises:
            OSError: the process has ended early; the message has its last words.
        """
        with contextlib.suppress(OSError, ValueError):  # it has ended
            self.process.stdin.write(json.dumps([loop, config.as_dict()]) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.words.seek(0)
            last = (self.words.read().strip().splitlines() or ["perhaps for lack of memory"])[-1]
            raise OSError(f"a process of the measurement has ended early: {last}")
        return json.loads(answer)

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()
        self.words.close()


def serve() -> None:
    """Measure what is asked for, a line of JSON each, until nobody asks: what `Worker` runs."""
    device, threads = json.loads(sys.argv[1])
    torch.set_num_threads(threads)
    device = torch.device(device)
    for line in sys.stdin:
        loop, fields = json.loads(line)
        print(json.dumps(measured(loop, Config.from_dict(fields), device)), flush=True)


def measured(loop: str, config: Config, device: torch.device):
    """Return what was asked for: of a loop `timed`, of "memory" `footprint`, of "workers n" one sweep as one call."""
    if loop.startswith("memory"):
        return footprint(config, device, filters=loop == "memory-filters")
    if loop.startswith("workers"):
        datasets.load(config.data)  # they are drawn here, and not while it is measured
        return timed(functools.partial(swept, config, device, int(loop.split()[1])), device, least=0.0)
    with Settings(device):
        return timed(warmed(loop, config, device), device)


@functools.lru_cache(maxsize=len(OURS))
def warmed(loop: str, config: Config, device: torch.device):
    """Return the function that makes a step of the loop of that name, after it has made a few."""
    step = function(loop, config, device)
    for _ in range(WARM):
        step()
    return step


def timed(function, device, least=LEAST) -> dict:
    """Return the mean over at least one call and `least` seconds, with the device idle at both ends.

    "wall" and "cpu", seconds a call; the second is the time that this process and its children have computed.
    "foreign", the number of cores that others kept busy meanwhile; None where the system does not say.
    """
    wait(device)
    before, calls = _clocks(), 0
    while calls == 0 or time.perf_counter() - before[0] < least:
        function()
        calls += 1
        if calls % 10 == 0:
            wait(device)
    wait(device)
    wall, cpu, work = (None if b is None else a - b for a, b in zip(_clocks(), before))
    return {"wall": wall / calls, "cpu": cpu / calls, "foreign": None if work is None else max(work - cpu, 0.0) / wall}


def _clocks():
    children = sum(os.times()[2:4])  # those that have ended
    return time.perf_counter(), time.process_time() + children, busy()


# ------------------------------------------------------------------------------------------ the loops


def function(loop: str, config: Config, device: torch.device):
    """Return the function, without arguments, that makes one step of the loop of that name, as if it were the first."""
    if loop in PLAIN:
        return plain_step(config, device, half=loop == "plain")
    if loop == "matmul":
        return product(device)
    step, _ = training_step(config, device, record=loop != "bare")
    zero = torch.zeros((), device=device)
    return step if loop != "recorder" else lambda: (step.recorder.before(), step.recorder.after(0, zero, zero))


@functools.lru_cache(maxsize=2)
def training_step(config: Config, device: torch.device, record=True):
    """Return (step, T): a function that makes the next step of `train.train`, with or without the recorder."""
    data = Data(config, device)
    steps = steps_of(config, data.steps_per_epoch)
    made = Step(config, data, steps, device)
    made.model.train()
    recorder = made.recorder
    if not record:
        made.recorder = SimpleNamespace(before=lambda: None, after=lambda *given: None)
    make_step, count = repeatable(made, device), itertools.count()

    def step():
        t = next(count) % steps
        if t == 0:
            made.t.zero_()
        if t % data.steps_per_epoch == 0:
            data.shuffle()
        make_step()

    step.model, step.recorder = made.model, recorder
    return step, steps


def plain_step(config: Config, device: torch.device, half: bool):
    """Return a function that makes a step as the loop of cifar10-fast (2018) does.

    The same network, batch size and augmentation as ours, differently organized: the batches are `sliced` on the host
    and moved, there is no autocast, and every parameter is updated by itself. half: all of the network but batch norm
    is in our precision, as there on a GPU, and in our layout, which is the faster one today. Else it is in float32 and
    in torch's default layout.
    """
    dtype = precision(device) if half else torch.float32
    layout = torch.channels_last if half else torch.contiguous_format
    batches = itertools.chain.from_iterable(sliced(config, pin=device.type == "cuda") for _ in itertools.count())
    model = build(config, len(datasets.load(config.data).classes)).to(device, dtype, memory_format=layout).train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.float()
    settings = dict(lr=0.0, momentum=config.momentum, weight_decay=config.weight_decay)
    optimizer = torch.optim.SGD(model.parameters(), foreach=False, nesterov=config.momentum > 0, **settings)

    def step():
        x, y = (tensor.to(device, non_blocking=True) for tensor in next(batches))
        logits = model(x.to(dtype, memory_format=layout))
        loss = F.cross_entropy(logits.float(), y)
        correct = logits.argmax(1) == y  # kept on the device, as there
        model.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), correct

    return step


def sliced(config: Config, pin=False):
    """Yield the batches of one epoch, images float32 [B, 3, H, W] and labels [B], made on the host one by one.

    The images are normalized once. The choices of an epoch are drawn at once. Then each image is cropped, flipped and
    cut out by slices, which copy a row of pixels at a time and so are faster than a gather: one copy an image, into the
    batch itself. pin: in memory from which a GPU can fetch it while the host goes on.
    """
    x, y, size = _normalized(config.data)
    random = np.random.default_rng(config.seed)
    order, n = random.permutation(len(x)), config.batch_size
    rows, columns = random.integers(2 * PAD + 1, size=(2, len(x)))
    holes = random.integers(size - CUTOUT + 1, size=(2, len(x)))
    flips = random.random(len(x)) < 0.5
    choices = np.stack([order, rows, columns, flips, *holes], axis=1)
    for i in range(0, len(x) - n + 1, n):
        batch = torch.empty(n, 3, size, size, dtype=torch.float32, device="cpu", pin_memory=pin)
        for image, (k, row, column, flip, down, right) in zip(batch.numpy(), choices[i : i + n].tolist()):
            window = x[k, :, row : row + size, column : column + size]
            image[:] = window[:, :, ::-1] if flip else window
            image[:, down : down + CUTOUT, right : right + CUTOUT] = 0.0
        yield batch, y[torch.from_numpy(order[i : i + n])]


@functools.lru_cache(maxsize=1)
def _normalized(data: str):
    """Return all images, float32 [N, 3, H + 8, W + 8] with a reflected border, their labels, and H."""
    images = datasets.load(data)
    x = images.train_x.numpy().astype(np.float32)
    x = (x - x.mean((0, 1, 2))) / x.std((0, 1, 2))
    x = np.pad(x, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), "reflect").transpose(0, 3, 1, 2).copy()
    return x, images.train_y, images.train_x.shape[1]


def product(device: torch.device):
    """Return a function that makes a large product of matrices, 2 n³ operations for the n of `product_size`."""
    n = product_size(device)
    a, b = torch.randn(2, n, n, device=device).to(precision(device))
    return functools.partial(torch.mm, a, b, out=torch.empty_like(a))


def product_size(device: torch.device) -> int:
    """Return how large a product of matrices shows what the device can do."""
    return 2048 if device.type == "cpu" else 8192


# ------------------------------------------------------------------------------------------ memory, sweeps


def footprint(config: Config, device: torch.device, filters: bool) -> dict:
    """Return the bytes of a whole run's series on the device, of its recording, and by how much the host grew for it.

    The series lie there from the first step on. So one step of a run is made, and then its recording, as long as the
    whole: NaN after that step. The batch is of two images, as its size does not matter here.
    """
    found = {}

    def look(t, so_far):
        found["grown"] = grown(lambda: found.update(recording=so_far().nbytes))
        raise _Enough

    with contextlib.suppress(_Enough):
        train(config, device=device, filters=filters, progress=False, each=look)
    return {**found, "series": series_bytes(config, filters)}


class _Enough(Exception):
    """The run has shown what it was started for."""


def series_bytes(config: Config, filters: bool) -> int:
    """Return the bytes of all tensors of a recorder that have an entry for each step."""
    model, images = build(config), config.train_images or len(datasets.load(config.data).train_x)
    steps = steps_of(config, images // config.batch_size)
    recorder = Recorder(conv_layers(model), make_optimizers(config, model), steps, filters)
    series = [recorder.products, *recorder.filter_products.values(), recorder.loss, recorder.accuracy, recorder.skipped]
    return sum(each.nbytes for each in series)


_SEEDS = itertools.count()


def swept(config: Config, device: torch.device, workers: int) -> None:
    """Train `SWEEP` runs that nobody has trained, by that many processes."""
    sweep(config, workers=workers, device=str(device), progress=False, seed=list(itertools.islice(_SEEDS, SWEEP)))
