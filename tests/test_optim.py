"""LARS is equation (8), and (4) without momentum, written fast."""

import re

import numpy as np
import pytest
import torch

from resnet_dynamics import theory
from resnet_dynamics.optim import LARS, rescaled


def weights(seed=0, scale=1.0):
    random = torch.Generator().manual_seed(seed)
    shapes = [(4, 3, 3, 3), (6, 4, 3, 3), (5, 2)]
    return [torch.nn.Parameter(scale * torch.randn(s, generator=random, dtype=torch.float64)) for s in shapes]


def give_gradients(params, t, scale=1.0):
    random = torch.Generator().manual_seed(100 + t)
    for p in params:
        p.grad = scale * torch.randn(p.shape, generator=random, dtype=p.dtype)


def slow_lars(w, v, g, lr, momentum, per_filter):
    """Equation (8) for one tensor, as it is written; per filter: for each slice along dimension 0."""
    if per_filter:
        for i in range(len(w)):
            slow_lars(w[i], v[i], g[i], lr, momentum, False)
        return
    w_norm, g_norm = w.square().sum().sqrt(), g.square().sum().sqrt()
    d = w_norm / g_norm * g if g_norm > 0 else 0 * g
    v.copy_(momentum * v + d)
    w.copy_(w - lr * v)


@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_equation_8(momentum, per_filter):
    params = weights()
    w = [p.detach().clone() for p in params]
    v = [torch.zeros_like(p) for p in w]
    lars = LARS(params, lr=0.1, momentum=momentum, per_filter=per_filter)
    for t in range(5):
        give_gradients(params, t)
        for w_, v_, p in zip(w, v, params):
            slow_lars(w_, v_, p.grad, 0.1, momentum, per_filter)
        lars.step()
    for w_, v_, p in zip(w, v, params):
        torch.testing.assert_close(p.detach(), w_, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(lars.state[p]["momentum_buffer"], v_, rtol=1e-12, atol=1e-14)


def test_equation_4_is_that_of_theory():
    params = weights()
    give_gradients(params, 0)
    expected = [theory.lars_step(p.detach().numpy(), p.grad.numpy(), 0.1) for p in params]
    LARS(params, lr=0.1).step()
    for p, e in zip(params, expected):
        torch.testing.assert_close(p.detach(), torch.from_numpy(e), rtol=1e-12, atol=0)


def test_the_length_of_a_step_is_lr_times_the_norm():
    params = weights()
    before = [p.detach().clone() for p in params]
    give_gradients(params, 0)
    LARS(params, lr=0.01).step()
    for p, b in zip(params, before):
        assert ((p - b).norm() / b.norm()).item() == pytest.approx(0.01, rel=1e-12)


@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_weights_and_gradients_does_not_matter(scale, per_filter):
    one, other = weights(), weights(scale=scale)
    a, b = (LARS(p, lr=0.1, momentum=0.9, per_filter=per_filter) for p in (one, other))
    for t in range(5):
        give_gradients(one, t)
        give_gradients(other, t, scale=7.0 / scale)
        a.step(), b.step()
    for p, q in zip(one, other):
        torch.testing.assert_close(q.detach(), scale * p.detach(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("per_filter", [False, True])
def test_a_norm_of_zero_moves_nothing(per_filter):
    params = weights()
    params[1].data.zero_()
    before = [p.detach().clone() for p in params]
    give_gradients(params, 0)
    params[0].grad.zero_()
    LARS(params, lr=0.1, per_filter=per_filter).step()
    assert params[0].equal(before[0])  # g = 0
    assert params[1].equal(before[1])  # w = 0
    assert not params[2].equal(before[2])


def test_a_filter_without_gradient_does_not_stop_the_others():
    w = torch.ones(2, 3, dtype=torch.float64)
    (d,) = rescaled([torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]], dtype=torch.float64)], [w], per_filter=True)
    assert d.tolist() == [[0, 0, 0], [0, pytest.approx(3**0.5), 0]]


def test_gradients_are_read_and_not_written():
    params = weights()
    give_gradients(params, 0)
    before = [p.grad.clone() for p in params]
    LARS(params, lr=0.1, momentum=0.9).step()
    assert all(p.grad.equal(b) for p, b in zip(params, before))


def test_a_parameter_without_gradient_stays():
    params = weights()
    before = [p.detach().clone() for p in params]
    lars = LARS(params, lr=0.1)
    lars.step()
    assert all(p.equal(b) for p, b in zip(params, before))
    give_gradients(params[:1], 0)
    lars.step()
    assert not params[0].equal(before[0]) and params[1].equal(before[1])


def test_float32_norms_of_large_lists_are_right():
    """torch._foreach_norm was once silently wrong on long lists and large tensors."""
    random = torch.Generator().manual_seed(0)
    sizes = [10, 1000, 70_000, 300_000] + [17] * 200
    w = [torch.randn(n, generator=random) for n in sizes]
    g = [1e-3 * torch.randn(n, generator=random) for n in sizes]
    for d, w_, g_ in zip(rescaled(g, w), w, g):
        expected = w_.double().norm() / g_.double().norm() * g_.double()
        torch.testing.assert_close(d.double(), expected, rtol=1e-5, atol=0)


