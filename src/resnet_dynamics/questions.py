"""What the checks ask of SGD's norms: right answers by the package's equations, and known mistakes, each with its hint.

A hint says where to look, and leaves the answer to be found. Where there is no momentum some of the mistakes are right:
this does no harm, as the right answer is looked for first. Symbols are those of `theory`.
"""

from __future__ import annotations

import numpy as np

from . import theory
from .answers import Question, Task, drawn

__all__ = [
    "equilibrium_lost", "equilibrium_norm", "norm_step", "rate", "recurrence", "scaling", "symmetry", "time_constant",
]  # fmt: skip

_UNITS = {"c": 0, "lr": 2, "weight_decay": -2, "momentum": 0}  # powers of u


def _task(name, law, arguments, wrong, unit):
    """A task of one law, of which the leading order and the exact form are right."""
    right = (law, lambda *values: law(*values, exact=True))
    return Task(arguments, drawn(*arguments), (Question(name, right, wrong, unit),), units=_UNITS)


def _with(momentum):
    return ("lr", "weight_decay", "momentum") if momentum else ("lr", "weight_decay")


# Chapter 3: one step
def norm_step() -> Task:
    """|w′|² of a step of plain SGD, exactly, where w·g need not be zero."""

    def draw(rng):
        w2, g2, lr = np.exp(rng.uniform(np.log([0.5, 0.02, 0.1]), np.log([20.0, 2.0, 1.0])))
        cosine, x = rng.choice([-1, 1]) * rng.uniform(0.2, 0.7), rng.uniform(0.03, 0.3)
        return tuple(map(float, (w2, g2, cosine * np.sqrt(w2 * g2), lr, x / lr)))

    def step(taken):
        """|w′|² of vectors that have these products; `taken` makes the step."""

        def after(w2, g2, wg, lr, weight_decay):
            w = np.array([np.sqrt(w2), 0.0])
            g = np.array([wg / w[0], np.sqrt(g2 - wg**2 / w2)])
            return float(np.sum(taken(w, g, lr, weight_decay) ** 2))

        return after

    right = step(lambda w, g, lr, a: theory.descend(theory.decay(w, lr, a), g, lr))

    def no_product(w2, g2, wg, lr, a, exact=True):
        return theory.norm_after_gradient(theory.norm_after_decay(w2, lr, a, exact=exact), g2, lr)

    wrong = {
        "Here the gradient is taken after the decay, at weights that are shorter: take it at w, as PyTorch does.":
            step(lambda w, g, lr, a: theory.descend(theory.decay(w, lr, a), g / (1 - lr * a), lr)),
        "Here decay shrinks the step of the gradient, too: both start from the same w.":
            step(lambda w, g, lr, a: theory.decay(theory.descend(w, g, lr), lr, a)),
        "λ²α² has been dropped: exactly is asked for.":
            lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, a) - (lr * a) ** 2 * w2,
        "The product with w·g is that of a step without decay: which vector does λg meet?":
            lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, a) - 2 * lr**2 * a * wg,
        "Whatever is of second order in λα or λ²α is missing: exactly is asked for, so square the sum as it is.":
            lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, a) - (lr * a) ** 2 * w2 - 2 * lr**2 * a * wg,
        "w·g has the wrong sign: which way does a gradient step go?":
            step(lambda w, g, lr, a: theory.descend(theory.decay(w, lr, a), -g, lr)),
        "This holds where w·g = 0: here it need not be.": no_product,
        "This holds to first order in λα and where w·g = 0: neither is meant here.":
            lambda *values: no_product(*values, exact=False),
        "This is |w′|: its square is asked for.": lambda *values: np.sqrt(right(*values)),
        "How often does the product of the two parts occur in the square of their sum?":
            lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, a) + lr * (1 - lr * a) * wg,
        "What the gradient adds is not a square: compare the units of its λ and |g|² with u².":
            lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, a) + (lr - lr**2) * g2,
        "Decay multiplies w: what does it do to |w|²?":
            lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, a) + lr * a * (1 - lr * a) * w2,
        "Decay is missing.": lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, 0.0),
        "The gradient is missing.": lambda w2, g2, wg, lr, a: theory.norm_after_decay(w2, lr, a),
        "w2 and g2 are squares already: do not square them again.":
            lambda w2, g2, wg, lr, a: no_product(w2**2, g2**2, wg, lr, a) - 2 * lr * (1 - lr * a) * wg,
        "Decay of a step is not α alone: its unit is not that of a pure number.":
            step(lambda w, g, lr, a: theory.descend((1 - a) * w, g, lr)),
        "Two lengths are added here: w and g have an angle between them.":
            lambda w2, g2, wg, lr, a: ((1 - lr * a) * np.sqrt(w2) + lr * np.sqrt(g2)) ** 2,
        "A step across the weights lengthens them, whichever way it goes.":
            lambda w2, g2, wg, lr, a: right(w2, g2, wg, lr, a) - 2 * theory.growth(g2, lr),
    }  # fmt: skip
    asked = Question("|w′|²", (right,), wrong)
    otherwise = "Begin with w′, in terms of w and g, and square the whole of it."
    return Task(("w2", "g2", "wg", "lr", "weight_decay"), draw, (asked,), otherwise=otherwise)


