"""SGDW, Adam, AdamW, Lion and Muon: each has a direction u of its own, and its decay acts on the weights themselves.

    w ← w − λ(u + αw)

For scale-invariant weights. λ and α may be tensors of one number on the device, and nothing waits for the host, so a
step can be recorded once and replayed (`train.repeatable`). Where torch has such a kernel it is torch's.
"""

from __future__ import annotations

import math
import numbers

import torch
from torch.optim.adam import adam

from .optim import decayed, loss_of, rescaled, with_gradients

__all__ = ["JORDAN", "Adam", "Directed", "Lion", "Muon", "SGDW", "orthogonal"]

JORDAN = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz iteration of Muon: Jordan et al. 2024, kellerjordan.github.io/posts/muon. Chosen
for speed: five steps bring singular values above 0.003 |matrix| to between 0.68 and 1.21, and more no nearer to 1."""


class Directed(torch.optim.Optimizer):
    """What the optimizers of this module have in common; each of them says what u is.

        u ← direction
        w ← w − λ(u + αw)                   decay apart from the gradient (Loshchilov and Hutter 2019, arXiv 1711.05101)
        cautious: w ← w − λ(u + αw·[u·w ≥ 0])    each weight by itself: it decays only while u makes it smaller, too
        norms="fixed": then w ← w|w₀|/|w|
        norms="hyperball": u ← u|w|/|u| before, and w ← w|w₀|/|w| after

    Cautious decay is that of Chen et al. 2025 (Cautious Weight Decay, arXiv 2510.12402). With "hyperball", of Wen et
    al. 2026 (Hyperball Optimization, arXiv 2606.16899), a step has the length λ|w|: it turns w by arctan λ if u ⟂ w,
    and by less with a momentum, whose older gradients are not orthogonal to w any more. With "fixed" it has the length
    that u has. The Muon of cifar10-airbench is alike, but brings w to a length of √F, of F output filters, and before
    the step.

    What λ multiplies is kept as "direction" in the state of each tensor: u, for the recorder.

    Attributes:
        found_inf: a tensor of one number that says, where it is 1, that the next step is to be left out; or None.

    Args:
        params: weights that are scale invariant. Others belong to an SGD of their own.
        lr: λ. A number, or a float tensor of one number, which the host does not read. So is weight_decay.
        momentum: ρ or β₁, in [0, 1).
        weight_decay: α. A step takes λα of the weights.
        cautious: decay only where u and w have the same sign.
        norms: "free", "fixed" or "hyperball", of each tensor.

    Raises:
        ValueError: names the value and what is allowed.

    Cost: beyond the direction two operations on a list of tensors; cautious, three for each tensor more; with norms
    that are not free a dozen on a list more.
    """

    found_inf: torch.Tensor | None = None
    decoupled = True  # or the direction has the decay in it

    def __init__(self, params, lr, momentum=0.9, weight_decay=0.0, *, cautious: bool = False, norms: str = "free"):
        _check("momentum", momentum, _in(momentum, 1.0), "a number in [0, 1)")
        for name, value in (("lr", lr), ("weight_decay", weight_decay)):
            one = torch.is_tensor(value) and value.is_floating_point() and value.numel() == 1
            _check(name, value, one or _in(value), "a finite number, not negative, or a float tensor of one")
        _check("cautious", cautious, isinstance(cautious, bool), "True or False")
        known = ("free", "fixed", "hyperball")
        _check("norms", norms, isinstance(norms, str) and norms in known, f"one of {', '.join(known)}")
        self.cautious, self.norms = cautious, norms
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; with a closure, which computes the gradients anew, return the loss that it returns."""
        loss = loss_of(closure)
        for group in self.param_groups:
            w, g = with_gradients(group)
            if w:
                self._move(group, w, [_laid_out(x, p) for x, p in zip(g, w)])
        return loss

    def _move(self, group, w, g):
        lr, alpha = group["lr"], group["weight_decay"]
        if self.found_inf is not None:  # λ = 0 and g = 0 leave the weights, and `_kept` the rest
            lr, g = lr * (1 - self.found_inf), [torch.where(self.found_inf > 0, 0, x) for x in g]
        u = self.direction(group, w, g)
        if self.norms == "hyperball":
            u = rescaled(u, w)
        lengths = self._lengths(w) if self.norms != "free" else []
        for p, its in zip(w, u):
            self.state[p]["direction"] = its
        if self.decoupled and (torch.is_tensor(alpha) or alpha):
            shrinking = [torch.where(p * its >= 0, p, 0) for p, its in zip(w, u)] if self.cautious else w
            u = decayed(u, shrinking, alpha)
        if torch.is_tensor(lr):
            torch._foreach_addcmul_(w, u, [lr] * len(w), value=-1)
        else:
            torch._foreach_add_(w, u, alpha=-lr)
        if lengths:
            torch._foreach_mul_(w, torch._foreach_div(lengths, torch._foreach_norm(w)))

    def direction(self, group, w, g):
        """Return u of each tensor, and let what the optimizer remembers take g in."""
        raise NotImplementedError

    def _remembered(self, name, w):
        """What is remembered of each tensor under this name: zeros at first, as large as the tensor."""
        for p in w:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [self.state[p][name] for p in w]

    def _lengths(self, w):
        """|w₀| of each tensor."""
        if any("length" not in self.state[p] for p in w):
            for p, norm in zip(w, torch._foreach_norm(w)):
                self.state[p].setdefault("length", norm)
        return [self.state[p]["length"] for p in w]

    def _kept(self, share):
        """What is left of a memory after the step: `share`, and all of it where the step is left out."""
        return share if self.found_inf is None else share + (1 - share) * self.found_inf