def plainly(grads, weights, per_filter):
    """The same without a thought for the range of float32."""
    dims = [tuple(range(1, g.ndim)) if per_filter else None for g in grads]
    norms = [[torch.linalg.vector_norm(x, dim=d, keepdim=per_filter) for x, d in zip(xs, dims)]
             for xs in (grads, weights)]  # fmt: skip
    return [g * torch.where(gn > 0, wn / gn, 0.0) for g, gn, wn in zip(grads, *norms)]


@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e3, 1e12])
def test_where_norms_are_in_range_the_digits_are_those_of_the_plain_formula(scale, per_filter):
    random = torch.Generator().manual_seed(0)
    shapes = [(16, 3, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (10, 70_000)]
    w, g = ([size * torch.randn(s, generator=random) for s in shapes] for size in (1.0, scale))
    g[0][1] = 0
    for d, expected in zip(rescaled(g, w, per_filter), plainly(g, w, per_filter)):
        assert torch.equal(d, expected)


@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e-22, 1e-18, 1e18, 1e25, 1e37])
def test_norms_whose_squares_are_out_of_range(scale, per_filter):
    random = torch.Generator().manual_seed(0)
    w = torch.randn(8, 5, 3, generator=random)
    g = torch.sign(torch.randn(8, 5, 3, generator=random)) * scale
    (d,) = rescaled([g], [w], per_filter)
    dims = (1, 2) if per_filter else None
    size = w.double().pow(2).sum(dims, keepdim=True).sqrt() / g[0].numel() ** 0.5
    expected = torch.sign(g).double() * (size if per_filter else size / 8**0.5)
    torch.testing.assert_close(d.double(), expected.expand_as(d), rtol=1e-5, atol=0)
    if 1e-30 < scale < 1e30:
        (back,) = rescaled([w], [g], per_filter)  # a weight out of range
        (once,) = rescaled([w], [torch.sign(g)], per_filter)
        torch.testing.assert_close(back.double(), scale * once.double(), rtol=1e-5, atol=0)


def test_a_filter_of_one_weight_is_an_entry():
    (d,) = rescaled([torch.tensor([1.0, -2.0, 0.0])], [torch.tensor([3.0, 4.0, 5.0])], per_filter=True)
    assert d.tolist() == [3, -4, 0]
    (d,) = rescaled([torch.tensor([1.0, -2.0])], [torch.tensor([3.0, 4.0])])
    torch.testing.assert_close(d, 5 ** 0.5 * torch.tensor([1.0, -2.0]))


def test_a_closure_is_called_with_gradients_and_its_loss_returned():
    params, others = weights(), weights()
    lars, same = LARS(params, lr=0.1), LARS(others, lr=0.1)

    def closure():
        lars.zero_grad()
        loss = sum(p.sin().sum() for p in params)
        loss.backward()
        return loss

    loss = lars.step(closure)
    assert loss.item() == sum(p.sin().sum() for p in others).item() and same.step() is None
    sum(p.sin().sum() for p in others).backward()
    assert same.step() is None
    assert all(p.equal(q) for p, q in zip(params, others))


BAD = {
    "lr": (-0.1, float("nan"), float("inf"), "0.1", None, True, torch.tensor(0.1), [0.1]),
    "momentum": (1.0, -0.1, float("nan"), "0.9", None, torch.tensor(0.9)),
    "per_filter": (1, "yes", None),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]], ids=str)
def test_a_bad_value_is_named(name, value):
    said = re.escape(f"{name}={value!r}: must be ")
    with pytest.raises(ValueError, match=f"^{said}"):
        LARS(weights(), **{"lr": 0.1, name: value})
    with pytest.raises(ValueError, match=f"^{said}"):
        LARS([{"params": weights(), name: value}], lr=0.1)
    with pytest.raises(ValueError, match=f"^{said}"):
        LARS(weights(), lr=0.1).add_param_group({"params": weights(), name: value})


def test_numbers_of_numpy_are_numbers():
    lars = LARS(weights(), lr=np.float64(0.1), momentum=np.float32(0.5))
    assert [type(lars.param_groups[0][name]) for name in ("lr", "momentum")] == [float, float]


@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_weights_in_half_precision(dtype, per_filter):
    """The ratio is beyond float16, the step is not."""
    w, g = torch.tensor([[300.0, 400.0]], dtype=dtype), torch.tensor([[1e-4, -2e-4]], dtype=dtype)
    (d,) = rescaled([g], [w], per_filter)
    expected = g.double() * (w.double().norm() / g.double().norm())
    assert d.dtype == dtype
    torch.testing.assert_close(d.double(), expected, rtol=1e-2, atol=0)
