"""A recording: what one run was, as an xarray.Dataset with its units and its origin, in one file."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from . import cache
from .arms import SEPARATE
from .cache import cache_dir as cache_dir  # its place before `cache` was one; readers' code has it
from .config import Config

__all__ = [
    "FORMAT", "PRODUCTS", "QUANTITIES", "ROLES", "SEMANTICS", "BrokenRecording", "OtherRecording", "Setting",
    "checked", "config", "content", "describe", "from_products", "from_steps", "label", "load", "parsed", "read",
    "save", "setting", "thin",
]  # fmt: skip

# The vectors of a layer whose inner products are recorded. w and v_prev are as they were before the step.
ROLES = ("w", "g", "v_prev", "v", "u")
PRODUCTS = tuple(itertools.combinations_with_replacement(ROLES, 2))
FORMAT = 1
SEMANTICS = 1
"""What training means: another number whenever the same configuration and images would train another way."""
DEFLATE = 1100  # how much smaller its compression can make a file, at most

# Every recorded quantity: name → (symbol, what it is, unit). One unit of weight is u; the loss is in nats, so λ has
# units of u²/nat, α of nat/u², and λα has none. State (w_t, v_{t-1}) is before step t, unless it says otherwise.
QUANTITIES = {
    "w2": ("|w|²", "squared weight norm", "u²"),
    "g2": ("|g|²", "squared gradient norm", "nat²/u²"),
    "d2": ("|d|²", "squared norm of d = g + αw, what enters the momentum", "nat²/u²"),
    "v2": ("|v|²", "squared norm of the momentum after the step, v ← ρv + d", "nat²/u²"),
    "u2": ("|Δw|²", "squared norm of the update", "u²"),
    "wg": ("w·g", "weight times gradient; zero where the loss is blind to |w|", "nat"),
    "wv": ("w·v", "weight times momentum before the step", "nat"),
    "dv": ("d·v", "d times momentum before the step", "nat²/u²"),
    "gv": ("g·v", "gradient times momentum before the step", "nat²/u²"),
    "lr": ("λ", "learning rate", "u²/nat"),
    "weight_decay": ("α", "weight decay", "nat/u²"),
    "momentum": ("ρ", "momentum", "1"),
    "lars_lr": ("λ_LARS", "learning rate of LARS", "rad/step"),
    "loss": ("loss", "training loss, mean of the batch", "nat"),
    "accuracy": ("accuracy", "training accuracy of the batch", "1"),
    "skipped": ("skipped", "1 where the loss scaler left the step out", "1"),
    "test_loss": ("test loss", "test loss after the epoch", "nat"),
    "test_accuracy": ("test accuracy", "test accuracy after the epoch", "1"),
}
# What is otherwise in recordings of `arms.SEPARATE`, where v is what λ multiplies: what it is, and the units if it has
# none (of adam, adamw, lion and muon), or those of w (where its length is set).
_DIRECTED = {
    "d2": ("squared norm of d = v_t − ρv_{t−1}, what is new in v", "1", "u²"),
    "v2": ("squared norm of v, what λ multiplies", "1", "u²"),
    "wv": ("weight times v of the step before", "u", "u²"),
    "dv": ("d times v of the step before", "1", "u²"),
    "gv": ("gradient times v of the step before", "nat/u", "nat"),
    "lr": ("learning rate", "u", "1"),
}
_LAYERED = ("w2", "g2", "d2", "v2", "u2", "wg", "wv", "dv", "gv")


class BrokenRecording(ValueError):
    """A file that cannot be trusted to be the recording that it should be. The message names it."""


class OtherRecording(BrokenRecording):
    """A whole file that is not the recording that it should be."""


def from_products(config: Config, layers, products, series, provenance, filter_products=None) -> xr.Dataset:
    """Make the Dataset of a run.

    Args:
        config: of the run.
        layers: L names.
        products: float [T, L, 15], inner products as `recorder.Recorder` keeps them, in the order of `PRODUCTS`.
        series: name → array, over steps [T] or epochs [E].
        provenance: name → plain value, kept as attributes.
        filter_products: layer → [T, F, 15], or what gives that for a slice of steps; or None. A slice is taken at a
            time, so that the memory it takes is that of the result and little more.

    d is what the optimizer adds to its momentum: d = v_t − ρ v_{t−1}, for SGD g + αw, for LARS (|w|/|g|) g, for SGDW g.
    Of Adam, AdamW, Lion and Muon it is the same difference of directions.
    """
    skipped = np.asarray(series.get("skipped", np.zeros(len(products)))) > 0
    rho = np.array([config.of_layer(layer, "momentum") for layer in layers])
    data = {name: (("step", "layer"), a) for name, a in _quantities(products, rho, skipped).items()}
    for name, a in series.items():
        dims = ("epoch",) if name.startswith("test_") else ("step", "layer")
        data[name] = dims[: np.ndim(a)], np.asarray(a)
    coords = {"step": np.arange(len(products)), "layer": list(layers)}
    if any(n.startswith("test_") for n in series):
        coords["epoch"] = np.arange(1, len(series["test_loss"]) + 1)
    if filter_products:
        per_filter = _of_filters([filter_products[layer] for layer in layers], rho, skipped)
        data |= {f"filter_{name}": (("step", "layer", "filter"), a) for name, a in per_filter.items()}
    attrs = {"config": json.dumps(config.as_dict()), "digest": config.digest, "format_version": FORMAT, **provenance}
    return _directed(label(xr.Dataset(data, coords, attrs)), config.optimizer, config.norms)


def _directed(ds, optimizer, norms="free"):
    """Label what is otherwise where v is what λ multiplies."""
    if optimizer not in SEPARATE:
        return ds
    for name, (long_name, none, length) in _DIRECTED.items():
        units = {"hyperball": length}.get(norms, none if optimizer != "sgdw" else QUANTITIES[name][2])
        for its in {name, f"filter_{name}"} & {*ds.data_vars}:
            ds[its].attrs |= {"long_name": long_name, "units": units}
    return ds


def from_steps(layers, products, series, optimizer, *, step=None, part=None, tests=None, attrs=None) -> xr.Dataset:
    """Make the Dataset of a run that no configuration describes: its λ, α and ρ are series, and may move.

    Args:
        layers: L names.
        products: float [T, L, 15], as of `from_products`.
        series: name → [T]: lr, weight_decay and momentum, as they were in each step, loss, and what else there is. Of
            each layer [T, L], where they differ.
        optimizer: "sgd" (with ρ or without), "nesterov" or "lars", or the name of another, whose equations are not
            known; a word, or one of each step [T] or of each step and layer [T, L].
        step: numbers of the steps [T], whole and rising; None counts them from 0.
        part: [T], another number from the step on before which somebody has changed the weights; None: nobody has.
        tests: {"test": steps before which there was a test [E], "test_loss": [E], "test_accuracy": [E]}, or None.
        attrs: name → plain value: seed, batch_size, what.
    """
    steps = len(products)
    dims, momentum = ("step", "layer"), np.asarray(series["momentum"], np.float64)
    each = momentum if momentum.ndim == 2 else momentum[:, None]
    data = {name: (dims, a) for name, a in _quantities(products, each, slice(0, 0)).items()}
    data |= {name: (dims[: np.ndim(a)], np.asarray(a)) for name, a in series.items()}
    data |= {name: (("test",), np.asarray(a)) for name, a in (tests or {}).items() if name != "test"}
    coords = {"step": np.arange(steps) if step is None else np.asarray(step), "layer": list(layers)}
    words = np.asarray(optimizer, str)
    coords |= {"part": ("step", np.zeros(steps, int) if part is None else np.asarray(part)),
               "optimizer": (dims[: max(words.ndim, 1)], words if words.ndim else np.full(steps, words))}  # fmt: skip
    coords |= {"test": np.asarray(tests["test"])} if tests else {}
    attrs = {"steps": int(coords["step"][-1]) + 1 if steps else 0, **(attrs or {})}
    one, *others = {*words.ravel().tolist()} or {""}
    return _directed(label(xr.Dataset(data, coords, attrs)), "" if others else one)


def _of_filters(products, momentum, skipped, at_once=64):
    """Return name → [T, L, F] of the products of each layer; NaN where a layer has fewer filters than the widest."""
    widest = max(p[:1].shape[1] for p in products)
    out = {name: np.full((len(skipped), len(products), widest), np.nan, np.float32) for name in _LAYERED}
    for i, p in enumerate(products):
        for begin in range(0, len(skipped), at_once):
            steps = slice(begin, begin + at_once)
            for name, a in _quantities(p[steps], momentum[i], skipped[steps]).items():
                out[name][steps, i, : a.shape[1]] = a
    return out


@np.errstate(all="ignore")  # of a run that diverges some are not finite
def _quantities(p, momentum, skipped):
    p = np.asarray(p, np.float64)  # differences of products lose digits in float32
    of = {pair: p[..., n] for n, pair in enumerate(PRODUCTS)}
    v2, vv_prev, v_prev2 = of["v", "v"], of["v_prev", "v"], of["v_prev", "v_prev"]
    out = {
        "w2": of["w", "w"],
        "g2": of["g", "g"],
        "d2": v2 - 2 * momentum * vv_prev + momentum**2 * v_prev2,
        "v2": v2,
        "u2": of["u", "u"],
        "wg": of["w", "g"],
        "wv": of["w", "v_prev"],
        "dv": vv_prev - momentum * v_prev2,
        "gv": of["g", "v_prev"],
    }
    out = {name: a.astype(np.float32) for name, a in out.items()}
    for name in ("g2", "d2", "wg", "gv", "dv"):
        out[name][skipped] = np.nan  # there is no g, and v stayed, so it does not tell d
    return out


def label(ds: xr.Dataset) -> xr.Dataset:
    """Give every variable its symbol, long name and unit, so that xarray's own plots label themselves."""
    for name in ds.data_vars:
        symbol, long_name, units = QUANTITIES[str(name).removeprefix("filter_")]
        ds[name].attrs = {"symbol": symbol, "long_name": long_name, "units": units}
    for name, long_name in (("step", "training step"), ("layer", "layer"), ("epoch", "epoch"), ("filter", "filter"),
                            ("test", "training step"), ("part", "changes of the weights so far")):  # fmt: skip
        if name in ds.coords:
            ds[name].attrs = {"long_name": long_name}
    return ds


