"""The rows of a sweep's table: what it holds of each run, and those that come with the package."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import xarray as xr

from . import library, recording
from .config import Config
from .console import warn
from .grid import configs

__all__ = ["COLUMNS", "PROVENANCE", "bundled", "compared", "summary"]

# What the table holds of every run: name → (dimension besides the axes, what it is, unit).
COLUMNS = {
    "final_accuracy": (None, "test accuracy after the last epoch", "1"),
    "final_loss": (None, "test loss after the last epoch", "nat"),
    "test_accuracy": ("epoch", "test accuracy after the epoch", "1"),
    "test_loss": ("epoch", "test loss after the epoch", "nat"),
    "train_accuracy": ("epoch", "training accuracy, mean over the epoch's batches", "1"),
    "train_loss": ("epoch", "training loss, mean over the epoch's batches", "nat"),
    "diverged_at": (None, "step at which the loss was no longer finite, or -1", "step"),
    "seconds": (None, "time that the run took", "s"),
}
PROVENANCE = (
    "dataset", "dataset_digest", "device", "precision", "torch_version", "package_version", "semantics", "date",
)  # fmt: skip


def summary(ds: xr.Dataset) -> dict:
    """Return the row of the table that belongs to a recording: name → number, or numbers of the epochs."""
    steps, epochs = ds.sizes["step"], ds.sizes["epoch"]
    full = round(steps / recording.config(ds).epochs)  # steps of a whole epoch
    each = [slice(e * full, (e + 1) * full) for e in range(epochs)]
    row = {name: ds[name].values.astype(float) for name in ("test_loss", "test_accuracy")}
    row |= {f"train_{name}": np.array([ds[name].values[part].astype(float).mean() for part in each])
            for name in ("loss", "accuracy")}  # fmt: skip
    row |= {"final_loss": row["test_loss"][-1], "final_accuracy": row["test_accuracy"][-1]}
    row |= {name: float(ds.attrs[name]) for name in ("diverged_at", "seconds")}
    made = {name: ds.attrs[name] for name in PROVENANCE if name in ds.attrs}
    return row | {"provenance": json.dumps(made, default=lambda value: value.item())}  # what was read are numpy's


def compared(rows) -> None:
    """Warn if the runs of a table are not of one kind, apart from what the table varies."""
    made = [json.loads(row["provenance"]) for row in rows]
    for key, what, usual in (("dataset_digest", "data sets", None), ("semantics", "meanings of training", 1),
                             ("precision", "precisions", None)):  # fmt: skip
        shown = "dataset" if key == "dataset_digest" else key
        kinds = {one.get(key, usual): one.get(shown, usual) for one in made}
        if len(kinds) > 1:
            warn(f"this table compares runs of {len(kinds)} {what}: {', '.join(sorted(map(str, kinds.values())))}; its "
                 "variable `provenance` says which is which")  # fmt: skip


# Rows that come with the package
def bundled(digests) -> dict[str, dict]:
    """Return digest → row of those of these runs that are in the tables of the package.

    The manifest says which tables hold one of them. Only those are opened, each once in a process and in some 0.05 s.
    A table that is broken is named and passed over.
    """
    wanted, rows = set(digests), {}
    sweeps = library.manifest()["sweeps"].items()
    for path in sorted(library.sweep_file(name) for name, plan in sweeps if wanted & _planned(json.dumps(plan))):
        if path.is_file():
            rows |= _table(path, path.stat().st_mtime_ns)
    return {digest: rows[digest] for digest in wanted & rows.keys()}


@functools.cache
def _planned(plan: str) -> frozenset[str]:
    """The digests of the runs of a sweep, from its entry in the manifest."""
    entry = json.loads(plan)
    return frozenset(config.digest for config in configs(Config(**entry["base"]), **entry["axes"]).flat)


@functools.cache
def _table(path: Path, changed: int) -> dict[str, dict]:
    """digest → row of every run in a table of the package that did not fail; `changed` is the time of the file."""
    try:
        table = recording.read(path)
    except recording.BrokenRecording as error:
        warn(f"{error}. Its runs are looked for elsewhere.")
        return {}
    axes = table.digest.dims
    whole = {name: table[name].transpose(*axes, ...).values.astype(float) for name in COLUMNS}
    columns = {name: values.reshape(table.digest.size, *values.shape[len(axes) :]) for name, values in whole.items()}
    texts = {name: table[name].values.ravel().tolist() for name in ("digest", "failed", "provenance")}
    rows = {}
    for n, (digest, failed, made) in enumerate(zip(*texts.values())):
        if not failed:
            row = {name: column[n] if column.ndim > 1 else float(column[n]) for name, column in columns.items()}
            rows[digest] = row | {"provenance": made}
    return rows
