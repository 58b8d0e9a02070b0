"""The page of questions: its examples run, and its numbers are those of the recordings."""

import re

import gate
import numpy as np
import pytest
import torch
from matplotlib import pyplot

import resnet_dynamics as rd

PAGE = (gate.ROOT / "book" / "about" / "faq.md").read_text(encoding="utf-8")


def accuracy(name, **where):
    base, axes = rd.bundled_sweeps()[name]
    return rd.sweep(base, progress=False, **axes).final_accuracy.sel(where)


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def test_the_examples_run(capsys):
    """One after the other, as the page says; and what they print is what the page says of it."""
    made = {}
    try:
        with torch.random.fork_rng(devices=[]):
            exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.S)), made)
    finally:
        pyplot.close("all")
    assert made["of_mean"].equal(made["of_sum"])
    assert {group["weight_decay"] for group in made["sgd"].param_groups} == {0.0, 5e-4}
    assert len(made["sgd"].param_groups[0]["params"]) == 8
    assert 0.9 < np.sqrt(made["late"].mean()) < 1.1 and made["late"].sizes["step"] == 100
    assert abs(float(rd.measure.rms(rd.measure.cosine(made["mine"])).squeeze())) < 1e-3
    assert {one.name for one in made["tested"] if one.invariant} == {"0"}
    assert made["mine"].loss[-50:].mean() < made["mine"].loss[:5].mean()
    said = capsys.readouterr().out
    assert "Inside" in said and "CIFAR-10 (JPEG)" in said and "scale invariant: 0\n" in said


@pytest.mark.parametrize("reduction, lr, weight_decay", [("sum", 0.4, 5e-4), ("mean", 0.4 / 512, 5e-4 * 512)])
def test_sum_and_mean_do_part_where_nothing_is_scaled(reduction, lr, weight_decay):
    """So that the example would show it if λ/N and αN were wrong."""
    made = {}
    with torch.random.fork_rng(devices=[]):
        exec(re.findall(r"```python\n(import torch\n.*?)```", PAGE, re.S)[0], made)
        other = made["train"](reduction, lr=lr, weight_decay=weight_decay)
    assert not (other - made["of_mean"]).abs().max() < 1e-3


def test_the_rates_of_a_summed_loss():
    assert row("learning rate", "λ = 0.4", "λ/N", f"{0.4 / 512:.8f}") in PAGE
    assert row("weight decay", "α = 5e-4", "αN", f"{5e-4 * 512:g}") in PAGE


def test_the_nesterov_of_the_post():
    """λ inside of v is torch's, at a constant λ: v here is −λ times v there."""
    gradients = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = torch.ones(5, dtype=torch.float64)
    parameter, v = torch.nn.Parameter(w.clone()), torch.zeros_like(w)
    sgd = torch.optim.SGD([parameter], lr=0.3, momentum=0.9, weight_decay=0.1, nesterov=True)
    for parameter.grad in gradients:
        sgd.step()
        d = parameter.grad + 0.1 * w
        v = 0.9 * v - 0.3 * d
        w = w + 0.9 * v - 0.3 * d
    torch.testing.assert_close(parameter.detach(), w)


def test_what_the_decay_of_the_rest_costs():
    seeds = [0, 1, 2]
    slices = dict(init_scale=1, rest_lr_scale=1)
    high = accuracy("flat-decay-high", lr=0.05, **slices)
    low = accuracy("flat-decay-low", lr=0.2, **slices)
    arms = {
        ("0.1, 0.9", "0.005", "0.005 → 0"): (
            accuracy("stable-resnet9", lr=0.1), accuracy("lars-ball", optimizer="sgd", seed=seeds)),
        ("0.05, 0.9", "0.02", "0.02 → 0.005"): [high.sel(rest_weight_decay_scale=s) for s in (1, 0.25)],
        ("0.2, 0.9", "0.00125", "0.00125 → 0.005"): [low.sel(rest_weight_decay_scale=s) for s in (1, 4)],
    }  # fmt: skip
    for cells, (first, second) in arms.items():
        found = rd.compare.paired(100 * second, 100 * first)
        means = " → ".join(f"{100 * float(one.mean()):.1f}" for one in (first, second))
        difference = f"{found.mean:+.1f} ± {found.half:.1f}".replace("-", "−")
        assert found.n == 3 and row(*cells, means, difference) in PAGE, (cells, means, difference)


def test_both_arms_differ_in_the_decay_of_the_rest_alone():
    """And each λ is the best of the first arm, among those that were run."""
    decays, none = rd.bundled_sweeps()["stable-resnet9"][0], rd.bundled_sweeps()["lars-ball"][0]
    assert none.replace(rest_weight_decay_scale=1.0) == decays.replace(lr=0.1)
    first = dict(init_scale=1, rest_lr_scale=1, rest_weight_decay_scale=1)
    arms = {"stable-resnet9": ({}, 0.1), "flat-decay-high": (first, 0.05), "flat-decay-low": (first, 0.2)}
    for name, (where, lr) in arms.items():
        base = rd.bundled_sweeps()[name][0]
        assert (base.momentum, base.width, base.train_images, base.epochs) == (0.9, 8, 12_000, 10)
        assert float(accuracy(name, **where).mean("seed").idxmax("lr")) == lr


def test_how_seeds_scatter_and_what_recordings_took():
    text = " ".join(PAGE.split())
    for name, ends in (("sgd", "86.5 to 86.7 %"), ("momentum", "87.0 to 87.3 %")):
        last = [100 * float(rd.run(rd.bundled()[f"{name}-{i}"]).test_accuracy[-1]) for i in range(3)]
        assert f"{min(last):.1f} to {max(last):.1f} %" == ends and ends in text
    minutes = {config: float(rd.run(config).attrs["seconds"]) / 60 for config in rd.bundled().values()}
    long = [value for config, value in minutes.items() if (config.width, config.epochs) == (16, 24)]
    assert f"24 epochs at width 16, took {min(long):.0f} to {max(long):.0f} minutes each" in text
    short = [value for config, value in minutes.items() if config.width == 8]
    assert f"took {np.median(short):.0f} minutes in the median, at most {max(short):.0f} on a busy machine" in text


def test_what_decoupled_decay_needs():
    """Ten times the α at ρ = 0.9, to leading order; and AdamW's norm and angle."""
    coupled = rd.theory.equilibrium_norm(1.0, 0.4, 5e-4, 0.9)
    assert rd.theory.equilibrium_norm(1.0, 0.4, 5e-3, 0.9, optimizer="sgdw") == pytest.approx(coupled, rel=0.01)
    found = rd.theory.adamw(1000, 0.001, 0.1)
    assert found.norm == pytest.approx(np.sqrt(0.001 * 1000 / (2 * 0.1)))
    assert found.lifetime_rate == pytest.approx(np.sqrt(2 * 0.001 * 0.1))