class Setting(NamedTuple):
    """What is known of a run without a configuration; the names are those of `Config`."""

    optimizer: str
    lr: float  # the greatest
    weight_decay: float  # the least
    momentum: float
    batch_size: int
    seed: int
    weight_decay_schedule: str = "constant"  # α is a series of its own

    def replace(self, **changes) -> Setting:
        return self._replace(**changes)


def config(ds: xr.Dataset) -> Config:
    """Return the configuration of a recording.

    Raises:
        ValueError: it has none, as that of a network that somebody has moved while it ran.
    """
    if "config" not in ds.attrs:
        raise ValueError("a recording without a configuration: must be one that run(config) returns")
    return Config.from_dict(json.loads(ds.attrs["config"]))


def setting(ds: xr.Dataset) -> Config | Setting:
    """Return the configuration of a recording, or, of one without, what its steps had in common.

    Raises:
        ValueError: the optimizer or ρ is not the same in all steps and layers, so that no equation is that of all.
    """
    if "config" in ds.attrs:
        return config(ds)
    optimizer, momentum = _common(ds, "optimizer", "the optimizer", "sgd"), _common(ds, "momentum", "ρ", 0.0)
    lr, decay = (ds[name].values.astype(float) if ds[name].size else np.zeros(1) for name in ("lr", "weight_decay"))
    return Setting(str(optimizer), float(lr.max()), float(decay.min()), float(momentum),
                   int(ds.attrs.get("batch_size", 0)), int(ds.attrs.get("seed", 0)))  # fmt: skip