class SGDW(Directed):
    """Heavy ball with decay apart from the gradient.

        v ← ρv + g
        w ← w − λ(v + αw)

    Loshchilov and Hutter 2019 (arXiv 1711.05101), algorithm 1.

    Differs from
        SGD: α is not in v. So the same α decays 1 − ρ times as much.
        Loshchilov and Hutter: there α is not multiplied by λ but by the schedule alone, and λ is in v. As here torch
        has it in AdamW.
    """

    def direction(self, group, w, g):
        v = self._remembered("momentum_buffer", w)
        torch._foreach_mul_(v, self._kept(group["momentum"]))
        torch._foreach_add_(v, g)
        return v


class Adam(Directed):
    """AdamW, or Adam with α in the gradient, by torch's fused kernel.

        m ← β₁m + (1 − β₁)g;  s ← β₂s + (1 − β₂)g²
        u ← m/(1 − β₁ᵗ) / (√(s/(1 − β₂ᵗ)) + ε)      in the t-th step
        w ← w − λ(u + αw)                           decoupled: AdamW, Loshchilov and Hutter 2019, arXiv 1711.05101
        g + αw for g, w ← w − λu                    otherwise: Adam with L2, Kingma and Ba 2015, arXiv 1412.6980

    Differs from torch.optim.AdamW and torch.optim.Adam by rounding: their kernel moves zeros here, so that u is known.
    They keep α as a number, which a step that is replayed would never change.

    Args:
        momentum: β₁.
        beta2: β₂, in [0, 1).
        eps: ε > 0.
        decoupled: AdamW, else Adam with L2.
        others: as `Directed` has them. Without decoupled there is nothing to be cautious about.
    """

    def __init__(
        self, params, lr, momentum=0.9, weight_decay=0.0, *, beta2=0.999, eps=1e-8, decoupled: bool = True, **given
    ):  # fmt: skip
        _check("beta2", beta2, _in(beta2, 1.0), "a number in [0, 1)")
        _check("eps", eps, _in(eps) and eps > 0, "a finite number above 0")
        _check("decoupled", decoupled, isinstance(decoupled, bool), "True or False")
        _check("cautious", given.get("cautious", False), decoupled or not given.get("cautious"), "False with L2")
        self.beta2, self.eps, self.decoupled = beta2, eps, decoupled
        super().__init__(params, lr, momentum, weight_decay, **given)

    def direction(self, group, w, g):
        if not self.decoupled:
            g = decayed(g, w, group["weight_decay"])
        m, s, u = (self._remembered(name, w) for name in ("exp_avg", "exp_avg_sq", "moved"))
        for p in w:
            self.state[p].setdefault("step", torch.zeros((), dtype=torch.float32, device=p.device))
        torch._foreach_zero_(u)
        adam(u, g, m, s, [], [self.state[p]["step"] for p in w], fused=True, found_inf=self.found_inf, amsgrad=False,
             beta1=group["momentum"], beta2=self.beta2, lr=-1.0, weight_decay=0.0, eps=self.eps,
             maximize=False)  # fmt: skip
        return u


