"""The exercises of the book whose answer is one number: what is asked, the number as code finds it, and known mistakes.

The key is the number of the exercise, with a letter where it asks for two.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import theory
from .answers import Verdict, read, same
from .config import Config
from .questions import scaling
from .schedules import rates

__all__ = ["EXERCISES", "Exercise", "judge_number"]


class Exercise(NamedTuple):
    """A number that is asked for."""

    asks: str
    right: Callable[[], float | tuple[float, ...]]  # several where an estimate and the exact number are right
    wrong: dict[str, Callable]  # hint → of the right number, the one that is found by mistake
    close: float = 0.02  # relative, as numbers are rounded


def judge_number(exercise: Exercise, value) -> Verdict:
    """Return the verdict on a number; raises `answers.Refused` where it is none."""
    found = read(value, "Your answer")
    rights = np.atleast_1d(exercise.right())
    if any(same(found, right, exercise.close) for right in rights):
        return Verdict(True, "")
    for hint, mistake in exercise.wrong.items():
        if same(found, np.asarray(mistake(rights[0])), exercise.close):
            return Verdict(False, hint)
    ratio = float(found) / float(rights[0])
    if abs(ratio - 1) < 0.2:
        return Verdict(False, "It is close, but not close enough.")
    where = "negative" if ratio < 0 else "too large" if ratio > 1 else "too small"
    return Verdict(False, f"It is {where}: {exercise.asks}")


# What exercises share: λα of the headline run, and the way down on decay alone
X = 4.0 * 5e-4
DOWN = np.log(10) / X


@functools.cache
def _share_of_two():
    """Of all parameters of ResNet-9, those of its two largest convolutions."""
    import torch

    from .models import ResNet9, conv_layers

    with torch.device("meta"):
        model = ResNet9()
    largest = sorted(weight.numel() for weight in conv_layers(model).values())[-2:]
    return sum(largest) / sum(p.numel() for p in model.parameters())


@functools.cache
def _pairs(difference):
    """Pairs of runs with which λ = 0.1 and 0.05 can be told apart, if they differ by so much (%)."""
    from .compare import paired, runs_needed
    from .sweep import recorded

    accuracy = 100 * recorded("stable-resnet9").final_accuracy
    return runs_needed(paired(accuracy.sel(lr=0.1), accuracy.sel(lr=0.05)).sd, difference)


@functools.cache
def _doubling():
    """How much longer the second doubling of |w| takes than the first, without decay, by the recurrence."""
    norm = np.sqrt(theory.norm_recurrence(1.0, 1.0, np.full(4000, 0.2), 0.0))
    first, second = int((norm >= 2).argmax()), int((norm >= 4).argmax())
    return (second - first) / first


@functools.cache
def _lost(schedule):
    """How many steps before the end the push of a schedule is as strong as the pull, 4λα."""
    run = Config(lr=4.0, momentum=0.0, schedule=schedule)
    lr_t = rates(run, steps_per_epoch=97)
    weaker = -np.gradient(np.log(lr_t)) < 4 * lr_t * run.weight_decay
    return len(lr_t) - np.flatnonzero(weaker)[-1] - 1


def _border(rings, low, high):
    """Where a norm begins to ring, by bisection on a logarithmic scale."""
    for _ in range(60):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if rings(middle) else (middle, high)
    return float(middle)


def _rings_on_the_ridge(one_minus_rho):
    return theory.ringing(0.94 * one_minus_rho, 0.005, 1 - one_minus_rho) is not None


def _noisy_steps(k):
    """How long the sum of k noisy steps is, compared with one of them."""
    return np.linalg.norm(np.eye(k).sum(axis=0))


def _correlated(rho, chi=0.05):
    """Dots over line at a mean cosine χ, exactly, and to first order."""
    kappa = theory.kappa_from_chi(chi, rho)
    exact = theory.corrected_rate(0.1, 1e-3, rho, kappa=kappa) / theory.lars_rate(0.1, 1e-3, rho)
    return float(exact), 1 - rho * chi / np.sqrt(1 - rho**2)


def _lowered():
    """By how many % smoothing lowers a parabola that falls by 1 % at one octave; with a whole Gaussian, 1/4."""
    import xarray as xr

    from .peaks import OCTAVE, smooth

    lr = 2.0 ** np.arange(-6, 7)
    curve = xr.DataArray(-np.log2(lr) ** 2, {"lr": lr}, ["lr"])
    return -float(smooth(curve).sel(lr=1)), OCTAVE**2


EXERCISES = {
    "1.1": Exercise("the share of all parameters that the two largest convolutions hold, as a number from 0 to 1.",
        _share_of_two, {
            "This is one of the two: how many such layers does stage 3 have?": lambda y: y / 2,
            "Give it as a share of 1, not in percent.": lambda y: 100 * y,
            "This is the share of all the others.": lambda y: 1 - y,
        }),
    "2.3": Exercise("the number of pairs with which a difference of 0.2 % can be seen.", lambda: _pairs(0.2), {
            "This is the number for 0.5 %.": lambda y: _pairs(0.5),
            "These are single runs: a pair counts once.": lambda y: 2 * y,
        }, 1e-9),
    "3.1": Exercise("the factor on the tangent of the angle of a step.", lambda: float(scaling().right(0.5)[2]), {
            "This is the factor on |g| alone: it is compared with weights that have changed, too.": lambda y: y**0.5,
            "This is the factor on the loss.": lambda y: 1.0,
            "Upside down: the weights are shorter.": lambda y: 1 / y,
            "This is the factor on |w|.": lambda y: y**-0.5,
        }),
    "4.2a": Exercise("the steps from ten times the equilibrium norm, with λ = 4 and α = 5e-4.",
        lambda: (DOWN, theory.time_constant(4.0, 5e-4) * np.log(9999 / 0.4641)), {
            "Decay takes 2λα from |w|², and it is |w| that is to fall by ten: count both the same way.":
                lambda y: DOWN / 2,
            "This is the time constant of |w|⁴ near equilibrium, times ln 10: far above it there is decay alone.":
                lambda y: DOWN / 4,
            "This is 1/(λα): that takes |w| down by e, not by ten.": lambda y: 1 / X,
            "Ten has a natural logarithm of 2.3, and a common one of 1: which of them is in e^(−λαt)?":
                lambda y: 10 / X,
            "This is the way from below.": lambda y: 0.25 / X,
        }, 0.06),
    "4.2b": Exercise("the steps from a tenth of the equilibrium norm, with λ = 4 and α = 5e-4.",
        lambda: (theory.time_constant(4.0, 5e-4), 111.0), {
            "It is not the same from both sides: from below there is next to no decay.": lambda y: DOWN,
            "|w|⁴ grows by 2λ²c² a step, not by λ²c²: square what |w|² becomes.": lambda y: 2 * y,
            "|w|² grows by λ²c²/|w|², and that is less and less: follow |w|⁴.": lambda y: 4 * y,
        }, 0.04),
    "4.3": Exercise("how many times as many steps the second doubling of |w| takes.", _doubling, {
            "This would be so if |w|² grew by as much at each step: |g| falls meanwhile.": lambda y: 4.0,
            "This would be so if |w| grew by as much at each step.": lambda y: 2.0,
            "It is not |w|³ that grows by as much at each step.": lambda y: 8.0,
            "Divide the second time by the first, both counted from where they begin.": lambda y: 17.0,
            "So many times the first |w|⁴ has to be added in the first doubling: and in the second?": lambda y: 15.0,
        }),
    "4.5": Exercise("the relative fluctuation of |w|², as a number, with s₂ = 0.5 and λα = 0.002.",
        lambda: 0.5 * np.sqrt(X / 2), {
            "A deviation is forgotten twice as fast: larger weights also have smaller gradients.":
                lambda y: 0.5 * np.sqrt(X),
            "This is what a single step adds: fluctuations of many steps add up.": lambda y: 0.5 * 2 * X,
            "This is the relative fluctuation of |g|²: |w|² is a mean over many steps.": lambda y: 0.5,
            "A root is missing: it is variances that add up.": lambda y: y**2,
            "Give it as a number, not in percent.": lambda y: 100 * y,
            "This is the fluctuation of |w|: |w|² is asked for.": lambda y: y / 2,
        }),
    "5.1": Exercise("the factor on |w| when α is doubled, at the same λ and c.",
        lambda: theory.equilibrium_norm(1.0, 4.0, 1e-3) / theory.equilibrium_norm(1.0, 4.0, 5e-4), {
            "This is the factor on |w|⁴, or its inverse: look at |w|.": lambda y: 0.5,
            "More decay does not make the weights longer.": lambda y: 2.0,
            "This is the factor on |g|/|w|: look at |w|.": lambda y: 2**0.5,
            "This is the factor on |w|²: look at |w|.": lambda y: 2**-0.5,
            "This is the factor when λ is doubled.": lambda y: 1 / y,
        }),
    "5.3": Exercise("the steps until weights that are ten times too long are right, with λ = 0.4, α = 5e-4, ρ = 0.9.",
        lambda: DOWN, {
            "Momentum is not in it: a gradient, and decay, act through all their installments.": lambda y: 10 * DOWN,
            "Momentum is in it twice.": lambda y: DOWN / 10,
            "This is τ ln 10: far above equilibrium |w|⁴ is decay alone, and |w| is asked for.": lambda y: DOWN / 4,
            "This is decay of |w|², by ten: |w| is to fall by ten.": lambda y: DOWN / 2,
            "This is τ, the time from below.": lambda y: 0.25 / X,
        }, 0.06),
    "5.4": Exercise("the |w|² at which it settles, if c stays the same.",
        lambda: theory.equilibrium_norm(0.032 * 10.8 / 0.4, 0.4, 0.008) ** 2, {
            "This is |w|: |w|² is asked for.": lambda y: y**0.5,
            "This is what it is for c = 1: what is c at the first dots?": lambda y: (0.4 / 0.016) ** 0.5,
            "λ|g|/|w| is given, and not |g|/|w|: c is not so small.": lambda y: 0.4 * y,
            "This is |w|⁴.": lambda y: y**2,
        }, 0.05),
    "5.5": Exercise("the e-folds of |w|⁴ in the fine-tuning of (b).",
        lambda: 1560 / theory.time_constant(0.01, 1e-4, 0.9), {
            "Momentum is not in it.": lambda y: y / 10,
            "These are e-folds of |w|, and |w|⁴ has more.": lambda y: y / 4,
            "These are e-folds of |w|², and |w|⁴ has more.": lambda y: y / 2,
            "This is what is left of it, e to the minus number of e-folds.": lambda y: np.exp(-y),
            "Upside down: how many time constants fit into the training?": lambda y: 1 / y,
        }, 0.03),
    "5b.3": Exercise("how many steps before the end of a half cosine of 1,843 steps equilibrium is lost, at λ = 4.",
        lambda: float(_lost("cosine")), {
            "This is the ramp's: a cosine ends as a square.": lambda y: float(_lost("triangular")),
            "The push of a square is twice as strong.": lambda y: y / 2 ** (1 / 3),
            "Near its end a half cosine is x²/4 with x = π(T − t)/T: is T the time in which it falls?":
                lambda y: y * (np.pi / 2) ** (2 / 3),
        }, 0.03),
    "6.4": Exercise("the factor on the rate in units of LARS when batch and λ are both 16 times as large.",
        lambda: (theory.lars_rate(1.6, 5e-4) / theory.lars_rate(0.1, 5e-4), _noisy_steps(16)), {
            "This is the factor on λ: the rate in units of LARS is a root.": lambda y: 16.0,
            "Two roots: one is of LARS, and the other one is in |g| already.": lambda y: 2.0,
            "Upside down.": lambda y: 1 / y,
            "The linear rule does change the rate.": lambda y: 1.0,
        }),
    "7.1": Exercise("how many times the images of a small batch are needed at 16 N_noise, with λ ∝ N.",
        lambda: (np.sqrt(1 + 16), np.sqrt((1 + 16) / (1 + 256 / 1024))), {
            "A root is missing: the step at equilibrium is √(2λα).": lambda y: 17.0,
            "A root is missing, and even at the noise scale a batch is half signal.": lambda y: 16.0,
            "Upside down: a batch far above the noise scale needs more images.": lambda y: 1 / y,
            "This is with the same λ for the large batch: λ is to grow as N.": lambda y: 30.0,
            "The linear rule fails here: this would be without any loss.": lambda y: 1.0,
        }, 0.04),
    "7b.1": Exercise("the number of small steps in one, from which on it ends farther from the floor than it began.",
        lambda: float(np.argmax(abs(1 - 0.3 * np.arange(1, 20)) > 1) + 1), {
            "From here on it overshoots the floor: is it farther away than before?": lambda y: 4.0,
            "Here it is still nearer to the floor than before.": lambda y: 6.0,
            "This is 2/(λh): which is the first whole number beyond it?": lambda y: 2 / 0.3,
            "Here there is no overshoot: see where 1 − kλh is below −1.": lambda y: 3.0,
        }, 1e-3),
    "7b.2": Exercise("the steps after which a mean of −0.027 with a scatter of 0.03 is told from 0, for layer3.",
        lambda: ((2 * 0.03 / 0.027) ** 2, 5.0), {
            "This is one standard error: two are asked for.": lambda y: y / 4,
            "A square is missing: a standard error falls as 1/√M.": lambda y: y**0.5,
            "Twice, and not four times: the two belong inside of the square.": lambda y: y / 2,
            "Upside down.": lambda y: 1 / y,
        }, 0.03),
    "8.1": Exercise("the largest of the three lengths over the smallest, at ρ = 0.9.",
        lambda: theory.lifetime_rate(1.0, 1e-3, 0.9) / theory.lars_rate(1.0, 1e-3, 0.9), {
            "These are two neighbors, the largest and the middle one: the extremes are asked for.":
                lambda y: theory.lifetime_rate(1.0, 1e-3, 0.9) / theory.update_rate(1.0, 1e-3, 0.9),
            "These are two neighbors, the middle and the smallest one: the extremes are asked for.":
                lambda y: theory.update_rate(1.0, 1e-3, 0.9) / theory.lars_rate(1.0, 1e-3, 0.9),
            "These are squares of lengths.": lambda y: y**2,
            "Upside down: the largest over the smallest.": lambda y: 1 / y,
            "1 − ρ stands in both of them: on opposite sides.": lambda y: y**0.5,
        }),
    "8.2": Exercise("dots over line at ρ = 0.99 and a mean cosine of 0.05.", lambda: _correlated(0.99), {
            "This is for ρ = 0.9.": lambda y: _correlated(0.9)[0],
            "κ is not χ: v is longer than a single gradient.": lambda y: 1 / np.sqrt(1 + 2 * 0.99 * 0.05),
            "This is by how much they are too low: dots over line is asked for.": lambda y: 1 - y,
            "The other way: a common part that adds up makes for a smaller |g|/|w|.": lambda y: 1 / y,
            "A root is missing.": lambda y: y**2,
        }),
    "8.3": Exercise("how many times the α SGDW needs for the lengths of coupled decay, at ρ = 0.9.",
        lambda: theory.lifetime_rate(0.4, 5e-4, 0.9) ** 2
        / theory.lifetime_rate(0.4, 5e-4, 0.9, optimizer="sgdw") ** 2, {
            "This is the factor on the lengths: each has a root of α in it.": lambda y: y**0.5,
            "The other way: which of the two decays passes through the momentum?": lambda y: 1 / y,
            "Momentum is in it twice.": lambda y: y**2,
            "Coupled and decoupled decay are the same without momentum only.": lambda y: 1.0,
        }),
    "8.4": Exercise("the α below which the norms do not ring, with ρ = 0.99 and λ = 0.04.",
        lambda: _border(lambda a: theory.ringing(0.04, a, 0.99) is not None, 1e-6, 1.0), {
            "Is it 4λα that stands at the border, and 1 − √ρ that is squared?": lambda y: 4 * y,
            "This is λα: divide by λ.": lambda y: 0.04 * y,
            "This is 4λα at the border.": lambda y: 0.16 * y,
            "This is the α of the run, which rings.": lambda y: 5e-4,
            "It is the square of 1 − √ρ.": lambda y: (1 - 0.99**0.5) / 0.16,
        }),
    "8b.3": Exercise("the ρ from which on the norm rings, on the ridge λ = 0.94 (1 − ρ) with α = 0.005.",
        lambda: 1 - _border(lambda s: not _rings_on_the_ridge(s), 1e-3, 0.9), {
            "This is √ρ.": lambda y: y**0.5,
            "This is 1 − ρ.": lambda y: 1 - y,
            "This is ρ².": lambda y: y**2,
            "The 4 of 4λα is missing.": lambda y: ((1 - 0.0047) / (1 + 0.0047)) ** 2,
        }, 0.003),
    "9.1": Exercise("the factor between the two |w| at equilibrium.",
        lambda: theory.equilibrium_norm(10.0, 1.0, 1e-3) / theory.equilibrium_norm(1.0, 1.0, 1e-3), {
            "This is the factor on |w|²: look at |w|.": lambda y: 10.0,
            "The rates are the same, and the norms are not.": lambda y: 1.0,
            "Upside down: do longer gradients make longer weights?": lambda y: 1 / y,
            "|w|⁴ goes as the square of c, and not as c.": lambda y: 10**0.25,
            "This is the factor on |w|⁴: look at |w|.": lambda y: 100.0,
        }),
    "9.2": Exercise("by how many % smoothing lowers the top.", _lowered, {
            "It is the variance that counts, and not the standard deviation.": lambda y: 0.5,
            "A mean over neighbors does lower a top.": lambda y: 0.0,
            "Give it in percent.": lambda y: y / 100,
            "This is the fall at one octave: how far away are the neighbors, on average?": lambda y: 1.0,
        }, 0.08),
    "11.3": Exercise("the share of the initial |w|² that is left at the end.",
        lambda: float(np.prod((1 - 0.1 * np.linspace(3e-4, 0, 10_000)) ** 2)), {
            "This is of |w|: |w|² is asked for.": lambda y: y**0.5,
            "λ falls to zero: what is its mean? (Decay takes 2λα of |w|²; 4λα is the time constant of SGD.)":
                lambda y: y**2,
            "This is the share that is gone.": lambda y: 1 - y,
            "1/(λα) is 33,000 steps, so something is left.": lambda y: 0.0,
        }, 0.01),
    "11.6": Exercise("the number by which λ has to be divided when ρ goes from 0.9 to 0.95.",
        lambda: theory.hyperball(0.01, lambda k: 0.95**k).lifetime_rate
        / theory.hyperball(0.01, lambda k: 0.9**k).lifetime_rate, {
            "This is the factor on S: lengths go as its root.": lambda y: y**2,
            "Upside down: which of the two adds up to more?": lambda y: 1 / y,
            "This would be so if S were 1/(1 − ρ).": lambda y: 2**0.5,
            "The length of a step stays, but the long run is asked for.": lambda y: 1.0,
        }, 0.005),
}  # fmt: skip