def _common(ds, name, symbol, none):
    """The value that all steps and layers of a recording have; of no step, `none`."""
    values, show = ds[name].values, str if name == "optimizer" else "{:g}".format
    if not values.size:
        return none
    if values.ndim == 2:
        other = np.flatnonzero((values != values[:, :1]).any(axis=0))
        if other.size:
            t = int(np.argmax(values[:, other[0]] != values[:, 0]))
            one, another = (show(values[t, place]) for place in (0, other[0]))
            first, second = ds.layer.values[[0, other[0]]]
            raise ValueError(f"{symbol} is {one} in {first} and {another} in {second}: must be the same in all layers; "
                             f"take some, such as ds.sel(layer=[{str(first)!r}])")  # fmt: skip
        values = values[:, 0]
    if (moved := np.flatnonzero(values[1:] != values[:-1])).size:
        t = int(ds.step[moved[-1] + 1])
        before, after = map(show, values[moved[-1] :][:2])
        raise ValueError(f"{symbol} changed from {before} to {after} at step {t}: must be the same in all steps; "
                         f"take a part, such as ds.sel(step=slice({t}, None))")  # fmt: skip
    return values[0]


def describe(ds: xr.Dataset) -> str:
    """Say in one line what a recording, or a table of `sweep`, shows: network, data, length, device."""
    if "config" not in ds.attrs and "what" in ds.attrs:
        return str(ds.attrs["what"])
    c = config(ds)
    if "provenance" in ds:
        made = [json.loads(text) for text in ds.provenance.values.ravel() if text]
        dataset, device, precision = (" and ".join(sorted({one[key] for one in made}))
                                      for key in ("dataset", "device", "precision"))  # fmt: skip
        return (f"{ds.digest.size} runs of width {c.width}, {c.train_images or 'all'} images of {dataset}, "
                f"{c.epochs:g} epochs, {device} in {precision}")  # fmt: skip
    what = {"resnet9": "ResNet-9", "resnet18": "ResNet-18", "vgg11": "VGG-11"}.get(c.model, c.model)
    return (f"{what} of width {c.width}, {ds.attrs['dataset']}, {c.epochs:g} epochs of {c.batch_size}-image batches, "
            f"{ds.attrs['device']} in {ds.attrs['precision']}")  # fmt: skip


