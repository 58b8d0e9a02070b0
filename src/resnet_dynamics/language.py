"""Runs of the small transformer: what determines one, and those that come with the package.

    python -m resnet_dynamics.language      records what is missing of `planned`, into the package

They are no runs of `Config`, which describes networks that see images. The idea is the same: a run is a pure function
of its `Language`, and a recording is its remembered value. All recordings lie in one file, since a file by itself takes
more than a run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from . import recording
from .fields import check, integer, number, one_of
from .library import bundle_dir

__all__ = ["BITS", "EVERY", "NAME", "OPTIMIZERS", "Language", "bundled", "planned", "record", "run"]

NAME = "language.nc"
EVERY, BITS = 20, 8  # steps from one that is recorded to the next, and binary digits: 22 kB a run
OPTIMIZERS = {"adamw": dict(lr=2e-3, weight_decay=1.0, momentum=0.9),
              "muon": dict(optimizer="muon", lr=0.02, weight_decay=0.1, momentum=0.95)}  # fmt: skip
VARIANTS = {"pre-norm": {}, "qk-norm": dict(qk_norm=True), "branch-norm": dict(branch_norm=True)}


@dataclass(frozen=True, kw_only=True)
class Language:
    """One training of `transformer.Transformer` on the prose of this book, described by value.

    Equal descriptions are the same run: on one machine, whose threads do not matter since a run takes one, bit for bit.

    Attributes:
        norm, qk_norm, branch_norm, activation, width, layers, heads: of the network.
        context: characters that it sees at most.
        batch_size: texts of that length a step, taken from anywhere.
        steps: of training. λ rises from 0 over the first `warmup` and stays.
        optimizer: "adamw" or "muon" (`directions`), of the matrices of the blocks; lr, weight_decay and momentum (β₁ of
            AdamW, ρ of Muon) are theirs.
        rest_lr, rest_weight_decay: of embeddings and head, which AdamW moves, with β₁ = 0.9. Gains have that λ, and no
            decay. β₂ = 0.99.
        seed: draws initial weights and batches.
    """

    norm: str = "rms"
    qk_norm: bool = False
    branch_norm: bool = False
    activation: str = "gelu"
    width: int = 64
    layers: int = 2
    heads: int = 4
    context: int = 64
    batch_size: int = 32
    steps: int = 2000
    warmup: int = 100
    optimizer: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 1.0
    momentum: float = 0.9
    rest_lr: float = 2e-3
    rest_weight_decay: float = 1.0
    seed: int = 0

    def __post_init__(self):
        for name, allowed in (("norm", ("rms", "layer")), ("activation", ("gelu", "relu")),
                              ("optimizer", tuple(OPTIMIZERS))):  # fmt: skip
            check(name, getattr(self, name), getattr(self, name) in allowed, one_of(allowed))
        for field in dataclasses.fields(self):
            name, value = field.name, getattr(self, field.name)
            if field.type == "int":
                least = 0 if name in ("warmup", "seed") else 1
                object.__setattr__(self, name, integer(name, value))
                check(name, value, getattr(self, name) >= least, f"a whole number, at least {least}")
            elif field.type == "float":
                object.__setattr__(self, name, number(name, value))
                check(name, value, getattr(self, name) >= 0, "a number, not negative")
            elif field.type == "bool":
                check(name, value, isinstance(value, bool), "True or False")
        check("heads", self.heads, self.width % self.heads == 0, f"a divisor of width ({self.width})")
        check("momentum", self.momentum, self.momentum < 1, "in [0, 1)")

    def replace(self, **changes) -> Language:
        """Return the description with some values changed."""
        return dataclasses.replace(self, **changes)

    @property
    def changes(self) -> dict:
        """The fields that differ from their defaults."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}

    @property
    def digest(self) -> str:
        """A name for the run, 16 hexadecimal digits, made as that of `Config`: a later field leaves old names alone."""
        text = json.dumps(self.changes, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def planned() -> dict[str, Language]:
    """Return name → Language of the runs of the book: three networks, two optimizers, two seeds."""
    return {f"{variant}-{optimizer}-{seed}": Language(**options, **settings, seed=seed)
            for variant, options in VARIANTS.items() for optimizer, settings in OPTIMIZERS.items()
            for seed in (0, 1)}  # fmt: skip


def bundled(folder: Path | None = None) -> dict[str, Language]:
    """Return those of `planned` whose recordings are there."""
    there = _table(folder)
    return {name: one for name, one in planned().items() if there is not None and one.digest in there.run}


def run(language: Language, *, progress=True, folder: Path | None = None) -> xr.Dataset:
    """Return the recording of a run [step, layer]: that of the package, else it trains now, one to two minutes.

    The recording is that of `watching.watch`, of every 20th step, so that `measure` and `plots` take it; of one
    optimizer at a time where there are two, as ds.sel(layer=ds.optimizer.isel(step=0) == "muon"). Layers are the
    matrices of `transformer.Transformer`. Attributes: `test_loss`, of the last tenth of the text, after training; seed,
    batch_size, and where it was made. Those of the package are rounded to 8 binary digits, and have no |d|².

    Raises:
        recording.BrokenRecording: the file of the package is damaged.
    """
    table = _table(folder)
    if table is not None and language.digest in table.run:
        return _taken(table, language)
    from . import prose

    return prose.train(language, every=EVERY, progress=progress)[1]


def record(folder: Path | None = None, progress=True):
    """Record what is missing of `planned`, into the package. Resumable: after each run the file is written.

    Yields: (name, recording) of each run.
    """
    from . import prose

    for name, language in planned().items():
        table = _table(folder)
        if table is None or language.digest not in table.run:
            ds = prose.train(language, every=EVERY, progress=progress)[1]
            row = _row(ds, language)
            table = row if table is None else xr.concat([table, row], "run", combine_attrs="override")
            recording.save(table, _file(folder))
        yield name, _taken(table, language)


def _file(folder):
    return Path(folder or bundle_dir()) / NAME


def _table(folder):
    """All runs that were recorded [run, step, layer], or None. Without encodings, which would cut longer texts."""
    path = _file(folder)
    return recording.read(path, sealed=True).drop_encoding() if path.is_file() else None


def _row(ds, language):
    """A recording as one run of the table, rounded; what all steps have in common once."""
    known = {**ds.attrs, "language": dataclasses.asdict(language)}
    each = {name: ds[name] for name in ("lr", "weight_decay", "momentum")}
    layered = {name: (series if "layer" in series.dims else series.expand_dims(layer=ds.layer, axis=1))
               for name, series in each.items()}  # fmt: skip
    words = np.broadcast_to(ds.optimizer.isel(step=0).values, ds.sizes["layer"])
    ds = recording.thin(ds.drop_vars([*each, "d2", "optimizer", "part"]), BITS).assign(layered)
    ds = ds.assign_coords(optimizer=("layer", words)).expand_dims(run=[language.digest])
    ds = ds.assign_coords(optimizer=ds.optimizer.expand_dims(run=ds.run), told=("run", [json.dumps(known)]))
    ds.attrs = {"languages": "one a run, in `told`", "format_version": recording.FORMAT}
    return ds


def _taken(table, language):
    """One run of the table as the recording that it was."""
    ds = table.sel(run=language.digest).drop_vars("run")
    steps = ds.sizes["step"]
    known = json.loads(ds.told.item())
    words, one = ds.optimizer.values.astype(str), set(ds.optimizer.values.tolist())
    coords = {"optimizer": ("step", [words[0]] * steps) if len(one) == 1 else (("step", "layer"), [words] * steps),
              "part": ("step", np.zeros(steps, int))}  # fmt: skip
    ds = ds.drop_vars(["told", "optimizer"]).assign_coords(coords)
    ds.attrs = known | {"language": json.dumps(known["language"])}
    return ds


if __name__ == "__main__":
    for name, ds in record(progress=sys.stderr.isatty()):
        print(f"{name}: test loss {ds.attrs['test_loss']:.3f}, {ds.attrs['seconds']:.0f} s", flush=True)
