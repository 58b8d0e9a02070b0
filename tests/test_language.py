"""Runs of the small transformer: a run is a function of its description, and what was recorded is such a run."""

import dataclasses
import functools
import hashlib

import numpy as np
import pytest
import torch

from resnet_dynamics import correlation, language, library, measure, prose, theory, transformer
from resnet_dynamics.language import Language
from resnet_dynamics.series import together, window

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
    """From the one file of all runs, rounded; and what is missing is made."""
    plan = {"one": Language(**TINY, **MUON), "two": Language(**TINY)}  # the second has the longer words
    monkeypatch.setattr(language, "planned", lambda: plan)
    recorded = dict(language.record(tmp_path, progress=False))
    for name, one in plan.items():
        _, made = prose.train(one, every=language.EVERY, progress=False)
        found = language.run(one, folder=tmp_path)
        assert found.identical(recorded[name]) and {*found.coords} == {*made.coords}
        np.testing.assert_allclose(found.w2, made.w2, rtol=2**-language.BITS)
        assert {*made.variables} - {*found.variables} == {"d2"}
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
            np.testing.assert_allclose(ds.w2, recorded.w2[:2], rtol=2 * 2**-language.BITS)
            np.testing.assert_allclose(ds.loss, recorded.loss[:2], rtol=2 * 2**-language.BITS)
    assert sum(p.stat().st_size for p in library.bundle_dir().glob(language.NAME)) < 300_000


# ----------------------------------------------------------------------------- what chapter 11b says of the runs
X, LOW, HIGH = 0.002, 0.85, 1.2  # λα; on the line
SHAPES = {"up": (256, 64), "down": (64, 256)}


def late(measured):
    return window(measured, (0.7, 1)).mean("step")


@functools.cache
def overlap(mover, kind):
    """S of gradients that do not know of each other."""
    if mover == "adamw":
        return (1 + 0.9 * (1 - X)) / (1 - 0.9 * (1 - X))
    shape = SHAPES.get(kind, (64, 64))
    return float(theory.muon(shape, 1.0, X, 0.95, response=correlation.newton_schulz, exact=True).overlap)


def dots(ds):
    """Dots over line, rms over the last 30 % of the steps [layer]."""
    movers = np.broadcast_to(ds.optimizer[0], ds.sizes["layer"])
    S = [overlap(mover, layer.split(".")[-1]) for layer, mover in zip(ds.layer.values, movers)]
    return np.sqrt(late((ds.lr * ds.v2 / (2 * ds.weight_decay * ds.w2)).transpose("step", "layer") * S))


@pytest.fixture(scope="module")
def seen():
    """Network and optimizer → (dots, whether the loss is blind to the scale, mean cosine, its rms) [seed, matrix]."""
    found = {}
    for name, one in language.bundled().items():
        variant, ds = name[:-2], language.run(one)
        model = transformer.build(95, qk_norm=one.qk_norm, branch_norm=one.branch_norm)
        blind = {rule.name for rule in model.symmetries() if rule.invariant}
        cosine = measure.cosine(ds)
        row = dots(ds), ds.layer.isin([*blind]), late(cosine), np.sqrt(late(cosine**2))
        found.setdefault(variant, []).append([np.asarray(one) for one in row])
    return {variant: np.array(rows).swapaxes(0, 1) for variant, rows in found.items()}, ds.layer.values.tolist()


def test_what_is_invariant_is_on_the_line_with_muon_but_for_one_matrix(seen):
    found, layers = seen
    assert {name: one.shape for name, one in found.items()} == {
        f"{variant}-{optimizer}": (4, 2, 15) for variant in language.VARIANTS for optimizer in language.OPTIMIZERS}
    each = {name: one[0][one[1] == 1] for name, one in found.items()}
    sizes = {"pre-norm": 0, "qk-norm": 8, "branch-norm": 12}
    assert {name: len(one) for name, one in each.items()} == {
        f"{name}-{optimizer}": size for name, size in sizes.items() for optimizer in language.OPTIMIZERS}
    for name, low, median, high in (("qk-norm-adamw", 0.97, 0.98, 0.99), ("branch-norm-adamw", 0.95, 1.0, 1.04),
                                    ("qk-norm-muon", 1.0, 1.05, 1.12), ("branch-norm-muon", 0.98, 1.09, 1.21)):
        np.testing.assert_allclose(np.percentile(each[name], (0, 50, 100)), (low, median, high), atol=0.005, rtol=0)
    z, blind, *_ = found["branch-norm-muon"]
    beyond = [layers[i] for _, i in zip(*np.nonzero((z > HIGH) & (blind == 1)))]
    assert beyond == ["blocks.1.down"] * 2  # in both seeds: the expectation is refuted


def test_the_others_are_on_it_or_off_it_as_the_loss_pulls(seen):
    found, layers = seen
    in_blocks = np.array([layer.startswith("blocks") for layer in layers])
    on = {name: ((z >= LOW) & (z <= HIGH) & (blind == 0))[:, in_blocks].sum() for name, (z, blind, *_) in found.items()}
    assert on == {"pre-norm-adamw": 12, "pre-norm-muon": 16, "qk-norm-adamw": 12, "qk-norm-muon": 9,
                  "branch-norm-adamw": 0, "branch-norm-muon": 12}  # fmt: skip
    z, blind, mean, rms = np.concatenate([one for one in found.values()], axis=1)
    head = z[:, layers.index("head")]
    assert 0.37 < head.min() and head.max() < 0.395
    far = (blind == 0) & (abs(z - 1) > 0.1)
    assert (far.sum(), (far & (np.sign(mean) == np.sign(z - 1))).sum()) == (88, 84)
    assert rms[blind == 1].max() < 1e-5 and 0.003 < rms[blind == 0].min() < 0.004


def test_all_writers_are_on_the_line_and_each_embedding_is_not(seen):
    found, layers = seen
    writers = transformer.build(95).writers
    sums = [dots(together(language.run(language.planned()[f"{variant}-adamw-{seed}"]), {"all": writers})).item()
            for variant in ("pre-norm", "qk-norm") for seed in (0, 1)]  # fmt: skip
    assert 0.975 < min(sums) and max(sums) < 1.015
    z = np.concatenate([found[f"{variant}-adamw"][0] for variant in ("pre-norm", "qk-norm")])
    assert z[:, layers.index("characters")].max() < 0.86 and z[:, layers.index("places")].min() > 1.21


def test_a_pair_is_pulled_alike_and_is_not_equally_far_off(seen):
    """w·g is the same at every recorded step, up to the 8 binary digits of two numbers."""
    found, layers = seen
    at = {kind: [layers.index(f"blocks.{i}.{kind}") for i in (0, 1)] for kind in "vokq"}
    z = found["pre-norm-adamw"][0]
    vo, qk = (z[:, at[one]] / z[:, at[two]] for one, two in ("vo", "qk"))
    assert abs(vo - 1).max() < 0.05 and 0.87 < qk.min() and qk.max() < 0.925
    for name, one in language.planned().items():
        if name.startswith("pre-norm"):
            wg = language.run(one).wg.values.astype(float)
            for first, second in ("vo", "qk"):
                np.testing.assert_allclose(wg[:, at[first]], wg[:, at[second]], rtol=2 * 2**-language.BITS)
