"""What the checks ask of batches, tops and decoupled optimizers: right answers, and known mistakes, each with its hint.

As `questions`, which has what is asked of SGD's norms.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from . import peaks, theory
from .answers import Question, Task, drawn

__all__ = ["adamw", "muon", "noise", "top"]


def noise() -> Task:
    """|ḡ|² and tr Σ from the mean |g|² of batches of two sizes."""

    def draw(rng):
        mean2, trace = np.exp(rng.uniform(np.log([0.05, 5.0]), np.log([1.0, 500.0])))
        sizes = rng.permutation([first := int(rng.integers(8, 64)), first * int(rng.integers(4, 32))])
        one, other = (float(mean2 + trace / size) for size in sizes)
        return one, int(sizes[0]), other, int(sizes[1])

    def both(g2_a, N_a, g2_b, N_b):
        """|g|² = |ḡ|² + tr Σ/N, twice."""
        return np.linalg.solve([[1, 1 / N_a], [1, 1 / N_b]], [g2_a, g2_b])

    def swapped(g2_a, N_a, g2_b, N_b):
        return both(g2_a, N_b, g2_b, N_a)

    mean2 = {
        "The sizes have changed places: which batch belongs to which |g|²?": lambda *v: swapped(*v)[0],
        "This is |g|² of the large batch: some noise is left in it.": lambda a, N_a, b, N_b: min(a, b),
        "This is what the noise adds and not what it leaves: two equations, two unknowns.":
            lambda a, N_a, b, N_b: abs(a - b),
        "This is |ḡ|: its square is asked for.": lambda *v: np.sqrt(both(*v)[0]),
        "A mean over the two sizes still has the noise of both in it.": lambda a, N_a, b, N_b: (a + b) / 2,
        "A mean over the images still has noise in it.": lambda a, N_a, b, N_b: (N_a * a + N_b * b) / (N_a + N_b),
        "Noise falls as 1/N in |g|², and as 1/√N in |g|: which of the two is given?":
            lambda a, N_a, b, N_b: both(a, np.sqrt(N_a), b, np.sqrt(N_b))[0],
    }  # fmt: skip
    trace = {
        "It comes out negative: which of the two |g|² is larger, and which of the two 1/N?": lambda *v: -both(*v)[1],
        "This is the difference of the two |g|²: how much noise of a single image is in it?":
            lambda a, N_a, b, N_b: abs(a - b),
        "Not all of the small batch is noise.": lambda a, N_a, b, N_b: max(a * N_a, b * N_b) if (
            (a > b) == (a * N_a > b * N_b)) else min(a * N_a, b * N_b),
        "This is the noise scale, tr Σ/|ḡ|²: only tr Σ is asked for.": lambda *v: both(*v)[1] / both(*v)[0],
        "This is |ḡ|², and the first one was asked to be.": lambda *v: both(*v)[0],
        "This is a root: tr Σ is a sum of variances.": lambda *v: np.sqrt(both(*v)[1]),
        "The noise falls as 1/N: compare the two sizes in the same way.":
            lambda a, N_a, b, N_b: (a - b) / (N_b - N_a),
        "Is it 1/N or 1/√N that a variance of a mean falls as?":
            lambda a, N_a, b, N_b: both(a, np.sqrt(N_a), b, np.sqrt(N_b))[1],
    }  # fmt: skip
    return Task(
        ("g2_a", "N_a", "g2_b", "N_b"), draw,
        (Question("|ḡ|²", (lambda *v: both(*v)[0],), mean2), Question("tr Σ", (lambda *v: both(*v)[1],), trace)),
        otherwise="Write down what each of the two mean squares is made of: two equations, two unknowns.",
    )  # fmt: skip


def top() -> Task:
    """log2 of the λ at which accuracy has its top, from a noisy row of runs."""

    def draw(rng):
        octaves = np.arange(-5.0, 4.0)
        off = octaves - rng.integers(-2, 1) - rng.choice([-1, 1]) * rng.uniform(0.3, 0.45)
        beyond = np.maximum(off - 1.3, 0.0)  # where training breaks
        return 2.0**octaves, 0.9 - 0.008 * off**2 - 0.06 * beyond**2 + 2e-4 * rng.normal(size=len(octaves))

    def at(lr, accuracy):
        return float(peaks.tops(xr.DataArray(accuracy, {"lr": lr}, ["lr"]), resamples=1)["at"])

    def vertex(x, y):
        bend, slope, _ = np.polyfit(x, y, 2)
        return -slope / (2 * bend)

    def around(lr, accuracy):
        best = int(np.argmax(accuracy))
        return slice(max(best - 2, 0), best + 3)

    wrong = {
        "This is the best value of the row, and a noisy one: the top lies between values.":
            lambda lr, y: np.log2(lr[np.argmax(y)]),
        "This is an index: log2 of a λ is asked for.": lambda lr, y: np.argmax(y),
        "This is the accuracy at the top: its λ is asked for, as log2.": lambda lr, y: np.max(y),
        "This is the worst λ.": lambda lr, y: np.log2(lr[np.argmin(y)]),
        "This is λ: its log2 is asked for.": lambda lr, y: 2 ** at(lr, y),
        "This is the natural logarithm: log2 is asked for.": lambda lr, y: at(lr, y) * np.log(2),
        "This is the logarithm to the base of ten: log2 is asked for.": lambda lr, y: at(lr, y) * np.log10(2),
        "A parabola in λ is steep to the left and flat to the right: in what are the values equally far apart?":
            lambda lr, y: np.log2(vertex(lr[around(lr, y)], y[around(lr, y)])),
        "A parabola in λ, through all values, sees little but the largest ones.":
            lambda lr, y: np.log2(np.maximum(vertex(lr, y), 1e-9)),
        "This parabola goes through all values, and far from its top the row is no parabola.":
            lambda lr, y: vertex(np.log2(lr), y),
        "This is the middle of the row, weighted: where the runs broke should not count.":
            lambda lr, y: np.average(np.log2(lr), weights=y),
    }  # fmt: skip
    return Task(
        ("lr", "accuracy"), draw, (Question("the top", (at,), wrong),), within=0.12,
        otherwise="At some rows it is off by more than an eighth of an octave.",
    )  # fmt: skip


def adamw() -> Task:
    """|w| at equilibrium, the relative length of a step, and the time constant of |w|², of AdamW."""
    law = theory.adamw
    names = ("weights", "lr", "weight_decay", "momentum")

    def both(which):
        return (lambda *v: getattr(law(*v), which), lambda *v: getattr(law(*v, exact=True), which))

    def overlap(rho):
        return (1 + rho) / (1 - rho)

    (norm, _), (step, _), (tau, _) = map(both, ("norm", "update_rate", "time_constant"))
    norms = {
        "This is the square of what is asked for: |w|, in u.": lambda *v: norm(*v) ** 2,
        "A fourth root is SGD's, where growth falls as |w| rises: does it here?": lambda *v: np.sqrt(norm(*v)),
        "λ and α have changed places: which of them makes weights longer?": lambda K, lr, a, rho: norm(K, a, lr, rho),
        "How long is an update of K weights, each of which moves by about λ?": lambda K, *v: norm(1, *v),
        "An update is the root of K times one weight's: here it is K times.": lambda K, *v: norm(K, *v) * np.sqrt(K),
        "What does decay take from |w|², and not from |w|?": lambda *v: norm(*v) * np.sqrt(2),
        "Updates that share gradients are shorter than the gradients, but they also add up to more.":
            lambda *v: norm(*v) / np.sqrt(overlap(v[-1])),
        "Updates add up to more than if they were orthogonal, but each is shorter than a gradient.":
            lambda *v: norm(*v) * np.sqrt(overlap(v[-1])),
        "Here decay passes through the momentum: it is decoupled.": lambda *v: norm(*v) / np.sqrt(1 - v[-1]),
    }  # fmt: skip
    steps = {
        "This is what a gradient does in all: each step makes a part of it.": lambda *v: law(*v).lifetime_rate,
        "This is SGD's: there the buffer is a sum of gradients, here it is their mean.":
            lambda K, lr, a, rho: theory.update_rate(lr, a, rho),
        "This is a fresh gradient of SGD: coupled decay, and not the length of an update.":
            lambda K, lr, a, rho: theory.lars_rate(lr, a, rho),
        "This is a fresh gradient of SGDW, which is smaller than an update.":
            lambda K, lr, a, rho: theory.lars_rate(lr, a, rho, optimizer="sgdw"),
        "A root is missing: the balance is one of squares.": lambda *v: step(*v) ** 2,
        "The overlap of updates stands on the wrong side: are they longer or shorter than fresh gradients?":
            lambda *v: step(*v) * overlap(v[-1]),
        "What does decay take from the square of a norm?": lambda *v: step(*v) / np.sqrt(2),
        "This is relative to a single weight: it is |w| that counts.":
            lambda *v: step(*v) * norm(*v) / np.sqrt(v[0]),
    }  # fmt: skip
    taus = {
        "This is SGD's, where growth falls as |w| rises: does it here?": lambda *v: tau(*v) / 2,
        "This is SGD's, where decay passes through the momentum, and growth falls as |w| rises.":
            lambda K, lr, a, rho: theory.time_constant(lr, a, rho),
        "Decoupled decay does not pass through the momentum.": lambda *v: tau(*v) * (1 - v[-1]),
        "This is how fast |w| falls: |w|² is asked for.": lambda *v: 2 * tau(*v),
        "This is a rate: a number of steps is asked for.": lambda *v: 1 / tau(*v),
        "This is a half-life: e times closer is asked for.": lambda *v: np.log(2) * tau(*v),
    }
    questions = (("|w|", "norm", norms), ("the step", "update_rate", steps), ("τ", "time_constant", taus))
    asked = tuple(Question(name, both(which), wrong) for name, which, wrong in questions)
    return Task(names, drawn(*names, momentum=(0.05, 0.5)), asked)


def muon() -> Task:
    """|w| at equilibrium, and the relative length of a step, of Muon without momentum."""

    def draw(rng):
        rows, columns = (int(2**k) for k in rng.permutation(9)[:2] + 2)
        lr, a = np.exp(rng.uniform(np.log([0.002, 0.02]), np.log([0.05, 0.5])))
        return rows, columns, float(lr), float(a)

    def law(rows, columns, lr, a, **more):
        return theory.muon((rows, columns), lr, a, momentum=0.0, **more)

    def norm(*v, **more):
        return law(*v, **more).norm

    def step(*v):
        return law(*v).update_rate

    def ratio(rows, columns):
        return max(1, rows / columns)

    norms = {
        "This is the square of what is asked for: |w|, in u.": lambda *v: norm(*v) ** 2,
        "A fourth root is SGD's, where growth falls as |w| rises: does it here?": lambda *v: np.sqrt(norm(*v)),
        "λ and α have changed places: which of them makes weights longer?": lambda m, n, lr, a: norm(m, n, a, lr),
        "Each entry would move by λ: in Muon each singular value does. How many are there?":
            lambda m, n, lr, a: norm(1, 1, lr, a) * np.sqrt(m * n * ratio(m, n)),
        "Each entry would move by λ, as in AdamW, and the factor of the shape is missing.":
            lambda m, n, lr, a: norm(1, 1, lr, a) * np.sqrt(m * n),
        "A matrix has as many singular values as its shorter side.":
            lambda m, n, lr, a: norm(m, n, lr, a) * np.sqrt(max(m, n) / min(m, n)),
        "torch multiplies λ by a factor of the shape, which is missing.":
            lambda m, n, lr, a: norm(m, n, lr, a) / np.sqrt(ratio(m, n)),
        "The factor of the shape stands in it too often: λ makes growth and decay, and the factor growth alone.":
            lambda m, n, lr, a: norm(m, n, lr, a) * np.sqrt(ratio(m, n)),
        "The factor of the shape has rows and columns exchanged.":
            lambda m, n, lr, a: norm(n, m, lr, a),
        "The factor of the shape is never below 1 in torch's default.":
            lambda m, n, lr, a: norm(m, n, lr, a, adjust_lr_fn="spectral_unclamped"),
        "This has the factor of adjust_lr_fn='match_rms_adamw': torch's default is another one.":
            lambda m, n, lr, a: norm(m, n, lr, a, adjust_lr_fn="match_rms_adamw"),
        "What does decay take from |w|², and not from |w|?": lambda *v: norm(*v) * np.sqrt(2),
    }  # fmt: skip
    steps = {
        "A root is missing: the balance is one of squares.": lambda *v: step(*v) ** 2,
        "What does decay take from the square of a norm?": lambda *v: step(*v) / np.sqrt(2),
        "This is what decay takes from |w| in a step: how long is the step that balances it?":
            lambda m, n, lr, a: lr * a,
        "This is the length of an update, in u: divide it by |w|.": lambda *v: step(*v) * norm(*v),
        "This is λ: how long is an update of so many singular values, and how long is w?": lambda m, n, lr, a: lr,
        "The shape does not count here: it makes longer updates and longer weights.":
            lambda m, n, lr, a: step(m, n, lr, a) * np.sqrt(ratio(m, n)),
    }  # fmt: skip
    asked = (Question("|w|", (norm, lambda *v: norm(*v, exact=True)), norms),
             Question("the step", (step, lambda *v: law(*v, exact=True).update_rate), steps))  # fmt: skip
    return Task(("rows", "columns", "lr", "weight_decay"), draw, asked)
