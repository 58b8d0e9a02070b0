"""Decoupled optimizers: the law against sums and matrices, and against simulations that know nothing of it."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from resnet_dynamics import correlation, theory
from resnet_dynamics import random_updates as walks

K = 1000  # weights of the simulated layers that are no matrices


# The law.


def covariance(found, steps):
    """E[u_t·u_s]/U² of `steps` steps, from C_1, C_2, ..."""
    c = np.r_[1, found, np.zeros(steps)]
    return c[np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))]


@pytest.mark.parametrize("x", [0.05, 0.5, 1.0, 1.3])
def test_the_law_is_the_sum_of_all_updates(x, lr=0.3, square=7.0):
    """w = −λΣaᵏu_{t−k}: |w|², w·u and so the step, by the matrix of all correlations."""
    found = np.array([0.6, 0.3, -0.1, 0.05])
    law = theory.decoupled(square, found, lr, x / lr, exact=True)
    powers = (1 - x) ** np.arange(600.0)
    w2 = lr**2 * square * powers @ covariance(found, 600) @ powers
    wu = -lr * square * powers[:4] @ found  # w_t·u_t: what w_t knows of the next update
    moved = x**2 * w2 + 2 * x * lr * wu + lr**2 * square
    assert_allclose(law.norm**2, w2)
    assert_allclose(law.update_rate**2, moved / w2)
    assert_allclose(law.overlap, w2 * (1 - (1 - x) ** 2) / (lr**2 * square))
    many = lr**2 * square * covariance(found, 1000).sum() / 1000  # the squared sum of many updates, each
    assert_allclose(law.lifetime_rate**2, many / w2, rtol=2e-3)


def test_every_decoupled_optimizer_turns_alike_in_the_long_run(lr=1e-6, weight_decay=0.1):
    """√(2λα) a step, to leading order, while single steps differ by √S."""
    found = [
        theory.sgdw(1.0, lr, weight_decay, 0.9, exact=True),
        theory.decoupled(1.0, [0.5, 0.1], lr, weight_decay, exact=True),
        theory.lion(K, lr, weight_decay, exact=True),
        theory.muon((32, 16), lr, weight_decay, exact=True),
    ]
    for one in found:
        assert_allclose(one.lifetime_rate, np.sqrt(2 * lr * weight_decay), rtol=1e-4)
        assert_allclose(one.update_rate * np.sqrt(one.overlap), one.lifetime_rate, rtol=1e-4)
    assert max(one.update_rate for one in found) > 2 * min(one.update_rate for one in found)


def test_exact_tends_to_leading_order():
    for make in (
        lambda **at: theory.decoupled(5.0, [0.5, 0.2], 1e-6, 0.1, **at),
        lambda **at: theory.sgdw(5.0, 1e-6, 0.1, 0.9, **at),
        lambda **at: theory.sgdw(5.0, 1e-6, 0.1, 0.9, normalized=True, **at),
        lambda **at: theory.lion(K, 1e-6, 0.1, **at),
        lambda **at: theory.muon((32, 16), 1e-6, 0.1, **at),
    ):
        assert_allclose(make(exact=True), make(), rtol=1e-4)


X = [1e-4, 0.01, 0.3, 1.0, 1.7]


@pytest.mark.parametrize("exact", [False, True])
def test_sgdw_is_that_of_the_equations(exact, lr=0.5, c=3.0):
    alpha, rho = np.array(X)[:, None] / lr, np.array([0.0, 0.6, 0.9])
    at = dict(optimizer="sgdw", exact=exact)
    found = theory.sgdw(c, lr, alpha, rho, exact=exact)
    assert_allclose(lr * c / found.norm**2, theory.lars_rate(lr, alpha, rho, **at))
    assert_allclose(found.norm, theory.equilibrium_norm(c, lr, alpha, rho, **at))
    assert_allclose(found.update_rate, theory.update_rate(lr, alpha, rho, **at))
    assert_allclose(found.lifetime_rate, theory.lifetime_rate(lr, alpha, rho, **at))
    assert_allclose(found.time_constant, theory.time_constant(lr, alpha, rho, **at))


@pytest.mark.parametrize("exact", [False, True])
def test_adamw_is_the_law_of_a_geometric_correlation(exact):
    for x in X:
        for beta in (0.0, 0.5, 0.9):
            square, found = K * (1 - beta) / (1 + beta), beta ** np.arange(1.0, 1000)
            law = theory.decoupled(square, found, 0.1, 10 * x, momentum=beta, exact=exact)
            assert_allclose(law[:4], theory.adamw(K, 0.1, 10 * x, beta, exact=exact))
            assert_allclose(theory.sgdw(K**0.5 * (1 - beta), 0.1, 10 * x, beta, normalized=True, exact=exact), law)


def test_labels_are_kept():
    lr = xr.DataArray([0.1, 0.2], dims="layer")
    for found in (theory.sgdw(1.0, lr, 0.1, 0.9), theory.lion(K, lr, 0.1, 0.9, 0.9, exact=True),
                  theory.muon((4, 4), lr, 0.1), theory.adam_l2(1.0, K, lr, 0.1), theory.hyperball(lr)):  # fmt: skip
        assert {part.dims for part in found} == {("layer",)}


# Correlations.


def test_the_correlation_of_a_mean_is_that_of_its_weights():
    for beta1, beta2, weights in (
        (0.9, 0.99, np.r_[0.1, 0.9 * 0.01 * 0.99 ** np.arange(4000)]),
        (0.8, 0.8, 0.2 * 0.8 ** np.arange(400)),
        (0.8**2, 0.8, np.r_[0.2 + 0.8 * 0.2, 0.8 * 0.2 * 0.8 ** np.arange(1, 400)]),  # Nesterov: (1 − β)g + βm
    ):
        r = correlation.mean_correlation(beta1, beta2)
        for k in (1, 2, 7):
            assert_allclose(r(k), weights[k:] @ weights[:-k] / (weights @ weights), rtol=1e-9)


def test_shares_of_a_square_matrix_are_in_closed_form():
    r = np.array([-0.9, -0.3, 1e-3, 0.1, 0.5, 0.9, 0.98])
    k = np.arange(1, 4001, 2)
    chi = (r[:, None] ** k / k**2).sum(1)  # Legendre's χ₂
    closed = 4 / np.pi**2 * ((1 + r**-2) * chi - (r**-2 - 1) * np.arctanh(r))
    assert_allclose(correlation.polar_overlap(r, (9, 9)), closed, atol=2e-7)
    assert_allclose(correlation.polar_overlap(1e-6, (9, 9)) / 1e-6, (8 / (3 * np.pi)) ** 2)


def test_overlaps_are_odd_and_end_at_one():
    for overlap in (correlation.sign_overlap, lambda r: correlation.polar_overlap(r, (40, 16)),
                    lambda r: correlation.polar_overlap(r, (16, 40), correlation.newton_schulz)):  # fmt: skip
        r = np.linspace(0, 1, 50)
        assert_allclose(overlap(-r), -overlap(r))
        assert_allclose(overlap(r)[[0, -1]], [0, 1], atol=1e-12)
        assert (overlap(r) <= r + 1e-12).all() and (np.diff(overlap(r), 2) > -1e-12).all()
    assert_allclose(correlation.polar_overlap(r, (10**6, 1)), r, atol=1e-5)  # a column: its direction


@pytest.mark.parametrize("shape, response", [((48, 48), None), ((16, 64), None), ((48, 48), correlation.newton_schulz)])
def test_overlaps_are_those_of_random_matrices(shape, response):
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, 60, *shape))

    def factor(one):
        u, s, v = np.linalg.svd(one, full_matrices=False)
        size = np.sqrt((s**2).sum(-1, keepdims=True))
        return u @ v if response is None else u * response(s / size)[..., None, :] @ v

    first, seen = factor(a), []
    for r in (0.3, 0.7, 0.95):
        second = factor(r * a + np.sqrt(1 - r**2) * b)
        seen.append((first * second).sum() / (first**2).sum())
    assert_allclose((first**2).sum((1, 2)).mean(), correlation.polar_square(shape, response), rtol=0.01)
    assert_allclose(seen, correlation.polar_overlap(np.array([0.3, 0.7, 0.95]), shape, response), rtol=0.015)


def test_newton_schulz_is_that_of_a_matrix():
    a = np.random.default_rng(0).standard_normal((5, 3))
    u, s, v = np.linalg.svd(a / np.linalg.norm(a), full_matrices=False)
    x = a / np.linalg.norm(a)
    for _ in range(5):
        x = 3.4445 * x - 4.775 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    assert_allclose(x, u * correlation.newton_schulz(s) @ v)


# Simulations.


def rows():
    """Name, rule, runs and shape, steps, λ, α, the law. The more weights in all, the smaller the noise."""
    torch = pytest.importorskip("torch")
    many, schulz = (1, 4 * K), correlation.newton_schulz
    yield "SGDW", walks.momentum_sgd(0.9), many, 1500, 0.5, 0.02, theory.sgdw(1.0, 0.5, 0.02, 0.9, exact=True)
    adamw = theory.adamw(4 * K, 0.01, 2.0, exact=True)
    yield "AdamW", walks.torch_rule(torch.optim.AdamW), many, 3000, 0.01, 2.0, adamw
    yield "Lion", walks.lion(), many, 2500, 0.02, 0.5, theory.lion(4 * K, 0.02, 0.5, exact=True)
    other = theory.lion(4 * K, 0.03, 0.5, 0.95, 0.98, exact=True)
    yield "Lion, .95, .98", walks.lion(0.95, 0.98), many, 1500, 0.03, 0.5, other
    yield "Muon", walks.muon(), (4, 32, 32), 600, 0.02, 1.0, theory.muon((32, 32), 0.02, 1.0, exact=True)
    plain = theory.muon((16, 48), 0.02, 1.0, 0.9, nesterov=False, exact=True)
    yield "Muon, plain momentum", walks.muon(0.9, nesterov=False), (4, 16, 48), 600, 0.02, 1.0, plain
    if hasattr(torch.optim, "Muon"):
        theirs = theory.muon((64, 32), 0.02, 1.0, response=schulz, exact=True)
        yield "Muon, torch's", walks.torch_rule(torch.optim.Muon), (1, 64, 32), 800, 0.02, 1.0, theirs


def test_every_optimizer_settles_where_the_law_has_it():
    for name, rule, (runs, *shape), steps, lr, weight_decay, law in rows():
        walk = walks.follow(rule, (*shape,), np.full(steps, lr), weight_decay, start=float(law.norm), runs=runs, seed=1)
        assert_allclose(walk.settled(), law[:2], rtol=0.01, err_msg=name)


def test_adam_with_coupled_decay_knows_the_size_of_gradients(lr=0.002, weight_decay=0.35):
    torch = pytest.importorskip("torch")
    laws = [theory.adam_l2(c, 2 * K, lr, weight_decay) for c in (1.0, 8.0)]
    for c, law in zip((1.0, 8.0), laws):
        rule = walks.torch_rule(lambda w: torch.optim.Adam(w, eps=1e-30))
        walk = walks.follow(rule, (2 * K,), np.full(1500, lr), weight_decay, start=float(law.norm), c=c)
        assert_allclose(walk.settled(), law[:2], rtol=0.01)
    # What it is: AdamW with α√K|w|/c for α.
    for c, law in zip((1.0, 8.0), laws):
        like = theory.adamw(2 * K, lr, weight_decay * (2 * K) ** 0.5 * law.norm / c)
        assert_allclose(law[:3], like[:3])
        assert_allclose(law.time_constant, like.time_constant * 2 / 3)


HYPERBALLS = [
    (0.5, 0.0, None, (K,), ()),
    (0.1, 0.9, None, (K,), lambda k: 0.9**k),
    (0.05, 0.95, np.sign, (K,), lambda k: correlation.sign_overlap(0.95**k)),
    (0.05, 0.9, walks.polar_factor, (24, 24), lambda k: correlation.polar_overlap(0.9**k, (24, 24))),
]


@pytest.mark.parametrize("lr, momentum, of, shape, found", HYPERBALLS)
def test_weights_of_set_norm_turn_as_predicted(lr, momentum, of, shape, found):
    law = theory.hyperball(lr, found)
    walk = walks.follow(walks.hyperball(momentum, of), shape, np.full(500, lr), 0.0, start=3.0, runs=4)
    assert_allclose(walk.w2, 9)
    norm, rate = walk.settled()
    assert_allclose(2 * np.arcsin(rate / 2), law.rotation_angle, rtol=0.01)
    if momentum == 0:
        assert_allclose(law.rotation_angle, np.arctan(lr))
        assert_allclose(np.arccos(1 - walk.update2 / 18), np.arctan(lr))  # every step
    # The same turn as a decoupled optimizer with λa for λ, and λα = 1 − a.
    a = 1 - law.decay
    twin = theory.decoupled(1.0, found, a * lr, law.decay / (a * lr), exact=True)
    assert_allclose(twin.norm, 1)
    assert_allclose(2 * np.arcsin(twin.update_rate / 2), law.rotation_angle)
    assert_allclose(twin.lifetime_rate, law.lifetime_rate)


# Schedules.


def test_the_recurrence_is_the_sum_of_all_updates():
    random = np.random.default_rng(0)
    lr, alpha, size, found = *random.uniform(0, 0.5, (3, 30)), np.array([0.6, 0.3, 0.1])
    kept = np.array([np.prod((1 - lr * alpha)[s + 1 :]) for s in range(30)]) * lr * size
    w2 = np.prod(1 - lr * alpha) ** 2 * 5.0 + kept @ covariance(found, 30) @ kept
    series = theory.decoupled_recurrence(5.0, np.r_[size, 1] ** 2, found, np.r_[lr, 0], np.r_[alpha, 0])
    assert_allclose(series[-1], w2)


def test_the_recurrence_comes_to_the_law():
    law = theory.lion(K, 0.02, [0.5, 2.0], exact=True)
    found = correlation.sign_overlap(correlation.mean_correlation(0.9, 0.99)(np.arange(1.0, 3000)))
    series = theory.decoupled_recurrence(9.0, K, found, np.full(3000, 0.02), [0.5, 2.0])
    assert_allclose(series[-1], law.norm**2)
    slow = theory.decoupled(1.0, [0.5], 0.02, 0.5, exact=True)
    series = theory.decoupled_recurrence(9.0, 1.0, [0.5], np.full(300, 0.02), 0.5) - slow.norm**2
    assert_allclose(np.log(series[100] / series[200]), 100 / slow.time_constant)


def triangle(peak, steps=4000):
    return peak * np.interp(np.linspace(0, 1, steps), [0, 0.2, 1], [0.02, 1, 0.01])


def test_through_a_schedule_simulations_follow_the_recurrence(steps=1500):
    """Gradients are of one length here: AdamW's v lags behind them where |w| changes fast."""
    lr, law = triangle(0.02, steps), theory.sgdw(1.0, 0.02, 0.5, 0.9, normalized=True, exact=True)
    for alpha in (0.5, 0.5 * lr / lr.max()):
        start = 0.6 * float(law.norm)
        walk = walks.follow(walks.momentum_sgd(0.9, normalized=True), (K,), lr, alpha, start=start, runs=4)
        w2 = theory.decoupled_recurrence(start**2, 1 / (1 - 0.81), lambda k: 0.9**k, lr, alpha)
        assert_allclose(walk.w2.mean(1), w2, rtol=0.015)


