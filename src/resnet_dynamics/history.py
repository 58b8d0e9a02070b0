"""What a live network has reported, step by step, as recordings: of runs that no configuration describes."""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import recording, theory
from .config import CONVS

__all__ = ["KEPT", "SERIES", "History"]

KEPT = 50_000  # steps, the last ones: 30 MB a network
WEIGHTS = (108, 288, 576, 576, 1152, 4608, 9216, 9216)  # of each layer
SERIES = ("lr", "weight_decay", "momentum", "products", "loss", "accuracy")  # what a report has of each network


class History:
    """The steps of one run of one or two networks, from the reports of the front end (`src/explorer/live/reports.js`).

    A run begins with the report that has the event "start", and goes on with those that follow it without a gap. Others
    are not heard: two views of a widget each have a network, and the history is of the one that began last.
    """

    def __init__(self):
        self.events, self.networks, self.start, self.t = [], [], None, 0

    def take(self, report: dict, arrays: list[np.ndarray]) -> None:
        """Take a report and its arrays: those of `SERIES`, [n], products [n · L · 15], one network after the other."""
        events = report.get("events") or []
        start = next((event for event in reversed(events) if event["type"] == "start"), None)
        if start:
            self.events, self.start, self.t = [], start, report["t0"]
            self.networks = [_Network(one["optimizer"]) for one in start["networks"]]
        if self.start is None or report["t0"] != self.t:
            return
        self.events += events
        self.t = report["t"]
        for n, network in enumerate(self.networks):
            own = [event for event in events if event.get("network") in (None, n)]
            network.take(report["t0"], own, report["networks"][n], dict(zip(SERIES, arrays[n * len(SERIES) :])))

    def recordings(self) -> list[xr.Dataset]:
        """Return a recording of each network, of the last steps that are kept."""
        words = "ResNet-9 of width 4 in the page, images drawn there, batches of {batch_size}"
        attrs = {"seed": self.start["seed"], "batch_size": self.start["batch_size"]} if self.start else {}
        attrs |= {"what": words.format_map(attrs)} if attrs else {}
        return [network.recording(attrs) for network in self.networks]


class _Network:
    """The steps of one network, a list of reports, and what was done to it so far."""

    def __init__(self, optimizer):
        self.optimizer, self.part, self.diverged_at = optimizer, 0, -1
        self.reports, self.tests, self.made = [], [], None

    def take(self, t0, events, told, series):
        steps = t0 + np.arange(len(series["lr"]))
        series = {name: np.asarray(a) for name, a in series.items()}
        series["products"] = series["products"].reshape(-1, len(CONVS), len(recording.PRODUCTS))
        optimizer, part = np.full(len(steps), self.optimizer, dtype="<U10"), np.full(len(steps), self.part)
        for event in events:  # they are applied before the step that they name
            later = steps >= event["t"]
            if event["type"] == "kick":
                self.part += 1
                part[later] = self.part
            elif event["type"] == "set" and "optimizer" in event:
                self.optimizer = optimizer[later] = event["optimizer"]
        self.diverged_at = told.get("diverged_at", -1)
        self.tests += told.get("tests") or []
        if len(steps):
            self.reports.append({"step": steps, "optimizer": optimizer, "part": part, **series})
            while self.reports[-1]["step"][-1] - self.reports[0]["step"][-1] >= KEPT:
                self.reports.pop(0)
        self.made = None

    def recording(self, attrs):
        """The Dataset; made when it is asked for."""
        if self.made is None:
            names = ("step", "optimizer", "part", *SERIES)
            every = {name: np.concatenate([one[name] for one in self.reports]) for name in names}
            step, optimizer, part, products = (every.pop(name) for name in ("step", "optimizer", "part", "products"))
            every["momentum"] = np.where(optimizer == "sgd", 0, every["momentum"])
            without = every["momentum"] == 0
            kinds = np.where((optimizer == "heavy-ball") | (optimizer == "nesterov") & without, "sgd", optimizer)
            if (lars := kinds == "lars").any():
                rates = theory.lars_rate(every["lr"], every["weight_decay"], every["momentum"])
                every["lars_lr"] = np.where(lars, rates, np.nan)
            tests = {"test": "t", "test_loss": "loss", "test_accuracy": "accuracy"}
            tests = {name: np.array([one[key] for one in self.tests]) for name, key in tests.items()}
            made = recording.from_steps(CONVS, products, every, kinds, step=step, part=part, tests=tests,
                                        attrs=attrs | {"diverged_at": self.diverged_at})  # fmt: skip
            self.made = made.assign_coords(weights=("layer", list(WEIGHTS), {"long_name": "weights"}))
        return self.made.copy(deep=True)