def scaling() -> Task:
    """By which factors loss, |g| and the tangent of the angle of a step change when w is multiplied by r."""
    w, slope = np.array([3.0, -1.0, 2.0]), np.array([1.0, 0.5, -0.2])

    def measured(r):
        """Of a loss that sees the direction of w alone, L = s·w/|w|."""
        sizes = []
        for v in (w, r * w):
            v2 = v @ v
            g = (slope - slope @ v / v2 * v) / np.sqrt(v2)
            sizes.append((slope @ v / np.sqrt(v2), np.linalg.norm(g), np.linalg.norm(g) / np.sqrt(v2)))
        return np.divide(*sizes[::-1])

    loss = {
        "Follow r through the quotient that batch norm takes: what is left of it?": lambda r: r,
        "Batch norm takes a quotient: r is below the line, and where else?": lambda r: 1 / r,
        "A loss that grows as |w|² is that of a network without batch norm.": lambda r: r**2,
        "A factor of 0 would leave no loss at all: what is the factor on something that stays as it is?":
            lambda r: 0 * r,
    }  # fmt: skip
    gradient = {
        "Longer weights, longer gradient? Differentiate L(rw) = L(w) with respect to w, inner derivative included.":
            lambda r: r,
        "The loss is the same, but to turn longer weights by the same angle takes a longer step.": lambda r: 1 + 0 * r,
        "Only one derivative is taken: one inner derivative.": lambda r: 1 / r**2,
        "This is how |g|² changes the other way round: see how steep the loss is far out.": lambda r: r**2,
        "This is an exponent: the factor is asked for.": lambda r: 0 * r - 1,
    }  # fmt: skip
    angle = {
        "The step is shorter, and the weights are longer: both count.": lambda r: 1 / r,
        "The angle depends on the length of the weights, even where the loss does not.": lambda r: 1 + 0 * r,
        "The step is shorter or the weights are longer: neither makes the angle larger.": lambda r: r,
        "Upside down: do longer weights turn further?": lambda r: r**2,
        "One power of r is too many: a step is λ|g|, and it is compared with |w|.": lambda r: 1 / r**3,
        "This is an exponent: the factor is asked for.": lambda r: 0 * r - 2,
    }
    questions = [
        Question(name, (lambda r, i=i: measured(r)[i],), wrong)
        for i, (name, wrong) in enumerate({"loss": loss, "gradient": gradient, "angle": angle}.items())
    ]
    return Task(("r",), drawn("r"), tuple(questions))