class Lion(Directed):
    """The sign of a mean of the gradients.

        u ← sign(β₁m + (1 − β₁)g)
        m ← β₂m + (1 − β₂)g
        w ← w − λ(u + αw)

    Chen et al. 2023 (Symbolic Discovery of Optimization Algorithms, arXiv 2302.06675). Every weight moves by λ.

    Differs from AdamW in that m is older than what the direction takes (β₂ > β₁), and that there is no s.

    Args:
        momentum: β₁.
        beta2: β₂, in [0, 1).
        others: as `Directed` has them.
    """

    def __init__(self, params, lr, momentum=0.9, weight_decay=0.0, *, beta2=0.99, **given):
        _check("beta2", beta2, _in(beta2, 1.0), "a number in [0, 1)")
        self.beta2 = beta2
        super().__init__(params, lr, momentum, weight_decay, **given)

    def direction(self, group, w, g):
        m, beta1 = self._remembered("exp_avg", w), group["momentum"]
        u = torch._foreach_mul(m, beta1)
        torch._foreach_add_(u, g, alpha=1 - beta1)
        torch._foreach_sign_(u)
        torch._foreach_mul_(m, self._kept(self.beta2))
        torch._foreach_add_(m, g, alpha=1 - self.beta2)
        return u


class Muon(Directed):
    """Momentum whose singular values are brought near 1.

        v ← ρv + g
        u ← orthogonal(g + ρv) · √max(1, rows/columns)      (nesterov; else of v)
        w ← w − λ(u + αw)

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon). The weights of a convolution are taken as a matrix, [output
    channels, input channels · kernel].

    Differs from torch.optim.Muon: that takes matrices alone, reads λ on the host, and orthogonalizes in bfloat16. Its v
    is a mean, 1 − ρ times this one, and of the same direction.

    Args:
        momentum: ρ.
        nesterov: orthogonalize g + ρv, what v will be if g comes once more.
        steps: of the Newton-Schulz iteration.
        dtype: in which it computes; None takes that of the weights.
        others: as `Directed` has them.

    Cost: three products of matrices for each step of the iteration and each tensor.
    """

    def __init__(
        self, params, lr, momentum=0.95, weight_decay=0.0, *, nesterov: bool = True, steps: int = 5,
        dtype: torch.dtype | None = None, **given
    ):  # fmt: skip
        _check("nesterov", nesterov, isinstance(nesterov, bool), "True or False")
        whole = isinstance(steps, numbers.Integral) and not isinstance(steps, bool)
        _check("steps", steps, whole and steps >= 1, "a whole number, at least 1")
        self.nesterov, self.steps, self.dtype = nesterov, steps, dtype
        super().__init__(params, lr, momentum, weight_decay, **given)

    def direction(self, group, w, g):
        v, rho = self._remembered("momentum_buffer", w), group["momentum"]
        torch._foreach_mul_(v, self._kept(rho))
        torch._foreach_add_(v, g)
        ahead = torch._foreach_add(g, v, alpha=rho) if self.nesterov else v
        return [self._matrix(x) for x in ahead]

    def _matrix(self, x):
        if x.ndim < 2:
            raise ValueError(f"weights of shape {tuple(x.shape)}: must have at least two dimensions with Muon")
        flat = x.flatten(1)
        rows, columns = flat.shape
        u = orthogonal(flat, self.steps, self.dtype) * math.sqrt(max(1, rows / columns))
        return torch.empty_like(x).copy_(u.view(x.shape))


def orthogonal(matrix, steps: int = 5, dtype: torch.dtype | None = None):
    """Return a matrix with the singular vectors of another and singular values near 1; zeros for zeros.

        x ← matrix/|matrix|;  x ← ax + (bA + cA²)x with A = xxᵀ, `steps` times, for the a, b, c of `JORDAN`

    A step maps every singular value σ to aσ + bσ³ + cσ⁵ and leaves the singular vectors. As torch.optim.Muon does it,
    but for ε: the length of the matrix does not matter (down to 1e-19 in float32).

    Args:
        matrix: [rows, columns].
        dtype: in which it computes; None takes that of the matrix.

    Example:
        >>> orthogonal(torch.diag(torch.tensor([3.0, 0.03]))).diag()
        tensor([0.6965, 0.6989])
    """
    a, b, c = JORDAN
    x = (matrix / matrix.norm().clamp(min=torch.finfo(matrix.dtype).tiny)).to(dtype or matrix.dtype)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


def _laid_out(x, like):
    """The tensor, in the order in memory of another: torch's fused kernels take for granted that the two are alike."""
    return x if x.stride() == like.stride() else torch.empty_like(like).copy_(x)


def _in(value, below=math.inf):
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and 0 <= value < below


def _check(name, value, ok, allowed):
    if not ok:
        raise ValueError(f"{name}={value!r}: must be {allowed}")
