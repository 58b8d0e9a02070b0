"""How fast a training step is on this machine, and what that is worth."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from . import datasets
from .config import Config
from .data import CUTOUT, PAD, Data
from .machine import Settings, name_of, pick_device, precision
from .models import build
from .train import Step, fitting, repeatable

LOOPS = ("recorded", "bare", "recorder", "matmul", "plain")


def bench(config: Config, device=None, rounds: int = 12) -> dict:
    """Measure, in turn and `rounds` times over, everything that `report` speaks of.

    Ours and the plain loop live in a process each, so that neither has the other's memory. Only one of them works at a
    time, and every ratio is taken within a round: other load on the machine, if it lasts longer than a round, hits both
    sides.

    Returns:
        name of the loop → seconds a step, list [rounds]; "flop" of a step, forward and backward; "device", "precision".

    Raises:
        OSError: one of the processes has ended early; the message has its last words.
    """
    if not rounds >= 1:
        raise ValueError(f"rounds={rounds}: must be at least 1")
    device = pick_device(device)
    datasets.expected(config.data)  # says what is wrong with them, here
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_Worker(loops, config, device)) for loops in (LOOPS[:4], LOOPS[4:])]
        seconds = {name: [] for name in LOOPS}
        for i in range(rounds + 1):
            for worker in workers:
                for name in worker.loops:
                    seconds[name] += [worker.ask(name)] if i else [worker.ask(name)][:0]  # the first round warms up
    return seconds | {
        "flop": flop(config),
        "matmul_flop": 2 * matmul_size(device) ** 3,
        "device": name_of(device),
        "precision": str(precision(device)).removeprefix("torch."),
        "config": config,
    }


class _Worker(contextlib.AbstractContextManager):
    """A process with some of the loops: asked for one by name, it answers with seconds a step.

    It is Python anew and not multiprocessing's, which would run the caller's script a second time.
    """

    def __init__(self, loops, config, device):
        self.loops = loops
        given = json.dumps([loops, config.as_dict(), str(device), torch.get_num_threads()])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-c", f"from {__name__} import _work; _work()", given]
        pipe, self.words = subprocess.PIPE, tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self.words, text=True, env=environment)

    def ask(self, name) -> float:
        with contextlib.suppress(OSError, ValueError):  # it has ended
            self.process.stdin.write(f"{name}\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            self.words.seek(0)
            last = (self.words.read().strip().splitlines() or ["perhaps for lack of memory"])[-1]
            raise OSError(f"a process of the measurement has ended early: {last}")
        return float(answer)

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()
        self.words.close()


def report(measured: dict) -> str:
    """Say in words what `bench` has measured: medians over the rounds, and for ratios the range from first to last."""
    config, ms = measured["config"], {name: 1e3 * statistics.median(measured[name]) for name in LOOPS}
    cost = [100 * (a / b - 1) for a, b in zip(measured["recorded"], measured["bare"])]
    own = [100 * a / b for a, b in zip(measured["recorder"], measured["bare"])]
    faster = [a / b for a, b in zip(measured["plain"], measured["recorded"])]
    rate = measured["flop"] / ms["recorded"] / 1e6
    peak = measured["matmul_flop"] / ms["matmul"] / 1e6
    share = [
        100 * measured["flop"] / a / (measured["matmul_flop"] / b)
        for a, b in zip(measured["recorded"], measured["matmul"])
    ]
    lines = {
        "network": f"{config.model} of width {config.width}, batches of {config.batch_size}, {config.optimizer}",
        "hardware": f"{measured['device']}; torch {torch.__version__}, {measured['precision']}",
        "step": f"{ms['recorded']:.4g} ms with the recorder, {ms['bare']:.4g} ms without",
        "recorder": f"{_spread(cost, '.1f')} % of a step by their difference, {_spread(own, '.1f')} % measured alone",
        "throughput": f"{1e3 * config.batch_size / ms['recorded']:,.0f} images/s, with the recorder",
        "arithmetic": f"{measured['flop'] / 1e9:,.4g} GFLOP a step at {rate:,.4g} GFLOP/s: {_spread(share, '.0f')} % "
        f"of the {peak:,.4g} GFLOP/s of a large matrix product",
        "plain loop": f"{ms['plain']:.4g} ms a step in float32, NCHW, its images transformed one by one on the host; "
        f"ours is {_spread(faster, '.2f')} times as fast",
        "numbers": f"medians of {len(cost)} rounds; in brackets the range of the rounds",
    }
    return "\n".join(f"{name:11} {text}" for name, text in lines.items())


def _spread(values, form) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def estimate(config: Config, device=None, data=None) -> float:
    """Return about how many seconds a run would take, from a few of its steps; `data` is that of `runs.record`."""
    device = pick_device(device)
    with datasets.standing_in(data), Settings(device):
        step, steps = training_step(config, device)
        for _ in range(3):
            step()
        seconds = _timed(step, device)
    return 1.1 * steps * seconds  # the test after each epoch is a tenth of the work or less


def flop(config: Config) -> int:
    """Return the floating-point operations of one step, forward and backward, a multiplication and an addition each."""
    model = build(config).to("meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(config.batch_size, 3, 32, 32, device="meta")).sum().backward()
    return counter.get_total_flops()


def matmul_size(device) -> int:
    return 8192 if device.type == "cuda" else 2048


# ------------------------------------------------------------------------------------------ the loops


def training_step(config: Config, device: torch.device):
    """Return (step, T): a function that makes the next step of `train.train`, with or without the recorder."""
    data = Data(config, device)
    steps = fitting(config, data)
    made = Step(config, data, steps, device)
    made.model.train()
    recorder, nothing = made.recorder, SimpleNamespace(before=lambda: None, after=lambda *given: None)
    make_step = {record: repeatable(made, device) for record in (True, False)}
    count = itertools.count()

    def step(record=True):
        t = next(count) % steps
        if t == 0:
            made.t.zero_()
        if t % data.steps_per_epoch == 0:
            data.shuffle()
        made.recorder = recorder if record else nothing
        make_step[record]()

    step.model, step.recorder = made.model, recorder
    return step, steps


def plain_step(config: Config, device: torch.device):
    """Return a function that makes a step as the loop of cifar10-fast (2018) does, in float32.

    The same network, batch size and augmentation as ours, differently organized: the images are normalized once and
    kept in host memory as float32 NCHW, a DataLoader fetches and transforms them one by one in Python, the network
    runs in the default layout without autocast, and every parameter is updated by itself.
    """
    images = datasets.load(config.data)
    x = images.train_x.numpy().astype(np.float32)
    x = (x - x.mean((0, 1, 2))) / x.std((0, 1, 2))
    x = np.pad(x, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)), "reflect").transpose(0, 3, 1, 2).copy()
    y, size = images.train_y.numpy(), images.train_x.shape[1]
    random = np.random.default_rng(config.seed)

    class Transformed(torch.utils.data.Dataset):
        def __len__(self):
            return len(x)

        def __getitem__(self, i):
            row, column = random.integers(2 * PAD + 1, size=2)
            image = x[i, :, row : row + size, column : column + size]
            image = image[:, :, ::-1].copy() if random.random() < 0.5 else image.copy()
            row, column = random.integers(size - CUTOUT + 1, size=2)
            image[:, row : row + CUTOUT, column : column + CUTOUT] = 0.0
            return image, y[i]

    loader = torch.utils.data.DataLoader(Transformed(), config.batch_size, shuffle=True, drop_last=True)
    model = build(config, len(images.classes)).to(device).train()
    settings = dict(lr=0.0, momentum=config.momentum, weight_decay=config.weight_decay)
    optimizer = torch.optim.SGD(model.parameters(), foreach=False, nesterov=config.momentum > 0, **settings)
    batches = itertools.chain.from_iterable(loader for _ in itertools.count())

    def step():
        x, y = (tensor.to(device) for tensor in next(batches))
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        correct = logits.argmax(1) == y  # kept on the device, as there
        model.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), correct

    return step


def _work():
    """The process of one side: measure what is asked for, a name a line, until nobody asks."""
    loops, fields, device, threads = json.loads(sys.argv[1])
    torch.set_num_threads(threads)
    config, device = Config.from_dict(fields), torch.device(device)
    with Settings(device), contextlib.suppress(KeyboardInterrupt):
        if "plain" in loops:
            tasks = {"plain": plain_step(config, device)}
        else:
            step, _ = training_step(config, device)
            a, b = torch.randn(2, matmul_size(device), matmul_size(device), device=device).to(precision(device))
            out = torch.empty_like(a)
            zero = torch.zeros((), device=device)
            tasks = {
                "recorded": step,
                "bare": lambda: step(record=False),
                "recorder": lambda: (step.recorder.before(), step.recorder.after(0, zero, zero)),
                "matmul": lambda: torch.mm(a, b, out=out),
            }
        for line in sys.stdin:
            print(_timed(tasks[line.strip()], device), flush=True)


def _timed(function, device, least=0.2) -> float:
    """Return seconds a call: the mean of at least one call and `least` seconds, with the device idle at both ends."""

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    wait()
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < least:
        function()
        calls += 1
        if calls % 10 == 0:
            wait()
    wait()
    return (time.perf_counter() - begin) / calls