def test_a_run_under_way_goes_on_as_it_was(lr=0.02, alpha=0.5):
    """From equilibrium and its w·u nothing moves, whatever the correlation; of a geometric one two means are enough."""
    lion = correlation.sign_overlap(correlation.mean_correlation(0.9, 0.99)(np.arange(1.0, 2500)))
    for found in ([0.6, 0.3, -0.1], lion):
        law = theory.decoupled(7.0, found, lr, alpha, exact=True)
        a = 1 - lr * alpha
        known = -lr * 7.0 * np.polyval(np.r_[found[::-1], 1], a)  # w·u of the last update: −λU²Σ aʲC_j
        assert_allclose(theory.decoupled_recurrence(law.norm**2, 7.0, found, np.full(200, lr), alpha, wv_0=known),
                        law.norm**2)  # fmt: skip
    w2, wv, rho, rows = 3.0, 0.4, 0.9, []
    for _ in range(100):
        rows.append(w2)
        w2, wv = a**2 * w2 - 2 * a * lr * rho * wv + lr**2 * 7.0, a * rho * wv - lr * 7.0
    series = theory.decoupled_recurrence(3.0, 7.0, lambda k: rho**k, np.full(100, lr), alpha, wv_0=0.4)
    assert_allclose(series, rows, rtol=1e-9)


