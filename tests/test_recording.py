"""A recording keeps its values, units and origin, and a file that cannot be trusted is named."""

import itertools
import json
import os
import random

import numpy as np
import pytest
import xarray as xr

from resnet_dynamics import Config, language, library, recording
from resnet_dynamics.config import CONVS
from resnet_dynamics.recording import BrokenRecording, from_products, load, save, thin

CONFIG = Config(width=16, lr=4.0, momentum=0.5)
T = 40


def made(config=CONFIG, filters=False) -> xr.Dataset:
    """A recording of random vectors, [5] of them in each layer, without any training."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(T, len(CONVS), 5, 6, 20))  # six filters
    pairs = np.triu_indices(5)  # as `recording.PRODUCTS` has them
    products = np.einsum("tlaik,tlbik->tlab", a, a)[..., *pairs]
    per_filter = {name: np.einsum("taik,tbik->tiab", a[:, i], a[:, i])[..., *pairs] for i, name in enumerate(CONVS)}
    lr = np.linspace(0.1, 1.0, T)
    series = {"lr": lr, "loss": 1 / lr, "accuracy": lr / 2, "test_loss": lr[:3], "test_accuracy": lr[:3]}
    provenance = {"device": "a machine", "precision": "float32", "dataset": "noise", "seconds": 1.5, "diverged_at": -1}
    return from_products(config, CONVS, products, series, provenance, per_filter if filters else None)


@pytest.fixture
def file(tmp_path):
    save(made(), tmp_path / "runs" / "a.nc")
    return tmp_path / "runs" / "a.nc"


def test_quantities_follow_from_the_products():
    """Against the vectors themselves: (w, g, v_prev, v, u), with d = v − ρ v_prev."""
    rng = np.random.default_rng(1)
    w, g, v_prev, v, u = vectors = rng.normal(size=(5, 30))
    d = v - 0.5 * v_prev
    products = np.array([[[a @ b for a, b in itertools.combinations_with_replacement(vectors, 2)]]])
    ds = from_products(CONFIG, ["prep"], products, {"lr": [1.0], "loss": [1.0]}, {})
    expected = dict(w2=w @ w, g2=g @ g, d2=d @ d, v2=v @ v, u2=u @ u, wg=w @ g, wv=w @ v_prev, dv=d @ v_prev,
                    gv=g @ v_prev)  # fmt: skip
    for name, value in expected.items():
        assert ds[name].item() == pytest.approx(value, rel=1e-6), name
        assert ds[name].dtype == np.float32


class Pieces:
    """Products of filters that lie elsewhere: only a slice of steps can be had."""

    def __init__(self, products):
        self.products, self.longest = products, 0

    def __getitem__(self, steps):
        piece = self.products[steps]
        self.longest = max(self.longest, len(piece))
        return piece.copy()


def test_filters_are_read_in_pieces():
    rng, steps = np.random.default_rng(0), 200
    products = {name: rng.normal(size=(steps, f, 15)).astype(np.float32) for name, f in (("a", 3), ("b", 5))}
    whole = rng.normal(size=(steps, 2, 15))
    skipped = np.arange(steps) % 7 == 0
    series = {"lr": np.ones(steps), "loss": np.ones(steps), "skipped": skipped.astype(float)}
    pieces = {name: Pieces(p) for name, p in products.items()}
    ds = from_products(CONFIG, ["a", "b"], whole, series, {}, pieces)
    assert all(p.longest < steps / 2 for p in pieces.values())
    for i, p in enumerate(products.values()):
        alone = from_products(CONFIG, list("abcde")[: p.shape[1]], p, series, {})
        for name in ("w2", "d2", "wg", "dv"):
            assert np.array_equal(ds[f"filter_{name}"][:, i, : p.shape[1]], alone[name], equal_nan=True)
    assert ds.filter_w2.sel(layer="a")[:, 3:].isnull().all()
    assert ds.filter_g2[skipped].isnull().all() and ds.g2[~skipped].notnull().all()


@pytest.mark.parametrize("filters", [False, True])
def test_there_and_back(tmp_path, filters):
    ds = made(filters=filters)
    save(ds, tmp_path / "a.nc")
    assert load(tmp_path / "a.nc", CONFIG).identical(ds)  # values, coordinates and every attribute
    assert recording.config(ds) == CONFIG
    assert [f.name for f in tmp_path.iterdir()] == ["a.nc"]


def test_other_readers_of_netcdf_can_read_it(file):
    with xr.open_dataset(file) as ds:
        assert ds.identical(made())


def test_every_series_labels_itself():
    ds = made(filters=True)
    for name in ds.data_vars:
        assert set(ds[name].attrs) == {"symbol", "long_name", "units"}
    assert (ds.w2.attrs["symbol"], ds.w2.attrs["units"]) == ("|w|²", "u²")
    assert ds.filter_g2.attrs == ds.g2.attrs
    assert ds.sizes == {"step": T, "layer": 8, "epoch": 3, "filter": 6}
    assert ds.epoch.values.tolist() == [1, 2, 3]


def test_in_words():
    assert recording.describe(made()) == (
        "ResNet-9 of width 16, noise, 24 epochs of 512-image batches, a machine in float32")


def test_thinned_in_digits_and_not_in_time(tmp_path):
    ds = made()
    ds.w2[3] = np.nan
    thinned = thin(ds)
    assert thinned.attrs == ds.attrs and thinned.w2.attrs == ds.w2.attrs and thinned.sizes == ds.sizes
    assert thinned.lr.equals(ds.lr)
    for name in ds.data_vars:
        np.testing.assert_allclose(thinned[name], ds[name], rtol=2.0**-12)
    assert thin(thinned).equals(thinned)
    save(ds, tmp_path / "a.nc"), save(thinned, tmp_path / "b.nc")
    assert (tmp_path / "b.nc").stat().st_size < (tmp_path / "a.nc").stat().st_size


def test_thinning_keeps_identities():
    """Σ of growth minus shrink equals the change of |w|², as exactly as before to 1e-3 of Σ shrink."""
    rng, steps, x = np.random.default_rng(0), 2000, 2e-3
    w2, g2 = [1.0], rng.lognormal(0, 0.5, steps)
    for g in g2:
        w2.append((1 - x) ** 2 * w2[-1] + 4e-3 * g / w2[-1])
    w2 = np.array(w2[:-1])
    ds = made().isel(layer=[0]).drop_dims("step").assign(
        w2=("step", w2.astype(np.float32)), g2=("step", (g2 / w2).astype(np.float32)))  # fmt: skip
    for series in (ds, thin(ds)):
        shrink = (2 * x - x**2) * series.w2[:-1].astype(float)
        growth = 4e-3 * series.g2[:-1].astype(float)
        change = float(series.w2[-1]) - float(series.w2[0])
        assert abs(float((growth - shrink).sum()) - change) <= 1e-3 * float(shrink.sum())


# ---------------------------------------------------------------------------------------- bad files


def broken(path, said):
    with pytest.raises(BrokenRecording, match=said) as error:
        load(path, CONFIG)
    assert str(path) in str(error.value)
    assert path.exists()  # it is named, not touched


def test_truncated_anywhere(file):
    content = file.read_bytes()
    for i in range(20):
        file.write_bytes(content[: i * len(content) // 20])
        broken(file, "truncated, damaged or not NetCDF")


def test_a_flipped_bit_anywhere(file):
    content, rng = file.read_bytes(), random.Random(0)
    for _ in range(40):
        i = rng.randrange(len(content) - 80)  # behind are the digits of the checksum: as good, but hard to tell apart
        file.write_bytes(content[:i] + bytes([content[i] ^ 1 << rng.randrange(8)]) + content[i + 1 :])
        broken(file, "damaged.*its checksum differs")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04 zip", b"lr,loss\n0.1,2.3\n", bytes(4096)],
                         ids=["empty", "HDF5 and nothing more", "zip", "text", "zeros"])  # fmt: skip
def test_a_foreign_file(file, content):
    file.write_bytes(content)
    broken(file, "truncated, damaged or not NetCDF")


def test_foreign_netcdf(file):
    xr.Dataset({"temperature": ("time", [1.0, 2.0])}).to_netcdf(file, engine="h5netcdf")
    broken(file, "a NetCDF file, but not a recording of this package")


CHANGES = {
    "newer format": (lambda ds: ds.assign_attrs(format_version=99), "format 99, this version reads up to 1; update"),
    "no format": (lambda ds: ds.assign_attrs(format_version="one"), "not a recording of this package"),
    "a series is missing": (lambda ds: ds.drop_vars(["g2", "lr"]), "lacks g2, lr"),
    "another run": (lambda ds: made(CONFIG.replace(seed=1)), r"holds another run \(Config\(.*seed=1\)\)"),
    "another digest": (lambda ds: ds.assign_attrs(digest="0" * 16), "holds another run"),
    "configuration is not JSON": (lambda ds: ds.assign_attrs(config="{lr: 4}"), "its configuration does not read"),
    "configuration is a number": (lambda ds: ds.assign_attrs(config=4), "its configuration does not read"),
    "configuration with an unknown field": (
        lambda ds: ds.assign_attrs(config=json.dumps({"rate": 4})), "unknown configuration fields rate"),
    "configuration with a bad value": (
        lambda ds: ds.assign_attrs(config=json.dumps({"momentum": 2})), r"momentum=2.0: must be in \[0, 1\)"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_recording_that_is_not_the_one(file, what):
    change, said = CHANGES[what]
    save(change(made()), file)
    broken(file, said)


def test_a_file_without_its_checksum_is_read_as_it_is(file):
    """So are recordings that another tool has written again."""
    ds = made()
    ds.to_netcdf(file, engine="h5netcdf")
    assert load(file, CONFIG).identical(ds)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recording at .*absent.nc"):
        load(tmp_path / "absent.nc")


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "a.nc").mkdir()
    with pytest.raises(IsADirectoryError, match="a.nc: a folder is where a recording should be"):
        load(tmp_path / "a.nc")


def test_a_failed_save_leaves_nothing_behind(file, monkeypatch):
    """Neither half a file nor a damaged old one."""
    before = file.read_bytes()

    def fail(*given):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save(made(), file)
    assert file.read_bytes() == before and list(file.parent.iterdir()) == [file]


# ------------------------------------------------------------------------------------------- places


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "elsewhere"))
    assert recording.cache_dir() == tmp_path / "elsewhere"
    monkeypatch.delenv("RESNET_DYNAMICS_CACHE")
    assert recording.cache_dir().name == "resnet_dynamics"


def test_the_manifest_is_made_of_configurations():
    planned = library.planned()
    assert len({config.digest for config in planned.values()}) == len(planned)
    assert library.bundled().items() <= planned.items()


@pytest.mark.parametrize("name", library.bundled())
def test_bundled_recordings_are_whole(name):
    config = library.bundled()[name]
    path = library.bundle_dir() / f"{config.digest}.nc"
    ds = load(path, config)
    assert ds.attrs["diverged_at"] == -1 and ds.loss.notnull().all()
    assert {"device", "precision", "torch_version", "package_version", "dataset", "dataset_digest", "date",
            "seconds"} <= set(ds.attrs)  # fmt: skip


def test_nothing_else_is_in_the_folder_of_recordings():
    expected = {f"{config.digest}.nc" for config in library.planned().values()}
    expected |= {"manifest.json", "sweeps", language.NAME}
    assert {f.name for f in library.bundle_dir().iterdir()} <= expected
    assert sum(f.stat().st_size for f in library.bundle_dir().rglob("*")) < 30e6