def symmetry() -> Task:
    """λ′ and α′ with which a layer that starts at r times its weights goes r times the way."""
    rate = {
        "One power of r is not enough: the gradient is shorter there, and the step must be longer.":
            lambda r, lr, a: r * lr,
        "The other way round: must the step of longer weights be longer or shorter?": lambda r, lr, a: lr / r**2,
        "The other way round, and one power of r is not enough.": lambda r, lr, a: lr / r,
        "With the same λ the longer weights turn less.": lambda r, lr, a: lr,
        "This would be right if the gradient fell as 1/r³.": lambda r, lr, a: r**4 * lr,
    }  # fmt: skip
    decay = {
        "Left as it is, λα changes: by which share does a step then shrink the weights?": lambda r, lr, a: a,
        "Compare the share that decay takes in a step, λα, with what it was: one power of r is not enough.":
            lambda r, lr, a: a / r,
        "The wrong way round: what happens to λα?": lambda r, lr, a: a * r**2,
        "The wrong way round, and by too few powers of r.": lambda r, lr, a: a * r,
        "This is λ′ and not α′, or both in the wrong order.": lambda r, lr, a: r**2 * lr,
    }  # fmt: skip
    return Task(
        ("r", "lr", "weight_decay"), drawn("r", "lr", "weight_decay"),
        (Question("λ′", (lambda r, lr, a: r**2 * lr,), rate), Question("α′", (lambda r, lr, a: a / r**2,), decay)),
    )  # fmt: skip


# Chapter 4: many steps
def recurrence() -> Task:
    """|w|² before each step of plain SGD, from the first norm and the size of the gradients."""

    def draw(rng):
        steps = int(rng.integers(6, 14))
        lr_t = rng.uniform(0.2, 1.0, steps)
        w2_0, c, a = np.exp(rng.uniform(np.log([0.3, 0.3, 0.02]), np.log([6.0, 2.0, 0.2])))
        return float(w2_0), float(c), lr_t, float(a)

    law = theory.norm_recurrence

    def one_more(w2_0, c, lr_t, a):
        return law(w2_0, c, np.append(lr_t, 0.0), a)

    def follow(step):
        """Every state before its step, where a step makes w2 what step(w2, c, λ, α, w2_0) says."""

        def path(w2_0, c, lr_t, a):
            w2, series = w2_0, []
            for lr in lr_t:
                series.append(w2)
                w2 = step(w2, c, lr, a, w2_0)
            return np.array(series)

        return path

    def balance(growth):
        return follow(lambda w2, c, lr, a, w2_0: theory.norm_after_decay(w2, lr, a) + growth(w2, c, lr, w2_0))

    wrong = {
        "Each entry is the state after its step: the first one is to be the norm that you are given.":
            lambda *values: one_more(*values)[1:],
        "The series is one too long: the state after the last step is not asked for.": one_more,
        "Here |g| = c whatever |w| is: longer weights have shorter gradients.":
            balance(lambda w2, c, lr, w2_0: lr**2 * c**2),
        "|g| is c/|w|, with |w| and not |w|² below the line.": balance(lambda w2, c, lr, w2_0: (lr * c / w2) ** 2),
        "|g| must stand squared in what it adds, with c and with |w|.":
            balance(lambda w2, c, lr, w2_0: lr**2 * c / np.sqrt(w2)),
        "c must stand squared in what the gradient adds.": balance(lambda w2, c, lr, w2_0: lr**2 * c / w2),
        "λ must stand squared in what the gradient adds.": balance(lambda w2, c, lr, w2_0: lr * c**2 / w2),
        "Here the gradient is always that of the first weights: |g| changes as |w| does.":
            balance(lambda w2, c, lr, w2_0: (lr * c) ** 2 / w2_0),
        "Decay multiplies w: what does it do to |w|²?":
            follow(lambda w2, c, lr, a, w2_0: (1 - lr * a) * w2 + theory.growth(c**2 / w2, lr)),
        "λ²α² has been dropped: the exact step is asked for.":
            follow(lambda w2, c, lr, a, w2_0: theory.norm_after_gradient(
                theory.norm_after_decay(w2, lr, a, exact=False), c**2 / w2, lr)),
        "Here the gradient is taken after the decay: take it at the weights before, as PyTorch does.":
            follow(lambda w2, c, lr, a, w2_0: (d := theory.norm_after_decay(w2, lr, a)) + theory.growth(c**2 / d, lr)),
        "Here decay acts on what the gradient has added in the same step: both start from the same weights.":
            follow(lambda w2, c, lr, a, w2_0: theory.norm_after_decay(w2 + theory.growth(c**2 / w2, lr), lr, a)),
        "λ is that of the first step at every step: it is a series.":
            lambda w2_0, c, lr_t, a: law(w2_0, c, np.full_like(lr_t, lr_t[0]), a),
        "This is |w|: the series of |w|² is asked for.": lambda *values: np.sqrt(law(*values)),
        "w2_0 is a square already.": lambda w2_0, *more: law(w2_0**2, *more),
        "Decay of a step is λα, and not α.":
            follow(lambda w2, c, lr, a, w2_0: (1 - a) ** 2 * w2 + theory.growth(c**2 / w2, lr)),
        "A step across the weights lengthens them: what the gradient does to |w|² has the other sign.":
            follow(lambda w2, c, lr, a, w2_0: (1 - lr * a) ** 2 * w2 - (lr * c) ** 2 / w2),
        "exp(−2λα) is what decay does in the limit of small steps: the exact step is asked for.":
            follow(lambda w2, c, lr, a, w2_0: np.exp(-2 * lr * a) * w2 + theory.growth(c**2 / w2, lr)),
        "Decay is missing.": lambda w2_0, c, lr_t, a: law(w2_0, c, lr_t, 0.0),
        "The gradient is missing.": lambda w2_0, c, lr_t, a: law(w2_0, 0.0, lr_t, a),
    }  # fmt: skip
    return Task(("w2_0", "c", "lr_t", "weight_decay"), draw, (Question("|w|²", (law,), wrong),), series=True)