@pytest.mark.parametrize("decoupled", [True, False])
def test_adam_moves_as_its_recurrence_says_also_where_it_remembers_other_gradients(decoupled, weights=2 * K):
    """From twice the norm of equilibrium, with a λ that is halved: gradients change faster than s."""
    torch = pytest.importorskip("torch")
    lr, alpha, steps, make = (0.01, 0.5, 300, torch.optim.AdamW) if decoupled else (0.002, 0.35, 150, torch.optim.Adam)
    law = theory.adamw(weights, lr, alpha) if decoupled else theory.adam_l2(1.0, weights, lr, alpha)
    rates, start = np.where(np.arange(steps) < steps / 2, lr, lr / 2), 2 * float(law.norm)
    walk = walks.follow(walks.torch_rule(lambda w: make(w, eps=1e-30)), (weights,), rates, alpha, start=start, runs=2)
    w2 = theory.adam_recurrence(start**2, 1.0, weights, rates, alpha, decoupled=decoupled)
    assert_allclose(walk.w2.mean(1), w2, rtol=0.015 if decoupled else 0.06)
    still = theory.adamw(weights, lr, alpha, 0.9, exact=True).norm ** 2 if decoupled else law.norm**2
    settled = theory.adam_recurrence(still, 1.0, weights, np.full(4000, lr), alpha, 0.9, 0.99, decoupled=decoupled)
    assert_allclose(settled[-1], still, rtol=1e-7 if decoupled else 0.03)


