"""Checks of what a reader has written: the functions that the exercises ask for, and their numbers.

    rd.check.equilibrium_norm(norm)     # norm: a function of c, lr, weight_decay, momentum
    rd.check.number("5.1", 0.5)

A function is tried at a dozen random settings, the same ones each time, and compared with the package's own equations.
What comes back is shown at the end of a cell, and is true if the answer is right. If not, it has a hint, of its own for
each of the usual mistakes, which does not say the answer. A function may return a number of Python, numpy, xarray or
torch. It gets its arguments by name where it has the names that are asked for, and else in their order. Where torch is
loaded, a function that takes nothing but tensors gets tensors.

In a graded cell: `rd.check.equilibrium_norm(norm).require()`, which raises `NotYet`, an AssertionError that a notebook
shows without a traceback. The answers are in `theory`, `optim` and `peaks`, for whoever looks: this is for learning,
and not for an examination.
"""

from __future__ import annotations

from collections.abc import Callable

from . import further_questions, questions
from .answers import EMPTY, NotYet, Refused, Verdict, judge

__all__ = [
    "NotYet", "Verdict", "adamw", "equilibrium_lost", "equilibrium_norm", "invariant", "lars", "muon", "noise",
    "norm_step", "number", "rate", "recurrence", "run", "scaling", "symmetry", "time_constant", "top",
]  # fmt: skip


def number(exercise: str, value=...) -> Verdict:
    """Check the number that an exercise asks for; without one, say what is asked for.

    Args:
        exercise: as in "5.1": chapter 5, exercise 1. With a letter where two numbers are asked for.
        value: the number, rounded to two digits or more.

    Raises:
        ValueError: no such exercise, or it does not ask for a number.

    >>> number("4.3", 4)
    Not yet. This would be so if |w|² grew by as much at each step: |g| falls meanwhile.
    """
    from .exercises import EXERCISES, judge_number

    if exercise not in EXERCISES:
        raise ValueError(f"exercise={exercise!r}: must be one of {', '.join(EXERCISES)}")
    try:
        return judge_number(EXERCISES[exercise], value)
    except Refused as why:
        asks = f" Asked for is {EXERCISES[exercise].asks}" if str(why) == EMPTY else ""
        return Verdict(False, f"{why}{asks}")


def scaling(function: Callable) -> Verdict:
    """Check a function of r: the factors on loss, |g| and angle of a step when w is multiplied by r. Chapter 3.

    The loss is scale invariant, λ stays the same, and there is no decay. Of the angle it is the tangent. Returns
    (loss, gradient, angle) when called with r > 0.

    >>> scaling(lambda r: (1, 1, 1))
    Not yet. gradient: The loss is the same, but to turn longer weights by the same angle takes a longer step.
    """
    return judge(function, questions.scaling())


def invariant(answer, *, without_norm=False) -> Verdict:
    """Check which parameters of ResNet-9 are scale invariant in training. Chapter 3. Loads torch.

    Args:
        answer: {group: True or False} for each of `network_answers.GROUPS`, or a function of a group's name. A group
            is multiplied as a whole, by one number above 0.
        without_norm: what is left when a layer loses its batch norm: {layer: (the layer as a whole, each of its
            filters)} for the eight convolutions, or a function of a layer's name.
    """
    from .network_answers import judge_groups, judge_layers

    try:
        return judge_layers(answer) if without_norm else judge_groups(answer)
    except Refused as why:
        return Verdict(False, str(why), why.__cause__)


def norm_step(function: Callable) -> Verdict:
    """Check a function of w2, g2, wg, lr, weight_decay: |w′|² after a step of plain SGD, exactly. Chapter 3.

    w′ = w − λ(g + αw), as PyTorch has it. w2, g2 and wg are |w|², |g|² and w·g, which is any number here.
    """
    return judge(function, questions.norm_step())


def symmetry(function: Callable) -> Verdict:
    """Check a function of r, lr, weight_decay: the (λ′, α′) with which r·w goes r times the way of w. Chapter 3."""
    return judge(function, questions.symmetry())


def recurrence(function: Callable) -> Verdict:
    """Check a function of w2_0, c, lr_t, weight_decay: the series of |w|² before each step of plain SGD. Chapter 4.

    lr_t [T] has λ of each step; c = |g||w| is the same at all steps, and w·g = 0. Returns T numbers, w2_0 first.
    """
    return judge(function, questions.recurrence())