# Chapters 5 and 8: equilibrium
def equilibrium_norm(momentum: bool) -> Task:
    """|w| at equilibrium."""
    law = theory.equilibrium_norm
    wrong = {
        "This is the square of what is asked for: |w|, in u.": lambda *v: law(*v) ** 2,
        "This is the fourth power of what is asked for: |w|, in u.": lambda *v: law(*v) ** 4,
        "Momentum is not in it: what a gradient does in all is more than what it does in its own step.":
            lambda c, lr, a, rho=0.0: law(c, lr, a),
        "1 − ρ stands on the wrong side: are the weights longer or shorter when each gradient does more?":
            lambda c, lr, a, rho=0.0: law(c, lr, a) ** 2 / law(c, lr, a, rho),
        "This is with decoupled decay: here it passes through the momentum as the gradients do.":
            lambda c, lr, a, rho=0.0: law(c, lr, a, rho, optimizer="sgdw"),
        "λ and α have changed places: which of them makes weights longer?": lambda c, lr, a, *rho: law(c, a, lr, *rho),
        "What does decay take from |w|², and not from |w|?": lambda *v: law(*v) * 2**0.25,
        "The number that decay brings stands on the wrong side: more decay, shorter weights.":
            lambda *v: law(*v) * 2**0.5,
        "c stands in it with the wrong power: what a gradient adds to |w|² is its square.":
            lambda c, *v: law(c, *v) / c**0.25,
        "This is |w|/|g|, in u²/nat: how does |g| depend on |w|?": lambda c, *v: theory.trust_ratio(*v),
        "Upside down: this is in 1/u.": lambda *v: 1 / law(*v),
        "This is |g| at equilibrium, in nat/u: |w| is asked for.": lambda c, *v: c / law(c, *v),
    }  # fmt: skip
    return _task("|w|", law, ("c", *_with(momentum)), wrong, unit=1)


def time_constant(momentum: bool) -> Task:
    """Steps in which |w|⁴ comes e times closer to equilibrium."""
    law = theory.time_constant
    wrong = {
        "This is decay alone, acting on |w|²: when |w| is too large, growth is too small as well.":
            lambda *v: 2 * law(*v),
        "This is decay alone, acting on |w|: what does the gradient do meanwhile, and what is it that relaxes?":
            lambda *v: 4 * law(*v),
        "This is too fast by 2: is it |w|⁴ that you follow, or a higher power?": lambda *v: law(*v) / 2,
        "Momentum is not in it: λ acts many times over.": lambda lr, a, rho=0.0: law(lr, a),
        "1 − ρ stands on the wrong side: is equilibrium reached earlier or later when each gradient does more?":
            lambda lr, a, rho=0.0: law(lr, a) ** 2 / law(lr, a, rho),
        "1 + ρ belongs to the length of one update: here the whole effect of a gradient counts.":
            lambda lr, a, rho=0.0: law(lr, a) * (1 + rho),
        "This is a rate, a share of the way in each step: a number of steps is asked for.": lambda *v: 1 / law(*v),
        "This is a half-life: e times closer is asked for.": lambda *v: np.log(2) * law(*v),
        "This is how long |w| takes to come down by a factor of ten on decay alone.":
            lambda *v: 4 * np.log(10) * law(*v),
    }  # fmt: skip
    return _task("τ", law, _with(momentum), wrong, unit=0)