def test_adam_goes_on_from_what_it_remembers(c=3.0, lr=0.01, alpha=0.4, beta1=0.8, beta2=0.98):
    """The same numbers by hand: m, s and their biases, of one gradient and a w that are orthogonal."""
    w2, wm, m2, s, rows = 2.0, 0.0, 0.0, 0.0, []
    for t in range(1, 21):
        g2 = c**2 / w2
        m2, wm = beta1**2 * m2 + (1 - beta1) ** 2 * g2, beta1 * wm
        s = beta2 * s + (1 - beta2) * g2 / 50
        root = np.sqrt(s / (1 - beta2**t)) * (1 - beta1**t)
        rows.append((w2, wm, m2, root))
        by, a = lr / root, 1 - lr * alpha
        w2, wm = a**2 * w2 - 2 * a * by * wm + by**2 * m2, a * wm - by * m2
        rows[-1] += (wm,)
    series = theory.adam_recurrence(2.0, c, 50, np.full(20, lr), alpha, beta1, beta2)
    assert_allclose(series, [row[0] for row in rows])
    _, _, m2, root, wm = rows[9]
    under_way = dict(steps_0=10, wv_0=wm / root, v2_0=m2 / root**2, s_0=(root / (1 - beta1**10)) ** 2)
    assert_allclose(theory.adam_recurrence(series[10], c, 50, np.full(10, lr), alpha, beta1, beta2, **under_way),
                    series[10:])  # fmt: skip


