"""Runs of the small transformer: a run is a function of its description, and what was recorded is such a run."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from resnet_dynamics import language, library, measure, prose, transformer
from resnet_dynamics.language import Language

TINY = dict(width=16, heads=2, layers=1, context=16, batch_size=4, steps=12, warmup=4)
MUON = language.OPTIMIZERS["muon"]


def test_the_text_is_the_one_that_was_recorded():
    assert hashlib.sha256(prose.text().encode()).hexdigest()[:16] == prose.DIGEST
    train, rest = prose.numbers()
    letters, cut = sorted(set(prose.text())), len(train)
    assert "".join(letters[i] for i in [*train[-30:], *rest[:10]]) == prose.text()[cut - 30 : cut + 10]


def test_a_batch_is_text_and_what_follows_it():
    x, y = prose.batch(Language(**TINY), torch.Generator().manual_seed(0))
    assert x.shape == y.shape == (4, 16) and x[:, 1:].equal(y[:, :-1])
    train, _ = prose.numbers()
    assert all((train.unfold(0, 16, 1) == row).all(1).any() for row in x)


@pytest.mark.parametrize("settings", [{}, MUON])
def test_a_run_is_a_function_of_its_description(settings):
    """Bit for bit, whatever others draw meanwhile and however many steps are recorded; another seed is another run."""
    one = Language(**TINY, **settings)
    torch.manual_seed(0)
    model, ds = prose.train(one, progress=False)
    torch.manual_seed(1)
    again, sparse = prose.train(one, every=4, progress=False)
    assert all(a.equal(b) for a, b in zip(model.parameters(), again.parameters()))
    assert sparse.w2.equals(ds.w2.isel(step=slice(None, None, 4))) and sparse.step.values.tolist() == [0, 4, 8]
    other, _ = prose.train(one.replace(seed=1), progress=False)
    assert not model.head.weight.equal(other.head.weight)
    assert ds.attrs["device"].endswith("1 thread")


def test_what_moves_what():
    """Muon the matrices of the blocks, AdamW the rest; gains do not decay; λ rises and stays."""
    ds = prose.train(Language(**TINY, **MUON), progress=False)[1].sel(step=11)
    for name in ds.layer.values:
        block = name.startswith("blocks")
        settings = [float(ds[of].sel(layer=name)) for of in ("lr", "weight_decay", "momentum")]
        assert settings == ([0.02, 0.1, 0.95] if block else [0.002, 1.0, 0.9]), name
        assert ds.optimizer.sel(layer=name) == ("muon" if block else "adamw")
    model = transformer.build(95, width=16, heads=2, layers=1, context=16)
    (adam,) = prose.optimizers(model, Language(**TINY))
    decay = {p: group["weight_decay"] for group in adam.param_groups for p in group["params"]}
    assert [decay[p] for p in model.parameters()] == [1.0 if p.ndim > 1 else 0.0 for p in model.parameters()]
    rates = prose.train(Language(**TINY), progress=False)[1].lr
    np.testing.assert_allclose(rates, 0.002 * np.array([0.125, 0.375, 0.625, 0.875, *[1.0] * 8]))


def test_a_recording_comes_back_as_it_was(tmp_path, monkeypatch):
    """From the one file of all runs: to 12 binary digits, and what is missing is made."""
    plan = {"one": Language(**TINY, **MUON), "two": Language(**TINY)}  # the second has the longer words
    monkeypatch.setattr(language, "planned", lambda: plan)
    recorded = dict(language.record(tmp_path, progress=False))
    for name, one in plan.items():
        _, made = prose.train(one, every=language.EVERY, progress=False)
        found = language.run(one, folder=tmp_path)
        assert found.identical(recorded[name]) and {*found.coords} == {*made.coords}
        np.testing.assert_allclose(found.w2, made.w2, rtol=3e-4)
        assert found.optimizer.equals(made.optimizer) and found.attrs.keys() == {*made.attrs, "language"}
    assert [*language.bundled(tmp_path)] == ["one", "two"] and language.bundled(tmp_path / "none") == {}
    monkeypatch.setattr(prose, "train", None)
    assert [name for name, _ in language.record(tmp_path)] == ["one", "two"]  # nothing is made again


def test_measures_take_it():
    ds = prose.train(Language(**TINY, qk_norm=True), progress=False)[1]
    z = measure.balance(ds)
    np.testing.assert_allclose(z, (ds.lr * np.sqrt(ds.v2 / ds.w2) / measure.line(ds)) ** 2, rtol=1e-5)
    cosine = np.abs(measure.cosine(ds)).max("step")
    assert (cosine.sel(layer=["blocks.0.q", "blocks.0.k"]) < 1e-3).all() and cosine.sel(layer="head") > 0.01


@pytest.mark.parametrize("bad, said", [
    (dict(norm="batch"), "norm='batch': must be one of \"rms\", \"layer\""),
    (dict(steps=0), "steps=0: must be a whole number, at least 1"),
    (dict(lr=-1), "lr=-1: must be a number, not negative"),
    (dict(heads=3), r"heads=3: must be a divisor of width \(64\)"),
    (dict(qk_norm=1), "qk_norm=1: must be True or False"),
    (dict(momentum=1), r"momentum=1.0: must be in \[0, 1\)")])  # fmt: skip
def test_what_cannot_be_is_named(bad, said):
    with pytest.raises(ValueError, match=said):
        Language(**bad)


def test_equal_descriptions_have_one_digest():
    assert Language(lr=0.002, steps=2000.0).digest == Language().digest != Language(seed=1).digest
    assert len({one.digest for one in language.planned().values()}) == 12
    assert {f.name for f in dataclasses.fields(Language)} >= {*MUON}


def test_bundled_runs_are_reproduced_in_their_first_steps():
    """Of each optimizer and network one; rounding grows with the steps, and the text and the machine say where from."""
    for name, one in language.bundled().items():
        recorded = language.run(one)
        assert recorded.attrs["text"] == prose.DIGEST and recorded.sizes["step"] == 100
        if name in ("pre-norm-adamw-0", "qk-norm-muon-1", "branch-norm-adamw-1"):
            _, ds = prose.train(one.replace(steps=21), every=20, progress=False)
            np.testing.assert_allclose(ds.w2, recorded.w2[:2], rtol=1e-3)
            np.testing.assert_allclose(ds.loss, recorded.loss[:2], rtol=1e-3)
    assert sum(p.stat().st_size for p in library.bundle_dir().glob(language.NAME)) < 300_000
