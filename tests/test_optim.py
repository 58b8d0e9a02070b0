"""LARS is equation (8), and (4) without momentum, written fast; SGD is torch's; no step reads on the host."""

import re

import numpy as np
import pytest
import torch

from resnet_dynamics import theory
from resnet_dynamics.optim import LARS, SGD, Scaler, rescaled


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
    "lr": (-0.1, float("nan"), float("inf"), "0.1", None, True, torch.ones(2), torch.tensor(1), [0.1]),
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


# ------------------------------------------------------------------------------------------------ SGD

SHAPES = [(1,), (4,), (10,), (17,), (10, 33), (5, 3, 3, 3), (64, 32, 3, 3)]
SGDS = {
    "plain": dict(),
    "decay": dict(weight_decay=0.05),
    "heavy ball": dict(momentum=0.9),
    "heavy ball, decay": dict(momentum=0.9, weight_decay=0.05),
    "nesterov": dict(momentum=0.9, nesterov=True),
    "nesterov, decay": dict(momentum=0.9, weight_decay=0.05, nesterov=True),
}  # fmt: skip


def trained(make, tensors=False, dtype=torch.float32, steps=8, **given):
    """Weights and momenta after some steps with rates that change, numbers of Python or tensors."""
    random = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(s, generator=random, dtype=dtype)) for s in SHAPES]
    optimizer = make(params, **{"lr": 0.1, **given})
    for t in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=random, dtype=dtype)
        rates = {"lr": 0.37 * (t + 1), "weight_decay": given.get("weight_decay", 0) * (t + 1) / 7}
        for name, rate in rates.items():
            if name in given or name == "lr":
                optimizer.param_groups[0][name] = torch.tensor(rate, dtype=dtype) if tensors else rate
        optimizer.step()
    momenta = [s["momentum_buffer"] for s in optimizer.state.values() if s.get("momentum_buffer") is not None]
    return [p.detach() for p in params] + momenta


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("way", SGDS)
def test_sgd_is_torchs_bit_for_bit(way, tensors, dtype):
    """For tensors of any length: torch's own fused SGD rounds otherwise what is left after whole vectors."""
    expected, found = trained(torch.optim.SGD, False, dtype, **SGDS[way]), trained(SGD, tensors, dtype, **SGDS[way])
    assert len(found) == len(expected) and all(a.equal(b) for a, b in zip(found, expected))


def test_sgd_is_one_of_torchs_and_refuses_what_that_refuses():
    sgd = SGD(weights(), lr=0.1)
    assert isinstance(sgd, torch.optim.SGD) and sgd.step() is None
    with pytest.raises(ValueError, match="Nesterov momentum requires a momentum"):
        SGD(weights(), lr=0.1, nesterov=True)
    assert sgd.step(lambda: torch.tensor(3.0)).item() == 3


@pytest.mark.parametrize("setting", [dict(maximize=True), dict(dampening=0.5)], ids=str)
def test_what_only_torchs_sgd_has_is_named_and_not_ignored(setting):
    """Given to a group, or loaded from a checkpoint of torch's."""
    (name, value), params, others = *setting.items(), weights(), weights()
    loaded = SGD(others, lr=0.1)
    loaded.load_state_dict(torch.optim.SGD(others, lr=0.1, momentum=0.9, **setting).state_dict())
    for sgd in (SGD([{"params": params, **setting}], lr=0.1), loaded):
        with pytest.raises(ValueError, match=f"^{name}={value}: must be {type(value)()}, this SGD has none$"):
            sgd.step()


@pytest.mark.parametrize("per_filter", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_lars_takes_its_rate_from_a_tensor(momentum, per_filter):
    a, b = (trained(LARS, tensors, momentum=momentum, per_filter=per_filter) for tensors in (False, True))
    assert all(x.equal(y) for x, y in zip(a, b))


@pytest.mark.parametrize("make", [SGD, LARS])
def test_a_step_that_is_found_not_finite_is_left_out(make):
    """Also the first, before there is a momentum; the others are made as if it had not been."""
    (one, two), found = (weights(), weights()), torch.zeros(())
    a, b = make(one, lr=0.125, momentum=0.9), make(two, lr=torch.tensor(0.125), momentum=0.9)
    b.found_inf = found
    for t, bad in enumerate((True, False, True, False)):
        found.fill_(bad)
        give_gradients(one, t)
        give_gradients(two, t, scale=torch.inf if bad else 1)
        b.step()
        if not bad:
            a.step()
    for p, q in zip(one, two):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=0)
        torch.testing.assert_close(a.state[p]["momentum_buffer"], b.state[q]["momentum_buffer"], rtol=1e-12, atol=1e-12)


def test_the_scale_is_that_of_torchs_scaler():
    """Through steps that overflow and the 2000 good ones after which it doubles."""
    one, two = ([torch.nn.Parameter(torch.ones(3))] for _ in range(2))
    a, b = SGD(one, lr=0.1), torch.optim.SGD(two, lr=0.1)
    ours, torchs = Scaler([a], True, 2.0**12), torch.amp.GradScaler("cpu", init_scale=2.0**12)
    for t in range(2010):
        losses = [(p * (torch.inf if t in (0, 3) else 1.0)).sum() for p in (*one, *two)]
        one[0].grad = two[0].grad = None
        ours.scaled(losses[0]).backward(), torchs.scale(losses[1]).backward()
        skipped = ours.unscale()
        a.step(), torchs.unscale_(b), torchs.step(b), torchs.update()
        assert skipped.item() == (t in (0, 3)) and ours._scale.item() == torchs.get_scale(), t
        assert skipped or one[0].grad.equal(torch.ones(3))
    assert ours._scale == 2.0**11  # halved twice, doubled once
    torch.testing.assert_close(one, two, rtol=1e-5, atol=0)


def test_all_optimizers_step_or_none():
    one, two = weights(), weights()
    optimizers = SGD(one, lr=0.1), LARS(two, lr=0.1)
    scaler = Scaler(optimizers, True)
    give_gradients(one, 0), give_gradients(two, 0)
    one[0].grad[0] = torch.nan
    before = [p.detach().clone() for p in (*one, *two)]
    assert scaler.unscale() == 1
    for optimizer in optimizers:
        optimizer.step()
    assert all(p.equal(b) for p, b in zip((*one, *two), before))


def test_a_scaler_that_is_off_does_nothing():
    params = weights()
    scaler, loss = Scaler([SGD(params, lr=0.1)], False), torch.ones(())
    give_gradients(params, 0)
    before = [p.grad.clone() for p in params]
    assert scaler.scaled(loss) is loss and scaler.unscale() is None
    assert all(p.grad.equal(b) for p, b in zip(params, before))