def test_the_ode_is_the_recurrence_to_leading_order():
    lr, square, found = triangle(0.02), 3.0, np.array([0.5, 0.2])
    whole = square * (1 + 2 * found.sum())
    for alpha in (0.2, 0.2 * lr / lr.max(), np.linspace(0.1, 0.3, len(lr))):
        w2 = theory.decoupled_recurrence(0.5, square, found, lr, alpha)
        z = theory.decoupled_ode(lr, alpha, square=whole, w2_0=0.5)
        assert_allclose(z, lr * whole / (2 * alpha * w2), rtol=0.01)
        assert_allclose(theory.decoupled_ode(lr, alpha, z0=z[0]), z)  # same start


def test_the_start_is_forgotten_at_half_the_rate_of_sgd():
    lr = triangle(0.02)
    w2 = [lr / theory.decoupled_ode(lr, 0.2, w2_0=w2_0) for w2_0 in (1.0, 2.0)]
    assert_allclose((w2[1] - w2[0]) / (w2[1] - w2[0])[0], np.sqrt(theory.memory(lr, 0.2)), rtol=1e-6)
    # So the same lag behind a falling λ takes twice the decay.
    assert_allclose(theory.decoupled_ode(lr, 0.4, z0=1.0), theory.master_ode(lr, 0.2, z0=1.0))


