"""LARS as somebody has written it, as a function or as an optimizer of torch, beside equations (4) and (8).

It takes 20 steps from the same weights with the same gradients, λ changes on the way, and the two paths are compared;
then the path with those of known mistakes.
"""

from __future__ import annotations

import contextlib
import inspect
import sys

import numpy as np

from . import theory
from .answers import EMPTY, Refused, Verdict, empty, same

__all__ = ["MISTAKES", "follow", "judge_lars"]

STEPS = 20
SHAPES = ((4, 6), (3, 5))  # of two layers, of which the second has short weights and long gradients
RHO = 0.8


def judge_lars(answer) -> Verdict:
    """Return the verdict on a function w, g, lr → w′, on one w, v, g, lr, momentum → (w′, v′), or on an optimizer."""
    try:
        if empty(answer):
            raise Refused(EMPTY)
        if inspect.isclass(answer):
            return _class(answer)
        if not callable(answer):
            raise Refused(f"This is of type {type(answer).__name__}: hand over a function, or a class of optimizers.")
        return _function(answer)
    except NotImplementedError:
        return Verdict(False, EMPTY)
    except Refused as why:
        return Verdict(False, str(why), why.__cause__)


# The right path, and those of mistakes: each takes the lists of w, v, g of all layers, λ and ρ, and returns w′ and v′
def _layers(one):
    """What every layer does by itself."""

    def step(w, v, g, lr, rho):
        return [list(parts) for parts in zip(*(one(*layer, lr, rho) for layer in zip(w, v, g)))]

    return step


def _ratio(w, g):
    return np.linalg.norm(w) / np.linalg.norm(g)


def _moved(direction):
    """v ← ρv + d, w ← w − λv, of another d."""

    def one(w, v, g, lr, rho):
        v = rho * v + direction(w, g)
        return w - lr * v, v

    return _layers(one)


def _per_filter(w, g):
    return np.linalg.norm(w, axis=1, keepdims=True) / np.linalg.norm(g, axis=1, keepdims=True) * g


def _one_norm(w, v, g, lr, rho):
    ratio = _ratio(np.concatenate([x.ravel() for x in w]), np.concatenate([x.ravel() for x in g]))
    v = [rho * buffer + ratio * gradient for buffer, gradient in zip(v, g)]
    return [x - lr * buffer for x, buffer in zip(w, v)], v


def _raw(scaled):
    """v ← ρv + g, and a step of λ·scaled(w, v′, g)·v′."""

    def one(w, v, g, lr, rho):
        v = rho * v + g
        return w - lr * scaled(w, v, g) * v, v

    return _layers(one)


def _damped(w, v, g, lr, rho):
    v = rho * v + (1 - rho) * _ratio(w, g) * g
    return w - lr * v, v


def _nesterov(w, v, g, lr, rho):
    v = rho * v + _ratio(w, g) * g
    return w - lr * (_ratio(w, g) * g + rho * v), v


def _rate_inside(w, v, g, lr, rho):
    v = rho * v + lr * _ratio(w, g) * g
    return w - v, v


def _before(w, v, g, lr, rho):
    return w - lr * v, rho * v + _ratio(w, g) * g


RIGHT = _layers(theory.lars_momentum_step)

MISTAKES = {
    "The quotient is upside down: a step is to be as long as λ|w|, whatever |g| is.":
        _moved(lambda w, g: g / _ratio(w, g)),
    "The step has the length λ, whatever |w| is: it is to be relative to |w|.":
        _moved(lambda w, g: g / np.linalg.norm(g)),
    "Nothing is rescaled: this is SGD.": _moved(lambda w, g: g),
    "It goes uphill.": _moved(lambda w, g: -_ratio(w, g) * g),
    "The length of the step still depends on |g|.": _moved(lambda w, g: np.linalg.norm(w) * g),
    "Norms and not their squares: how long is the step?": _moved(lambda w, g: _ratio(w, g) ** 2 * g),
    "Each row has a norm of its own here: one for the whole layer is asked for.": _moved(_per_filter),
    "All layers share one norm here: each layer has its own |w| and |g|.": _one_norm,
    "Gradients are added up first and rescaled then: rescale each gradient as it enters the momentum.":
        _raw(lambda w, v, g: _ratio(w, v)),
    "The factor of the newest gradient multiplies all the older ones: rescale each as it enters the momentum.":
        _raw(lambda w, v, g: _ratio(w, g)),
    "The momentum is a mean here, with 1 − ρ: it is to be a sum, as in torch.optim.SGD.": _layers(_damped),
    "This is Nesterov's step: the step is to be along the momentum alone.": _layers(_nesterov),
    "λ is inside of the momentum: when λ changes, old gradients are to be taken with the new one.":
        _layers(_rate_inside),
    "The step is along the momentum of the step before: let the gradient enter it first.": _layers(_before),
    "There is no momentum in it.":
        _layers(lambda w, v, g, lr, rho: (w - lr * _ratio(w, g) * g, _ratio(w, g) * g)),
}  # fmt: skip