# Files
def save(ds: xr.Dataset, path: Path) -> None:
    """Write a recording as NetCDF, sealed with its SHA-256: whole or not at all, see `cache.write`."""
    cache.write(Path(path), content(ds))


def content(ds: xr.Dataset) -> bytes:
    """Return a recording as the content of a NetCDF file.

    It is made in memory, since HDF5 does not survive a full disk: the process ends in a segmentation fault.
    """
    import h5netcdf

    encoding = {n: {"zlib": True, "complevel": 6, "shuffle": True} for n in ds.data_vars}
    file = io.BytesIO()
    with h5netcdf.File(file, "w") as opened:
        ds.dump_to_store(xr.backends.H5NetCDFStore(opened), encoding=encoding)
    return file.getvalue()


def read(path: Path, sealed=False) -> xr.Dataset:
    """Read a file of this package into memory, checked to be whole.

    The bytes are read once, and all else is done with them: no lock of the file system, and nobody's who has it open.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: a folder is in its place.
        OSError: the file system does not give it, which says nothing about the file.
        BrokenRecording: it is truncated, damaged, not NetCDF, not of this package, or of a newer format.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder is where a recording should be; move it away")
    try:
        file = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"no recording at {path}") from None
    return parsed(file, path, sealed)


def parsed(file: bytes, path: Path, sealed=False) -> xr.Dataset:
    """Return the recording that the bytes of a file hold; errors, those of `read`, speak of `path`.

    A file without a seal, as another tool writes it, is read as it is, unless it must be `sealed`.
    """
    has_seal = cache.SEAL.search(file, max(0, len(file) - 100))
    try:
        ds = _netcdf(cache.unseal(file) if has_seal else file)
    except Exception as error:  # h5py, xarray and numpy each have their own ways to fail on a bad file
        raise BrokenRecording(f"{path}: truncated, damaged or not NetCDF ({type(error).__name__}: {error})") from error
    version = ds.attrs.get("format_version")
    if not isinstance(version, (int, np.integer)) or not {"config", "languages"} & {*ds.attrs}:
        raise OtherRecording(f"{path}: a NetCDF file, but not a recording of this package")
    if version > FORMAT:
        raise OtherRecording(f"{path}: format {version}, this version reads up to {FORMAT}; update resnet_dynamics")
    if sealed and not has_seal:
        raise OtherRecording(f"{path}: has no checksum at its end; another program has written it")
    return ds


def _netcdf(file: bytes) -> xr.Dataset:
    import h5py

    def own(name, item):
        if isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
            raise ValueError(f"{name} is kept in another file")

    with h5py.File(io.BytesIO(file), "r") as opened:  # on a bad file h5netcdf fails as well, but complains once more
        opened.visititems(own)
    with xr.open_dataset(io.BytesIO(file), engine="h5netcdf") as ds:
        if ds.nbytes > 1e6 + DEFLATE * len(file):
            raise ValueError(f"it claims to hold {ds.nbytes / 1e9:.3g} GB")
        return ds.load()


def load(path: Path, expected: Config | None = None, sealed=False) -> xr.Dataset:
    """Read the recording of a run into memory, checked; of a file that must be `sealed`, or need not.

    Raises:
        FileNotFoundError, IsADirectoryError: as `read`.
        BrokenRecording: as `read`, or it lacks a quantity, or it is of another run than `expected`.
    """
    return checked(read(path, sealed), path, expected)


def checked(ds: xr.Dataset, path: Path, expected: Config | None = None) -> xr.Dataset:
    """Return what was read of a file, if it is the recording of a run; errors are those of `load`."""
    missing = [name for name in (*_LAYERED, "lr", "loss") if name not in ds]
    if missing:
        raise OtherRecording(f"{path}: lacks {', '.join(missing)}")
    try:
        of = config(ds)
    except (TypeError, ValueError) as error:
        raise OtherRecording(f"{path}: its configuration does not read ({error})") from error
    if of.digest != ds.attrs.get("digest") or (expected is not None and of != expected):
        raise OtherRecording(f"{path}: holds another run ({of})")
    return ds


def thin(ds: xr.Dataset, bits: int = 12) -> xr.Dataset:
    """Round every series to `bits` binary digits (relative error at most 2^-bits), so that it compresses.

    Recordings in the package are thinned like this and not in time: identities that sum over all steps still close.
    """

    def rounded(x):
        mantissa, exponent = np.frexp(x)
        return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent).astype(np.float32)

    return ds.map(lambda a: a.copy(data=rounded(a.values)) if a.name != "lr" else a, keep_attrs=True)
