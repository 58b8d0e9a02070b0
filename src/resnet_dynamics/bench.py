"""How fast a training step is on this machine, and what that is worth."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import platform
import statistics
import tempfile
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from . import __version__, datasets
from .config import Config
from .console import Bar
from .loops import OURS, PLAIN, SWEEP, WARM, Worker, product_size, series_bytes, timed, training_step
from .machine import Settings, cpu_name, memory, name_of, pick_device, precision
from .models import build

__all__ = [
    "bench", "conditions", "estimate", "flop", "load", "made", "missing", "ratios", "report", "rounds_of", "spread",
]  # fmt: skip

FORMAT = 1  # of what `bench` returns
WIDTHS, BATCHES = (8, 16, 64), (64, 128, 256, 512)  # of the table of costs
REPEATS = 3  # at least, of what is kept
QUIET = 0.1  # cores kept busy by others, from which on it is said
SHARE = 0.4  # of the time, at most, for the loops of one configuration
CIFAR10 = 50_000  # images, for the length of the recordings whose memory is measured


def bench(config: Config, device=None, *, rounds: int = 5, minutes: float = 5.0, progress=True) -> dict:
    """Measure what `report` speaks of, in so many minutes: what does not fit in is left out, and said.

    1. The loops of `loops.OURS` and `loops.PLAIN`, in turn and `rounds` times over. Ours, the product and each plain
       one live in a process of their own: a loop is slower in memory that another one has left. Only one works at a
       time, and every ratio is taken within a round: other load, if it lasts longer than a round, hits both sides.
    2. The memory of recordings of all steps, of the layers and of every filter.
    3. The same sweep by one process and by two.
    4. A step of other widths and batch sizes, recorded and plain.

    One round at least of the first part is made whatever the minutes. Ctrl-C ends the measurement after it, and what
    was measured comes back, with "finished" false.

    What else computes on a GPU is not noticed.

    Returns:
        A dictionary that JSON can hold. "made": where, when and with what. "clock": "cpu" where one thread of a CPU
        computes, since its own seconds are those that it would need on an idle machine; else "wall". "loops": name →
        {"wall", "cpu": seconds a step, "foreign": cores that others kept busy}, lists [rounds]. "cost": the same of
        each width and batch size. "memory", "sweeps": lists of rows. "left_out": what the time did not allow.

    Raises:
        ValueError: a value that is not allowed, or a device that is not here.
        OSError: one of the processes has ended early; the message has its last words.
    """
    if not rounds >= 1:
        raise ValueError(f"rounds={rounds}: must be at least 1")
    if not 0 <= minutes < float("inf"):
        raise ValueError(f"minutes={minutes}: must be a number, 0 or more")
    device = pick_device(device)
    datasets.expected(config.data)  # says what is wrong with them, here
    bench, form = _Bench(config, device, rounds, 60 * minutes), "{l_bar}{bar}| {n_fmt}/{total_fmt} s{postfix}"
    with bench, Bar(show=progress, total=round(60 * minutes), bar_format=form) as bench.bar:
        try:
            for part in (bench.loops, bench.memory, bench.sweeps, bench.costs):
                part()
        except KeyboardInterrupt:
            if not rounds_of(bench.measured["loops"]):
                raise
        else:
            bench.measured["finished"] = True
    return bench.measured


class _Bench(contextlib.ExitStack):
    """A measurement under way: what is known, the time that is left, the processes that measure."""

    def __init__(self, config, device, rounds, seconds):
        super().__init__()
        self.config, self.device, self.rounds = config, device, rounds
        self.begin, self.seconds = time.monotonic(), seconds
        half = precision(device) != torch.float32
        self.plain = PLAIN if half else PLAIN[1:]
        self.measured = {
            "format": FORMAT,
            "made": made(device),
            "clock": "cpu" if device.type == "cpu" and torch.get_num_threads() == 1 else "wall",
            "config": config.as_dict(),
            "flop": flop(config),
            "product_flop": 2 * product_size(device) ** 3,
            "loops": {},
            "memory": [],
            "sweeps": [],
            "cost": [],
            "left_out": [],
            "finished": False,
        }

    def __enter__(self):
        self.workers = self.enter_context(self.processes(OURS, "matmul", *self.plain))
        return self

    @contextlib.contextmanager
    def processes(self, *families):
        """Give loop → process, one process for each loop or tuple of loops."""
        with contextlib.ExitStack() as stack:
            pairs = [((f,) if isinstance(f, str) else f, stack.enter_context(Worker(self.device))) for f in families]
            yield {loop: worker for family, worker in pairs for loop in family}

    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.begin)

    def ask(self, loop, config, worker):
        past = min(time.monotonic() - self.begin, self.seconds)
        self.bar.update(int(past) - self.bar.n, f"width {config.width}, N = {config.batch_size}: {loop}")
        return worker.ask(loop, config)

    def fits(self, what, seconds, bytes=0.0) -> bool:
        """Return whether there is time and memory for it; if not, it is said at the end."""
        lacks = "time" if seconds > self.left() else "memory" if bytes > memory() / 2 else ""
        if lacks:
            self.measured["left_out"].append(f"{what} ({lacks})")
        return not lacks

    def alternate(self, table, workers, config, rounds, until=0.0):
        """Fill a table, loop → clock → list: each loop in turn, a round at a time.

        It ends early where another round would take longer than there is time until `until` seconds are left, but not
        before `REPEATS` rounds, if there is any time for them.
        """
        table |= {loop: {"wall": [], "cpu": [], "foreign": []} for loop in workers}
        for i in range(rounds):
            begin = time.monotonic()
            answers = {loop: self.ask(loop, config, worker) for loop, worker in workers.items()}
            took = time.monotonic() - begin
            for loop, answer in answers.items():
                for clock, value in answer.items():
                    table[loop][clock].append(value and float(f"{value:.5g}"))
            if took > self.left() - (until if i >= REPEATS - 1 else 0):
                break
        return table

    def loops(self):
        self.alternate(self.measured["loops"], self.workers, self.config, self.rounds, (1 - SHARE) * self.seconds)

    def memory(self):
        """Of whole runs of this configuration on as many images as CIFAR-10 has, at its width and at the post's."""
        steps = round(self.config.epochs * ((self.config.train_images or CIFAR10) // self.config.batch_size))
        pair = self.config.replace(data="synthetic", train_images=None, batch_size=2, warmup=0, cooldown=0)
        per_epoch = len(datasets.load("synthetic").train_x) // 2
        for width, filters in itertools.product(sorted({self.config.width, max(WIDTHS)}), (False, True)):
            what = f"memory, width {width}{', every filter' * filters}"
            run = pair.replace(width=width, epochs=steps / per_epoch)
            if self.fits(what, 20, 10 * series_bytes(run, filters)):  # some eight times the series are needed
                with Worker(self.device) as worker:
                    found = self.ask("memory-filters" if filters else "memory", run, worker)
                self.measured["memory"].append({"width": width, "filters": filters, "steps": steps, **found})

    def sweeps(self):
        """Of small networks, which profit most; started, trained and collected."""
        if not self.fits("sweeps", 60):
            return
        config = Config.smoke(batch_size=128)
        with tempfile.TemporaryDirectory() as folder, Worker(self.device, folder) as worker:
            table = self.alternate({}, dict.fromkeys(["workers 1", "workers 2"], worker), config, REPEATS)
        rows = [{"workers": n, "runs": SWEEP, **table[f"workers {n}"]} for n in (1, 2)]
        self.measured["sweeps"] += rows if rounds_of(table) == REPEATS else []

    def costs(self):
        """From the cheapest to the dearest, so that the last ones are left out if the time ends.

        Each in new processes, as a run is: in one that has trained another network, a step can take a third longer.
        """
        first = self.measured["loops"]["recorded"]["wall"]
        rate = self.measured["flop"] / statistics.median(first)
        everything = self.config.replace(train_images=None, data="synthetic")
        grid = [everything.replace(width=w, batch_size=n) for w, n in itertools.product(WIDTHS, BATCHES)]
        for config in sorted(grid, key=flop):
            what = f"width {config.width}, N = {config.batch_size}"
            if self.fits(what, 5 + max(3.0, 2 * (WARM + REPEATS) * flop(config) / rate)):
                with self.processes("recorded", self.plain[0]) as workers:
                    table = self.alternate({}, workers, config, REPEATS)
                if rounds_of(table) < REPEATS:  # it took longer than was to be expected
                    self.measured["left_out"].append(f"{what} (time)")
                    continue
                row = {"width": config.width, "batch_size": config.batch_size, "flop": flop(config)}
                self.measured["cost"].append(row | {"loops": table})


def made(device) -> dict:
    """Return where, when and with what it is measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": name_of(device),
        "processor": cpu_name(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "memory": memory(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python_version": platform.python_version(),
        "torch_version": torch.__version__,
        "package_version": __version__,
        "precision": str(precision(device)).removeprefix("torch."),
    }


def flop(config: Config) -> int:
    """Return the floating-point operations of one step, forward and backward, a multiplication and an addition each."""
    model = build(config).to("meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(config.batch_size, 3, 32, 32, device="meta")).sum().backward()
    return counter.get_total_flops()


def estimate(config: Config, device=None, data=None) -> float:
    """Return about how many seconds a run would take, from a few of its steps; `data` is that of `runs.record`."""
    device = pick_device(device)
    with datasets.standing_in(data), Settings(device):
        step, steps = training_step(config, device)
        for _ in range(3):
            step()
        seconds = timed(step, device)["wall"]
    return 1.1 * steps * seconds  # the test after each epoch is a tenth of the work or less


# ------------------------------------------------------------------------------------------ in words


def rounds_of(table) -> int:
    """Return how many rounds all loops of a table have."""
    return min((len(found["wall"]) for found in table.values()), default=0)


def ratios(table, above: str, below: str, clock: str) -> list[float]:
    """Return how many times as long one loop took as the other, in every round."""
    return [a / b for a, b in zip(table[above][clock], table[below][clock])]


def spread(values, form: str = ".3g") -> str:
    """Return the median and, in brackets, the range."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def load(measured: dict) -> tuple[float, float] | None:
    """Return the cores that others kept busy, the mean and the highest of all measurements; None if nobody knows."""
    tables = [measured["loops"], *(row["loops"] for row in measured["cost"])]
    found = [cores for table in tables for loop in table.values() for cores in loop["foreign"]]
    return None if None in found or not found else (statistics.mean(found), max(found))


def conditions(measured: dict) -> str:
    """Say how busy the machine was, and what was therefore measured."""
    made, found = measured["made"], load(measured)
    if found is None:
        before = made["load_before"]
        others = "others were not looked for" if before is None else f"the load was {before:.2g} before it began"
    else:
        others = f"others kept {found[0]:.2f} of {made['cores']} cores busy ({found[1]:.2f} at most)"
    busy = found is not None and found[0] > QUIET
    clocks = {
        "cpu": "seconds that one thread computed, which foreign load hardly changes",
        "wall": "seconds of wall time" + ", which foreign load makes longer: measure again when it is gone" * busy,
    }
    return f"{clocks[measured['clock']]}; {others}"


def missing(measured: dict) -> str:
    """Say what a measurement lacks, "" if nothing."""
    return "; ".join([*measured["left_out"], *["all that came after it was stopped"] * (not measured["finished"])])


def report(measured: dict) -> str:
    """Say in words what `bench` has measured: medians over the rounds, and their range from lowest to highest."""
    table, clock, made = measured["loops"], measured["clock"], measured["made"]
    config = Config.from_dict(measured["config"])
    ms = {name: 1e3 * statistics.median(found[clock]) for name, found in table.items()}
    percent = {name: [100 * r for r in ratios(table, name, "bare", clock)] for name in ("recorded", "recorder")}
    peak = measured["product_flop"] / ms["matmul"] / 1e6
    share = [100 * measured["flop"] / measured["product_flop"] * r for r in ratios(table, "matmul", "recorded", clock)]
    lines = [
        ("network", f"{config.model} of width {config.width}, batches of {config.batch_size}, {config.optimizer}"),
        ("hardware", f"{made['device']}; torch {made['torch_version']}, {made['precision']}"),
        ("measured", conditions(measured)),
        ("step", f"{ms['recorded']:.4g} ms with the recorder, {ms['bare']:.4g} ms without"),
        ("recorder", f"{spread([p - 100 for p in percent['recorded']], '.1f')} % of a step by their difference, "
         f"{spread(percent['recorder'], '.1f')} % measured alone"),
        ("throughput", f"{1e3 * config.batch_size / ms['recorded']:,.0f} images/s, with the recorder"),
        ("arithmetic", f"{measured['flop'] / 1e9:,.4g} GFLOP a step at {measured['flop'] / ms['recorded'] / 1e6:,.4g} "
         f"GFLOP/s: {spread(share, '.0f')} % of the {peak:,.4g} GFLOP/s of a large matrix product"),
        *(("plain loop", f"{ms[name]:.4g} ms a step in {precision}, its images cut out one by one on the host: "
           f"{spread(ratios(table, name, 'recorded', clock), '.2f')} times as long as ours")
          for name, precision in (("plain", made["precision"]), ("plain32", "float32")) if name in table),
        *(("cost", _cost(row, clock)) for row in measured["cost"]),
        *(("memory", _memory(row)) for row in measured["memory"]),
        *(("sweep", f"{row['runs']} runs, workers = {row['workers']}: {spread(row['wall'])} s of wall time")
          for row in measured["sweeps"]),
        ("numbers", f"medians of {rounds_of(table)} round{'s' * (rounds_of(table) > 1)}; in brackets their range"),
        *(("left out", text) for text in filter(None, [missing(measured)])),
    ]  # fmt: skip
    return "\n".join(f"{name:11} {text}" for name, text in lines)


def _cost(row, clock) -> str:
    table = row["loops"]
    ms = 1e3 * statistics.median(table["recorded"][clock])
    other = next(name for name in PLAIN if name in table)
    return (f"width {row['width']}, N = {row['batch_size']}: {ms:.4g} ms a step, "
            f"{1e3 * row['batch_size'] / ms:,.0f} images/s; the plain loop takes "
            f"{spread(ratios(table, other, 'recorded', clock), '.2f')} times as long")  # fmt: skip


def _memory(row) -> str:
    what = "of every filter" if row["filters"] else "of the layers"
    host = "" if row["grown"] is None else f"; made in {row['grown'] / 1e6:,.0f} MB of the host's memory"
    return (f"{what}, width {row['width']}, {row['steps']} steps: {row['series'] / 1e6:,.3g} MB on the device, "
            f"a recording of {row['recording'] / 1e6:,.3g} MB{host}")  # fmt: skip