def equilibrium_lost(momentum: bool) -> Task:
    """Steps before its end at which a ramp λ = s(T − t) loses equilibrium."""
    law, names = theory.equilibrium_lost, ("slope", *_with(momentum)[1:])
    wrong = {
        "A root is missing: the push 1/(T − t) and a pull that goes as T − t are equal.": lambda *v: law(*v) ** 2,
        "This is the pull on |w|²: z follows |w|⁴.": lambda *v: law(*v) * 2**0.5,
        "This is the pull on |w|: z follows |w|⁴.": lambda *v: law(*v) * 2,
        "The 4 is inside of the root, or its root outside: not both.": lambda *v: law(*v) / 2,
        "Upside down: a number of steps is asked for.": lambda *v: 1 / law(*v),
        "The slope stands on the wrong side: with a steeper ramp λ is higher at the same distance from the end.":
            lambda s, *v: s * law(s, *v),
        "α stands on the wrong side: does more decay hold the balance longer?": lambda s, a, *rho: a * law(s, a, *rho),
        "Momentum is not in it: λ acts many times over.": lambda s, a, rho=0.0: law(s, a),
        "1 − ρ stands on the wrong side: does a stronger pull hold the balance longer?":
            lambda s, a, rho=0.0: law(s, a) ** 2 / law(s, a, rho),
        "1 − ρ belongs inside of the root.": lambda s, a, rho=0.0: law(s, a) * (1 - rho),
    }  # fmt: skip
    draw = drawn(*names, slope=(1e-4, 1e-2))
    return Task(names, draw, (Question("the steps", (law,), wrong, unit=0),), units={**_UNITS, "slope": 2})


def rate(length: str, momentum: bool) -> Task:
    """One of the three lengths at equilibrium, relative to |w|: "fresh", "update" or "whole"."""
    laws = {"fresh": theory.lars_rate, "update": theory.update_rate, "whole": theory.lifetime_rate}
    words = {
        "fresh": "This is λ|g|/|w|, the length of a fresh gradient: another one is asked for.",
        "update": "This is the length of one update, |w′ − w|/|w|: another one is asked for.",
        "whole": "This is what a gradient does in all its installments: another length is asked for.",
    }
    law = laws[length]
    wrong = {words[name]: other for name, other in laws.items() if name != length}
    wrong |= {
        "A root is missing: the balance is one of squares.": lambda *v: law(*v) ** 2,
        "What does decay take from |w|², and not from |w|?": lambda *v: law(*v) / 2**0.5,
        "Is the number inside of the root or before it?": lambda *v: law(*v) * 2**0.5,
        "Momentum is not in it.": lambda lr, a, rho=0.0: law(lr, a),
        "This is |g|/|w|, in nat/u²: how far does that move the weights?": theory.equilibrium_ratio,
        "This is |w|/|g|, in u²/nat: a pure number is asked for.": theory.trust_ratio,
        "This is what decay takes from |w| in a step: how long is the step that balances it?":
            lambda lr, a, rho=0.0: lr * a,
        "Upside down: a step is much shorter than the weights.": lambda *v: 1 / law(*v),
    }  # fmt: skip
    if length != "whole":  # there it is the same as without momentum
        wrong["This is with decoupled decay: here it passes through the momentum as the gradients do."] = (
            lambda lr, a, rho=0.0: law(lr, a, rho, optimizer="sgdw"))  # fmt: skip
    return _task("the rate", law, _with(momentum), wrong, unit=0)