def equilibrium_norm(function: Callable, *, momentum=True) -> Verdict:
    """Check a function of c, lr, weight_decay, momentum: |w| at equilibrium, in u. Chapters 5 and 8.

    c = |g||w|; decay is coupled. To leading order in λα, or exactly. momentum=False: the function has no momentum.
    """
    return judge(function, questions.equilibrium_norm(momentum))


def time_constant(function: Callable, *, momentum=True) -> Verdict:
    """Check a function of lr, weight_decay, momentum: in how many steps |w|⁴ comes e times closer. Chapters 5 and 8.

    Decay is coupled, and c constant. momentum=False: the function has no momentum.
    """
    return judge(function, questions.time_constant(momentum))


def equilibrium_lost(function: Callable, *, momentum=True) -> Verdict:
    """Check a function of slope, weight_decay, momentum: the steps before its end at which a ramp loses equilibrium.

    λ = s(T − t), slope s per step, with constant α and c: the steps that are left when push and pull are equal. Chapter
    5b. momentum=False: the function has no momentum.
    """
    return judge(function, questions.equilibrium_lost(momentum))


def rate(function: Callable, *, length="fresh", momentum=True) -> Verdict:
    """Check a function of lr, weight_decay, momentum: a length at equilibrium, relative to |w|. Chapters 5, 6 and 8.

    Args:
        length: "fresh", λ|g|/|w| of a gradient in its own step; "update", |w′ − w|/|w|, rms; or "whole", all that one
            gradient does, in all steps together. Without momentum they are the same. Gradients are orthogonal to w and
            to each other, decay is coupled. To leading order in λα, or exactly.
        momentum: False if the function has no momentum.
    """
    if length not in ("fresh", "update", "whole"):
        raise ValueError(f"length={length!r}: must be 'fresh', 'update' or 'whole'")
    return judge(function, questions.rate(length, momentum))


def lars(step) -> Verdict:
    """Check a step of LARS, without decay, in 20 steps. Chapters 6 and 8.

    Args:
        step: a function w, g, lr → w′ of one layer, equation (4); or w, v, g, lr, momentum → (w′, v′), equation (8); or
            an optimizer of torch, made by step(parameters, lr=..., momentum=...), of which each tensor is a layer.
    """
    from .optimizer_answers import judge_lars

    return judge_lars(step)


def noise(function: Callable) -> Verdict:
    """Check a function of g2_a, N_a, g2_b, N_b: (|ḡ|², tr Σ) from the mean |g|² of batches of two sizes. Chapter 7.

    ḡ is the mean gradient, Σ the covariance of the gradients of single images. Either batch may be the larger one.
    """
    return judge(function, further_questions.noise())


def top(function: Callable) -> Verdict:
    """Check a function of lr, accuracy [n]: log2 of the λ at which a noisy row has its top. Chapters 2 and 9.

    An eighth of an octave is close enough.
    """
    return judge(function, further_questions.top())


def adamw(function: Callable) -> Verdict:
    """Check a function of weights, lr, weight_decay, momentum: the equilibrium of AdamW with decoupled decay.

    weights K, the number of them in a layer; momentum is β₁. Gradients are orthogonal to w and to each other, and about
    the same in all weights. Returns |w|, the length of a step relative to it, and the time constant of |w|².
    """
    return judge(function, further_questions.adamw())


def muon(function: Callable) -> Verdict:
    """Check a function of rows, columns, lr, weight_decay: the equilibrium of Muon without momentum.

    Updates are s times the polar factor of a gradient, all singular values 1, with torch's default s; gradients are
    orthogonal to w and to each other. Returns |w|, of all entries, and the length of a step relative to it.
    """
    return judge(function, further_questions.muon())


def run(recording, **wanted) -> Verdict:
    """Check the recording of an experiment: it has these settings, is no recording of the book, and what it shows.

    Args:
        recording: by `rd.run`.
        wanted: fields of `Config` and their values, as lr=0.2; a function of a value says whether it will do.

    Returns:
        If it is as wanted, the verdict says in words how far theory and recording agree (`measure.acceptance`): that is
        a result, whatever it is.

    Raises:
        ValueError: there is no such field.
    """
    from .network_answers import judge_run

    try:
        return judge_run(recording, wanted)
    except Refused as why:
        return Verdict(False, str(why))
