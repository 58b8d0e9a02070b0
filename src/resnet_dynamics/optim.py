"""SGD, and LARS as equations (4) and (8), whose rates lie on the device; variants; and the scale of a float16 loss.

Nothing here waits for the host, so a step can be recorded once and replayed (`train.repeatable`).
"""

from __future__ import annotations

import math
import numbers

import torch
from torch.optim.sgd import sgd

__all__ = ["LARS", "SGD", "Scaler", "SmoothLARS", "Steered", "decayed", "loss_of", "rescaled", "with_gradients"]

LOW, HIGH = 1e-15, 1e15  # between them squares of norms are neither too large nor too small for float32


class SGD(torch.optim.SGD):
    """torch.optim.SGD, in float32 and float64 bit for bit on a CPU; λ and α may be tensors of one number on the device.

        d ← g + αw;  v ← ρv + d;  w ← w − λv        (Nesterov: w ← w − λ(d + ρv))

    torch's own reads λ on the host, or, fused, keeps α as a number, which a step that is replayed would never change.

    Attributes:
        found_inf: a tensor of one number that says, where it is 1, that the next step is to be left out; or None.

    Args:
        params, lr, momentum, weight_decay, nesterov: as torch.optim.SGD has them.

    Raises:
        ValueError: at a step, of a group that has, or has loaded, a dampening or maximize.

    Cost: on a GPU one launch a group, and with α as a tensor one more for each weight. On a CPU three to five passes.
    """

    found_inf: torch.Tensor | None = None

    def __init__(self, params, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
        super().__init__(params, lr, momentum, weight_decay=weight_decay, nesterov=nesterov)

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; with a closure, which computes the gradients anew, return the loss that it returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            _refuse(group, "dampening", "maximize")
            _move(self, group, *with_gradients(group), group["weight_decay"])
        return loss


def _refuse(group, *names):
    """Say which of torch's settings a group has that would be without effect here."""
    for name in names:
        if group[name]:
            raise ValueError(f"{name}={group[name]!r}: must be {type(group[name])()!r}, this SGD has none")


def _move(optimizer, group, w, g, alpha=0.0):
    """d ← g + αw, v ← ρv + d, w ← w − λv of each tensor; nothing where `found_inf` is 1."""
    if not w:
        return
    lr, rho, nesterov = group["lr"], group["momentum"], group.get("nesterov", False)
    v = [_momentum(optimizer, p) for p in w] if rho else []
    fused = w[0].device.type != "cpu" or optimizer.found_inf is not None
    if torch.is_tensor(alpha) or (alpha and not fused):
        g, alpha = decayed(g, w, alpha), 0.0
    if fused:  # one launch; v begins as zeros, since torch's would begin as anything where its first step is left out
        sgd(w, g, v, weight_decay=alpha, momentum=rho, lr=lr, dampening=0.0, nesterov=nesterov, maximize=False,
            foreach=False, fused=True, found_inf=optimizer.found_inf)  # fmt: skip
        return
    if rho:
        torch._foreach_mul_(v, rho)
        torch._foreach_add_(v, g)
    direction = torch._foreach_add(g, v, alpha=rho) if nesterov else v or g
    if torch.is_tensor(lr):
        torch._foreach_addcmul_(w, direction, [lr] * len(w), value=-1)
    else:
        torch._foreach_add_(w, direction, alpha=-lr)


def decayed(grads, weights, weight_decay):
    """Return g + αw of each tensor, rounded once, as torch.optim.SGD adds them; α is a number or a tensor of one."""
    if torch.is_tensor(weight_decay):
        return torch._foreach_addcmul(grads, weights, [weight_decay] * len(weights))
    return torch._foreach_add(grads, weights, alpha=weight_decay)


def _momentum(optimizer, weight):
    state = optimizer.state[weight]
    if "momentum_buffer" not in state:
        state["momentum_buffer"] = torch.zeros_like(weight)
    return state["momentum_buffer"]


def with_gradients(group):
    """Return the weights of a group that have a gradient, and the gradients."""
    weights = [p for p in group["params"] if p.grad is not None]
    return weights, [p.grad for p in weights]


def loss_of(closure):
    """Return the loss of a closure, which computes the gradients anew; None where there is none."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling, in the form in which it equals SGD with weight decay.

        v ← ρv + (|w|/|g|) g          (8), and (4) for ρ = 0
        w ← w − λv

    A step has the length λ|w| in the direction of the gradient, whatever the scale of w or g (down to |g| = |w|/3e38).
    The learning rate is therefore an angle: about λ radians a step. A norm of zero, of w or g, leaves that tensor's g
    out of the step.

    There is no weight decay: for scale-invariant weights it would change |w| alone, and |w| does not matter here.

    Differs from
        You, Gitman, Ginsburg (2017): local rate η|w|/(|g| + β|w|) on g + βw, so the decay enters twice.
        timm: as You et al., and falls back to SGD for tensors without decay.
        cifar10-fast: norms per output filter of the summed gradient, Nesterov, the learning rate inside v, decay
            multiplied by |w|/|g| as well.

    Attributes:
        found_inf: a tensor of one number that says, where it is 1, that the next step is to be left out; or None.

    Args:
        params: weights that are scale invariant. Others belong to an SGD of their own.
        lr: λ, in radians a step: a number, or a float tensor of one number, which the host does not read.
        momentum: ρ in [0, 1).
        per_filter: take |w| and |g| of every output filter (dimension 0) instead of the whole tensor; of a tensor with
            one dimension, of each entry.

    Raises:
        ValueError: names the value, of the optimizer or of a group, and what is allowed.

    Cost: a dozen operations on a list of tensors, and no host synchronization. On a GPU the one that multiplies by
    |w|/|g| is a launch for each tensor, and per filter four norms are.
    """

    found_inf: torch.Tensor | None = None

    def __init__(self, params, lr, momentum: float = 0.0, per_filter: bool = False):
        super().__init__(params, _checked(dict(lr=lr, momentum=momentum, per_filter=per_filter)))

    def add_param_group(self, param_group):
        super().add_param_group(param_group if not isinstance(param_group, dict) else _checked(param_group))

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; with a closure, which computes the gradients anew, return the loss that it returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            w, g = with_gradients(group)
            d = self.direction(group, w, g)
            _move(self, group, w, d)
            if not group["momentum"]:
                for p, v in zip(w, d):
                    self.state[p]["momentum_buffer"] = v
        return loss

    def direction(self, group, weights, grads):
        """Return what is added to the momentum, (|w|/|g|) g of each tensor."""
        return rescaled(grads, weights, group["per_filter"])


class Steered(SGD):
    """SGD whose gradients are scaled by where they are to a line, or whose weights keep their length.

        κ = line · |w|/|g| of each tensor,  m = min(max(κ, low), high)
        d ← m g + αw;  v ← ρv + d;  w ← w − λv;  with fixed norms then w ← w |w₀|/|w|

    A gradient on the line has |g| = line · |w|. So low = 0, high = 1 clips those that are above it, low = 1, high = ∞
    makes those below it longer, and low = 0, high = ∞ puts all of them on it. Without these three in a group m is 1.

    Args:
        params, lr, momentum, weight_decay: as SGD has them. A group may have "line", "low" and "high", numbers or
            tensors of one.
        fixed: put each tensor back to the length that it had before the first step.

    Cost: a dozen operations on a list of tensors more than SGD, no host synchronization.
    """

    def __init__(self, params, lr, momentum=0.0, weight_decay=0.0, fixed: bool = False):
        super().__init__(params, lr, momentum, weight_decay)
        self.fixed = fixed

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; with a closure, which computes the gradients anew, return the loss that it returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            _refuse(group, "dampening", "maximize", "nesterov")
            w, g = with_gradients(group)
            if not w:
                continue
            if self.fixed:
                now = torch._foreach_norm(w)
                lengths = [self.state[p].setdefault("length", norm) for p, norm in zip(w, now)]
            d = decayed(self._scaled(group, w, g), w, group["weight_decay"])
            _move(self, group, w, d)
            if not group["momentum"]:
                for p, v in zip(w, d):
                    self.state[p]["momentum_buffer"] = v
            if self.fixed:
                torch._foreach_mul_(w, torch._foreach_div(lengths, torch._foreach_norm(w)))
        return loss

    def _scaled(self, group, w, g):
        if "line" not in group:
            return g
        kappa = torch.stack(_layer_ratios(list(map(_single, w)), list(map(_single, g)))) * group["line"]
        m = kappa.clamp(group["low"], group["high"])
        return [d.to(given.dtype) for d, given in zip(torch._foreach_mul(g, list(m.unbind())), g)]


class SmoothLARS(LARS):
    """LARS that divides by a running rms of |g||w| and not by the present one.

        c² ← the mean of |g|²|w|² of all steps so far, with weights that fall as β^k
        v ← ρv + (|w|²/c) g;  w ← w − λv

    A step has the length λ|w| |g||w|/c: gradients that are longer than usual move the weights further, as with SGD.

    Args:
        params, lr, momentum: as LARS has them.
        memory: β in [0, 1); 0 is LARS.
    """

    def __init__(self, params, lr, momentum: float = 0.0, per_filter: bool = False, memory: float = 0.0):
        if not 0 <= memory < 1:
            raise ValueError(f"memory={memory!r}: must be in [0, 1)")
        if per_filter:
            raise ValueError(f"per_filter={per_filter!r}: must be False with a memory")
        super().__init__(params, lr, momentum)
        self.memory = memory

    def direction(self, group, weights, grads):
        """Return (|w|²/c) g of each tensor, and take the present |g||w| into c."""
        on_sphere = rescaled(grads, weights)  # (|w|/|g|) g, whatever their sizes
        norms = [torch.stack(torch._foreach_norm(x)) for x in (weights, grads)]
        out = []
        for p, d, size in zip(weights, on_sphere, (norms[0] * norms[1]).unbind()):
            state = self.state[p]
            if "mean_square" not in state:
                state["mean_square"], state["weight"] = torch.zeros_like(size), torch.zeros_like(size)
            skipped = 0.0 if self.found_inf is None else (self.found_inf > 0).to(size.dtype)
            kept = self.memory + (1 - self.memory) * skipped
            state["mean_square"].mul_(kept).add_((1 - kept) * size.square().nan_to_num())
            state["weight"].mul_(kept).add_(1 - kept)
            usual = (state["mean_square"] / state["weight"]).sqrt()
            out.append(d * (size / usual).nan_to_num(nan=0.0))
        return out


def _checked(group):
    """Return the group with plain numbers, or say what is wrong."""
    allowed = {"lr": "a finite number, not negative, or a float tensor of one", "momentum": "a number in [0, 1)",
               "per_filter": "True or False"}  # fmt: skip
    group = dict(group)
    for name in allowed.keys() & group.keys():
        value = group[name]
        if name == "per_filter":
            ok = isinstance(value, bool)
        elif name == "lr" and torch.is_tensor(value):
            ok = value.is_floating_point() and value.numel() == 1  # its value is the device's
        else:
            ok = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
            ok = ok and (name == "lr" or value < 1)
            group[name] = float(value) if ok else value
        if not ok:
            raise ValueError(f"{name}={value!r}: must be {allowed[name]}")
    return group


def rescaled(grads, weights, per_filter=False):
    """Return (|w|/|g|) g of each tensor, or of each of its output filters; zero where |g| is."""
    if not grads:
        return []
    g, w = list(map(_single, grads)), list(map(_single, weights))
    ratios = _filter_ratios(w, g) if per_filter else _layer_ratios(w, g)
    return [d.to(given.dtype) for d, given in zip(torch._foreach_mul(g, ratios), grads)]


def _ratio(norms, wide):
    """|w|/|g| of norms [2, n] of w and g, in float32; of those in float64 where squares are beyond float32.

    At most 3e38. Of two float32 numbers the quotient in float64, rounded, is their quotient in float32.
    """
    w, g = torch.where(norms.clamp(LOW, HIGH) == norms, norms, wide)
    return (w / g).to(norms.dtype).nan_to_num(nan=0.0, posinf=3e38)  # 0/0; and g = 0, which stays 0


def _layer_ratios(w, g):
    """|w|/|g| of each tensor, as tensors of one number."""
    every, n = [*w, *g], len(w)
    norms, wide = (torch.stack(torch._foreach_norm(every, dtype=dtype)).view(2, n) for dtype in (None, _wide(g[0])))
    return list(_ratio(norms, wide).unbind())


def _filter_ratios(w, g):
    """|w|/|g| of each output filter, of each tensor [F, 1, ...]."""
    sizes = [x.shape[0] for x in w]
    norms, wide = (torch.cat([_filter_norms(x, dtype) for x in (*w, *g)]).view(2, -1) for dtype in (None, _wide(g[0])))
    return [ratio.view(-1, *[1] * (x.ndim - 1)) for ratio, x in zip(_ratio(norms, wide).split(sizes), w)]


def _filter_norms(x, dtype):
    """The norm of each output filter [F], in a type or its own."""
    if x.ndim < 2:
        return x.abs().to(dtype or x.dtype)
    return torch.linalg.vector_norm(x, dim=tuple(range(1, x.ndim)), dtype=dtype)


def _single(x):
    """The tensor in float32, if its own type is narrower."""
    return x if x.dtype.itemsize >= 4 else x.float()


def _wide(x):
    return torch.float64 if x.device.type != "mps" else torch.float32  # which has no float64


class Scaler:
    """Keep gradients within the range of float16: multiply the loss by S, divide the gradients by it.

        a gradient is not finite: no optimizer steps, S ← S/2;  2000 steps without: S ← 2S

    As torch.amp.GradScaler, but all optimizers step or none, and nothing waits: `skipped` stays on the device, and is
    the optimizers' `found_inf`.

    Args:
        optimizers: those of this module and of `directions`.
        enabled: otherwise it does nothing, and `skipped` is None.
        scale: S at first.
    """

    def __init__(self, optimizers, enabled: bool, scale: float = 2.0**12):
        self.parameters = [p for o in optimizers for group in o.param_groups for p in group["params"]]
        self.skipped = None
        if enabled:
            new = dict(dtype=torch.float32, device=self.parameters[0].device)
            self._scale, self.skipped = torch.full((), scale, **new), torch.zeros((), **new)
            self._steps = torch.zeros((), dtype=torch.int32, device=new["device"])  # since S changed
            for optimizer in optimizers:
                optimizer.found_inf = self.skipped

    def scaled(self, loss):
        """Return S · loss, of which backward() is to be called."""
        return loss if self.skipped is None else loss * self._scale

    def unscale(self):
        """Divide the gradients by S, and choose the next S. Return `skipped`: 1 if one of them is not finite, or 0."""
        if self.skipped is not None:
            self.skipped.zero_()
            grads = [p.grad for p in self.parameters if p.grad is not None]
            torch._amp_foreach_non_finite_check_and_unscale_(grads, self.skipped, self._scale.reciprocal())
            torch._amp_update_scale_(self._scale, self._steps, self.skipped, 2.0, 0.5, 2000)
        return self.skipped