def _start():
    """Weights of the layers, the gradients of every step, and λ."""
    rng = np.random.default_rng(4)
    weights = [size * rng.normal(size=shape) for size, shape in zip((1.0, 0.2), SHAPES)]
    grads = [[size * rng.normal(size=shape) for size, shape in zip((0.1, 3.0), SHAPES)] for _ in range(STEPS)]
    return weights, grads, np.where(np.arange(STEPS) < STEPS // 2, 0.1, 0.03)


def follow(step, rho: float, layers: int = 2) -> np.ndarray:
    """Return the path of a step that takes and returns lists: all weights after each of the steps."""
    weights, grads, lr_t = _start()
    w, path = weights[:layers], []
    v = [np.zeros_like(x) for x in w]
    for g, lr in zip(grads, lr_t):
        w, v = step(w, v, g[:layers], float(lr), rho)
        path.append(np.concatenate([x.ravel() for x in w]))
    return np.array(path)


def _hint(path, rho, layers):
    """None for the right path, else what explains it."""
    ahead = follow(RIGHT, rho, layers)
    if _alike(path, ahead):
        return None
    with np.errstate(all="ignore"):
        for hint, mistake in MISTAKES.items():
            if _alike(path, follow(mistake, rho, layers)):
                return hint
    step = int(np.flatnonzero((abs(path - ahead) > 1e-5).any(axis=1))[0])
    if step:
        return f"The first {step} steps are right, and then the path is another one: what changes in between?"
    w = np.concatenate([x.ravel() for x in _start()[0][:layers]])
    ratio = np.linalg.norm(path[0] - w) / np.linalg.norm(ahead[0] - w)
    same_way = (path[0] - w) @ (ahead[0] - w) > 0.999 * np.linalg.norm(path[0] - w) * np.linalg.norm(ahead[0] - w)
    if same_way:
        return f"The direction is right, and the first step is too {'long' if ratio > 1 else 'short'}."
    return "The first step is not along the gradient."


def _alike(path, other):
    """Whether two paths are the same, as far as both are numbers of a reasonable size."""
    there = abs(other) < 1e6
    return bool(np.all(there[0])) and same(path[there], other[there], within=1e-5)


# Functions
def _function(function):
    with_momentum = _takes(function, 5)
    if not with_momentum and not _takes(function, 3):
        raise Refused("Your function must take (w, g, lr), or, with momentum, (w, v, g, lr, momentum).")
    to, shown = _library(function, with_momentum)

    def step(w, v, g, lr, rho):
        given = [to(x) for x in (w[0], v[0], g[0])]
        held = [np.array(shown(x)) for x in given]
        found = _called(function, (*given, lr, rho) if with_momentum else (given[0], given[2], lr))
        for name, x, before in zip("wvg", given, held):
            if not np.array_equal(shown(x), before, equal_nan=True):
                raise Refused(f"It changes the {name} that it is given: return new weights, and leave it as it is.")
        if with_momentum and not (isinstance(found, (tuple, list)) and len(found) == 2):
            raise Refused(EMPTY if empty(found) else "It must return two things: the new weights and the new momentum.")
        parts = found if with_momentum else (found, v[0])
        return [[_shaped(part, w[0].shape)] for part in parts]

    hint = _hint(follow(step, RHO if with_momentum else 0.0, layers=1), RHO if with_momentum else 0.0, 1)
    if hint is None:
        _at_zero(step)
    return _verdict(hint, with_momentum)


def _takes(function, n):
    try:
        inspect.signature(function).bind(*range(n))
    except (TypeError, ValueError):
        return False
    return True


def _library(function, with_momentum):
    """(what makes an array the argument of a function, what makes it an array): numpy's, or torch's if it must be."""
    torch = sys.modules.get("torch")
    w, g = np.ones((2, 3)), np.ones((2, 3))
    try:
        function(*(w, 0 * w, g, 0.1, 0.5) if with_momentum else (w, g, 0.1))
    except (TypeError, AttributeError):
        if torch is not None:
            return lambda x: torch.from_numpy(x.copy()), lambda x: x.detach().numpy()
    except Exception:  # it will be seen again
        pass
    return np.copy, np.asarray


def _called(function, values=()):
    try:
        with np.errstate(all="ignore"):
            return function(*values)
    except NotImplementedError:
        raise Refused(EMPTY) from None
    except Exception as error:
        said = f"{type(error).__name__} ({error})" if str(error) else type(error).__name__
        raise Refused(f"It ends with {said}.") from error


def _shaped(value, shape):
    if empty(value):
        raise Refused(EMPTY)
    value = value.detach().cpu() if hasattr(value, "detach") else value
    with contextlib.suppress(TypeError, ValueError):
        array = np.asarray(value, float)
        if array.shape == shape:
            return array
        raise Refused(f"It returns an array of shape {array.shape}: the weights have the shape {shape}.")
    raise Refused(f"It returns something of type {type(value).__name__}, and must return arrays of the shape of w.")


def _at_zero(step):
    """A layer without a gradient stays where it is."""
    w = [np.ones(SHAPES[0])]
    after, _ = step(w, [0 * w[0]], [0 * w[0]], 0.1, RHO)
    if not np.isfinite(after[0]).all():
        raise Refused("All is right but g = 0: there |w|/|g| divides by zero, and the weights are no numbers any more.")
    if not np.allclose(after[0], w[0]):
        raise Refused("All is right but g = 0: without a gradient and momentum the weights must stay as they are.")


# Optimizers of torch
def _class(kind):
    import torch

    weights, grads, lr_t = _start()
    rho = RHO

    def build(arrays):
        parameters = [torch.nn.Parameter(torch.from_numpy(x.copy())) for x in arrays]
        try:
            return parameters, kind(parameters, lr=float(lr_t[0]), momentum=rho)
        except TypeError:
            raise Refused(f"{kind.__name__}(parameters, lr=..., momentum=...) must make an optimizer.") from None

    def take(parameters, optimizer, g):
        for p, one in zip(parameters, g):
            p.grad = torch.from_numpy(one.copy())
        _called(optimizer.step)
        if any(not np.array_equal(p.grad.numpy(), one) for p, one in zip(parameters, g)):
            raise Refused("It changes the gradients: who reads them after the step would be misled.")

    # A step of which the gradient is orthogonal to the weights leaves the part along the weights as it is.
    across = [x - np.sum(x * w) / np.sum(w * w) * w for x, w in zip(grads[0], weights)]
    parameters, optimizer = build(weights)
    take(parameters, optimizer, across)
    along = [np.sum((p.detach().numpy() - w) * w) / np.sum(w * w) for p, w in zip(parameters, weights)]
    decays = not np.allclose(along, 0.0, atol=1e-9)

    parameters, optimizer = build(weights)
    path = []
    for g, lr in zip(grads, lr_t):
        for group in optimizer.param_groups:
            group["lr"] = float(lr)
        take(parameters, optimizer, g)
        path.append(np.concatenate([p.detach().numpy().ravel() for p in parameters]))
    hint = _hint(np.array(path), rho, 2)
    if hint is not None and np.array_equal(path[-1], np.concatenate([w.ravel() for w in weights])):
        hint = "It does not move the weights: they must be changed in place, p.data or under torch.no_grad()."
    elif hint is not None and hint not in MISTAKES and decays:
        hint = "It moves weights along themselves where the gradient does not: decay has no place in it."
    if hint is None:
        parameters, optimizer = build(weights)
        take(parameters, optimizer, [0 * x for x in weights])
        if not all(bool(torch.isfinite(p).all()) for p in parameters):
            hint = "All is right but g = 0: there |w|/|g| divides by zero, and the weights are no numbers any more."
    return _verdict(hint, True)


def _verdict(hint, with_momentum):
    if hint is not None:
        return Verdict(False, hint)
    return Verdict(True, f"{STEPS} steps with momentum." if with_momentum else f"{STEPS} steps, without momentum.")