def test_decay_that_follows_the_rate_keeps_the_norm():
    """AdamC: torch's AdamW with α ∝ λ stays where it is; with a constant α it falls, and too late."""
    torch = pytest.importorskip("torch")
    lr = triangle(0.02, 1200)
    alpha = 0.5 * lr / lr.max()
    assert_allclose(theory.decoupled_ode(lr, alpha), 1)
    assert theory.decoupled_ode(lr, 0.5)[-20] < 0.3
    start = float(theory.adamw(K, 0.02, 0.5, exact=True).norm)
    rule = walks.torch_rule(lambda w: torch.optim.AdamW(w, betas=(0.9, 0.99)))
    walk = walks.follow(rule, (K,), lr, alpha, start=start, runs=2)
    assert_allclose(walk.w2.mean(1), start**2, rtol=0.08)  # up to the λα/(1 − β₁) that the target has
    falling = walks.follow(walks.momentum_sgd(0.9, normalized=True), (K,), lr, 0.5, start=34.0)
    assert falling.w2[-1] < 0.2 * falling.w2.max()


# The simulator.


def test_a_walk_is_of_random_gradients_that_are_orthogonal_to_the_weights():
    seen = []

    def rule(w, g, lr, weight_decay):
        seen.append((w, g, lr, weight_decay))
        return w - lr * g

    walk = walks.follow(rule, (3, 4), [0.5, 0.25], [1.0, 2.0], start=2.0, c=6.0, runs=5, seed=3)
    for w, g, *_ in seen:
        assert w.shape == g.shape == (5, 3, 4)
        assert_allclose((w * g).sum((1, 2)), 0, atol=1e-12)
        assert_allclose((w**2).sum((1, 2)) * (g**2).sum((1, 2)), 36)
    assert [one[2:] for one in seen] == [(0.5, 1.0), (0.25, 2.0)]
    assert_allclose(walk.w2, [[4.0] * 5, [4 + 0.25 * 9] * 5])
    assert_allclose(walk.update2[0], 0.25 * 9)
    assert_allclose(walk.first[1], 2 / np.sqrt(walk.w2[1]))
    again = walks.follow(rule, (3, 4), [0.5, 0.25], [1.0, 2.0], start=2.0, c=6.0, runs=5, seed=3)
    assert np.array_equal(again.first, walk.first)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_coupled_decay_is_that_of_torch(momentum):
    torch = pytest.importorskip("torch")
    theirs = walks.torch_rule(lambda w: torch.optim.SGD(w, momentum=momentum))
    a, b = (
        walks.follow(rule, (6,), np.full(20, 0.1), 0.3, start=1.0, runs=2)
        for rule in (walks.momentum_sgd(momentum, coupled=True), theirs)
    )
    assert_allclose(a.w2, b.w2)
    assert_allclose(a.update2, b.update2)
