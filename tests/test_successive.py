"""How alike updates were: of random gradients as the law has it, and of a network by bookkeeping."""

import numpy as np
import pytest
import small
from numpy.testing import assert_allclose

from resnet_dynamics import Config, correlation, recording, successive, theory
from resnet_dynamics import random_updates as walks
from resnet_dynamics.train import train


def recorded(config, rule, start, k=1000, steps=2000):
    """The recording of a layer of k weights that sees random gradients."""
    rows, before = [], np.zeros(k)

    def seen(w, g, lr, weight_decay):
        nonlocal before
        new = rule(w, g, lr, weight_decay)
        v = ((1 - lr * weight_decay) * w - new) / lr
        a = np.concatenate([w, g, [before], v, new - w])
        rows.append((a @ a.T)[np.triu_indices(5)])
        before = v[0]
        return new

    walks.follow(seen, (k,), np.full(steps, config.lr), config.weight_decay, start=start)
    series = {"lr": np.full(steps, config.lr), "loss": np.ones(steps), "accuracy": np.ones(steps)}
    return recording.from_products(config, ["prep"], np.array(rows)[:, None], series, {})


RULES = {
    "sgdw": (walks.momentum_sgd(0.9), dict(lr=0.5, weight_decay=0.02), theory.sgdw(1.0, 0.5, 0.02, 0.9, exact=True)),
    "lion": (walks.lion(), dict(lr=0.02, weight_decay=0.5), theory.lion(1000, 0.02, 0.5, exact=True)),
}


@pytest.mark.parametrize("name", RULES)
def test_of_random_gradients_it_is_that_of_the_law(name):
    rule, given, law = RULES[name]
    ds = recorded(Config(optimizer=name, schedule="constant", **given), rule, float(law.norm))
    found = successive.overlap(ds)
    assert_allclose(found.expected, law.overlap, rtol=1e-9)
    assert_allclose(found.overlap, law.overlap, rtol=0.02)
    assert_allclose(found.closure, 1, atol=1e-4)
    assert_allclose([found.settled, found.raw], 1, atol=0.02)
    first = {"sgdw": 0.9, "lion": correlation.sign_overlap(correlation.mean_correlation(0.9, 0.99)(1))}
    assert_allclose(found.next, first[name], atol=0.005)


@pytest.fixture
def images(monkeypatch):
    small.use(monkeypatch)


@pytest.mark.parametrize("way", [
    dict(optimizer="sgdw", lr=0.1, weight_decay=0.3), dict(optimizer="adamw", lr=0.01, weight_decay=2.0),
    dict(optimizer="muon", lr=0.05, weight_decay=1.0, weight_decay_schedule="lr")])  # fmt: skip
def test_of_a_network_nothing_is_left_over(images, way):
    """Whatever its gradients are: growth is decay and drift."""
    ds = train(small.config(epochs=6, **way), device="cpu", progress=False)[1]
    found = successive.overlap(ds, (0.2, 0.9))
    assert_allclose(found.closure, 1, atol=1e-4)
    assert (abs(found.drift) > 1e-3).any() and (abs(found.settled - 1) > 1e-3).any()


def test_it_is_of_decoupled_decay_alone(images):
    for way, said in (
        (dict(optimizer="adam", weight_decay=0.1), "optimizer='adam': must be one of sgdw, adamw, lion, muon, whose"),
        (dict(weight_decay=0.1), "optimizer='sgd': must be one of sgdw, adamw, lion, muon, whose decay is decoupled"),
        (dict(optimizer="adamw", weight_decay=0.1, cautious=True), "cautious=True: must be a run in which all weights"),
        (dict(optimizer="lion", weight_decay=0.0), r"weight_decay=0.0: must be > 0"),
    ):
        ds = train(small.config(epochs=1, **way), device="cpu", progress=False)[1]
        with pytest.raises(ValueError, match=f"^overlap of a run with {said}"):
            successive.overlap(ds)
