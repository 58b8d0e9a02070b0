"""theory.py against float64 simulations that know nothing of its formulas, and against itself."""

import functools
import re
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from resnet_dynamics import Config, theory
from resnet_dynamics.schedules import rates

D = 1000  # weights of the simulated layer
STEPS_PER_EPOCH, EPOCHS = 97, 24


def triangle(peak):
    """The baseline's schedule: 0 → peak at epoch 5 → 0 at epoch 24, at the middle of each step."""
    epoch = (np.arange(EPOCHS * STEPS_PER_EPOCH) + 0.5) / STEPS_PER_EPOCH
    return np.interp(epoch, [0, 5, EPOCHS], [0, peak, 0])


def simulate(settings, lr_t, *, seed, runs, d=D, c=1.0, w2_0=1.0, correlation=0.0):
    """Train random layers: gradient directions uniform on the tangent sphere, |g| = c/|w|.

    settings: (optimizer, weight_decay, momentum) each; lr_t [T] or [T, settings]; c a number or
    [T]; w2_0 a number or [settings]. Returns series [T, settings, runs], named as in a recording,
    and first, the cosine of w_t and w_0. correlation: of the noise of successive steps, before it
    is projected on the tangent space.
    """
    rng = np.random.default_rng(seed)
    S = len(settings)
    column = [np.array(values)[:, None, None] for values in zip(*settings, strict=True)]
    nesterov, decoupled, alpha, rho = column[0] == "nesterov", column[0] == "sgdw", *column[1:]
    lr_t = np.broadcast_to(np.reshape(lr_t, (len(lr_t), -1)), (len(lr_t), S))
    c = np.broadcast_to(c, len(lr_t))
    w = rng.standard_normal((S, runs, d))
    w *= np.sqrt(np.reshape(w2_0, (-1, 1, 1)) / dot(w, w)[..., None])
    start, v, noise = w, np.zeros_like(w), rng.standard_normal(w.shape)
    rows = []
    for t, lr in enumerate(lr_t[:, :, None, None]):
        fresh = rng.standard_normal(w.shape)
        noise = correlation * noise + np.sqrt(1 - correlation**2) * fresh if correlation else fresh
        w2 = dot(w, w)
        g = noise - (dot(noise, w) / w2)[..., None] * w
        g *= (c[t] / np.sqrt(w2 * dot(g, g)))[..., None]
        grad = g + np.where(decoupled, 0, alpha) * w
        row = {
            "w2": w2,
            "g2": dot(g, g),
            "d2": dot(grad, grad),
            "wv": dot(w, v),
            "dv": dot(grad, v),
        }
        row["first"] = dot(w, start) / np.sqrt(w2 * dot(start, start))
        v = rho * v + grad
        new = (1 - np.where(decoupled, lr * alpha, 0)) * w
        new -= lr * np.where(nesterov, grad + rho * v, v)
        row |= {"v2": dot(v, v), "u2": dot(new - w, new - w)}
        row["cos"] = dot(w, new) / np.sqrt(w2 * dot(new, new))
        w = new
        rows.append(row)
    return SimpleNamespace(**{name: np.array([row[name] for row in rows]) for name in rows[0]})


def dot(a, b):
    return np.einsum("...d,...d->...", a, b)


# (1), (2), (1′), (2′), (4), (8): single steps.


def test_the_halves_of_a_step_and_their_norms():
    rng = np.random.default_rng(0)
    w, g = rng.standard_normal((2, 8, 4, 3, 3))
    g -= (w * g).sum() / (w * w).sum() * w
    lr, weight_decay = 0.7, 0.2
    w2, g2 = (w**2).sum(), (g**2).sum()
    assert_allclose(
        (theory.decay(w, lr, weight_decay) ** 2).sum(),
        theory.norm_after_decay(w2, lr, weight_decay),
    )
    assert_allclose((theory.descend(w, g, lr) ** 2).sum(), theory.norm_after_gradient(w2, g2, lr))
    # One step of torch's SGD does both, with g taken at w.
    after = theory.descend(w, g + weight_decay * w, lr)
    balance = w2 - theory.shrink(w2, lr, weight_decay) + theory.growth(g2, lr)
    assert_allclose((after**2).sum(), balance)


def test_leading_order_of_1_prime_errs_by_half_of_lr_times_weight_decay():
    exact, leading = (theory.shrink(1.0, 4.0, 5e-4, exact=e) for e in (True, False))
    assert_allclose(leading / exact - 1, 4.0 * 5e-4 / 2, rtol=2e-3)


def test_lars_grows_the_norm_by_its_rate_and_ignores_the_scale_of_gradients():
    rng = np.random.default_rng(1)
    w, g = rng.standard_normal((2, 6, 5))
    g -= (w * g).sum() / (w * w).sum() * w
    after = theory.lars_step(w, g, 0.1)
    assert_allclose((after**2).sum() / (w**2).sum(), 1 + 0.1**2)
    assert_allclose(after, theory.lars_step(w, 1e3 * g, 0.1))
    cos = (w * after).sum() / np.sqrt((w**2).sum() * (after**2).sum())
    assert_allclose(cos, np.cos(np.arctan(0.1)))
    first, v = theory.lars_momentum_step(w, np.zeros_like(w), g, 0.1, 0.9)
    assert_allclose(first, after)
    second, _ = theory.lars_momentum_step(w, v, g, 0.1, 0.9)
    assert_allclose(second, w - 0.1 * 1.9 * v)


# (3), (5), (6), (7), (9) and the unnumbered equation.

TABLE = [  # optimizer, lr, weight_decay, momentum: leading, exact, simulated; rms update
    ("sgd", 4, 5e-4, 0, 0.06325, 0.06321, 0.06321, 0.06325),
    ("sgd", 1, 0.1, 0, 0.44721, 0.43589, 0.43589, 0.44721),
    ("sgd", 1, 0.5, 0, 1.0, 0.86603, 0.86603, 1.0),
    ("sgd", 0.4, 5e-4, 0.9, 0.00632, 0.00632, 0.00633, 0.01451),
    ("sgd", 0.1, 0.01, 0.99, 0.00447, 0.00447, 0.00449, 0.03170),
    ("sgd", 1, 0.1, 0.9, 0.14142, 0.13955, 0.13950, 0.32444),
    ("sgd", 1, 0.5, 0.5, 0.70711, 0.64550, 0.64547, 0.81650),
    ("nesterov", 0.4, 5e-4, 0.9, 0.00632, 0.00633, 0.00633, 0.01681),
    ("nesterov", 1, 0.1, 0.9, 0.14142, 0.17629, 0.17627, 0.41136),
    ("sgdw", 0.4, 5e-3, 0.9, 0.00632, 0.00638, 0.00638, 0.01452),
]
ELSEWHERE = [
    ("sgd", 0.7, 0.3, 0.0),
    ("sgd", 2.0, 0.02, 0.7),
    ("sgd", 0.5, 0.9, 0.95),
    ("nesterov", 0.5, 0.05, 0.8),
    ("nesterov", 0.2, 0.9, 0.5),
    ("sgdw", 0.3, 0.1, 0.6),
    ("sgdw", 1.0, 0.2, 0.0),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(map(str, row[:4])))
def test_rates_are_those_of_the_momentum_table(row):
    optimizer, lr, weight_decay, momentum, leading, exact, simulated, update = row
    at = (lr, weight_decay, momentum)
    assert_allclose(theory.lars_rate(*at, optimizer=optimizer), leading, atol=5.1e-6)
    rate = theory.lars_rate(*at, optimizer=optimizer, exact=True)
    assert_allclose(rate, exact, atol=5.1e-6)
    assert_allclose(rate, simulated, rtol=5e-3)
    update_rate = theory.update_rate(*at, optimizer=optimizer, exact=True)
    assert_allclose(update_rate, update, atol=5.1e-6)


@pytest.fixture(scope="module")
def stationary():
    """Every setting, 6 runs, from 1.2 times the equilibrium |w|²; the first 1200 steps left out."""
    settings = [row[:4] for row in TABLE] + ELSEWHERE
    start = 1.2 * np.array([equilibrium(theory.equilibrium_norm, s, 1.0) for s in settings]) ** 2
    lr_t = np.tile([lr for _, lr, _, _ in settings], (2000, 1))
    layers = [(optimizer, alpha, rho) for optimizer, _, alpha, rho in settings]
    sim = simulate(layers, lr_t, seed=2, runs=6, w2_0=start)
    return settings, SimpleNamespace(**{name: a[1200:] for name, a in vars(sim).items()})


def equilibrium(function, setting, *first):
    optimizer, *at = setting
    return function(*first, *at, optimizer=optimizer, exact=True)


def test_exact_rates_are_those_of_a_simulation(stationary):
    settings, sim = stationary
    for i, setting in enumerate(settings):
        plain = setting[0] == "sgd" and setting[3] == 0  # where fluctuations die out
        rtol = 2e-5 if plain else 5e-3
        g2, w2, u2 = (a[:, i].mean() for a in (sim.g2, sim.w2, sim.u2))
        rate = setting[1] * np.sqrt(g2 / w2)
        assert_allclose(rate, equilibrium(theory.lars_rate, setting), rtol, err_msg=str(setting))
        update = equilibrium(theory.update_rate, setting)
        assert_allclose(np.sqrt(u2 / w2), update, rtol, err_msg=str(setting))
        norm = equilibrium(theory.equilibrium_norm, setting, 1.0)
        assert_allclose(np.sqrt(w2), norm, 3 * rtol, err_msg=str(setting))
        angle = np.arccos(sim.cos[:, i].mean())
        turn = equilibrium(theory.rotation_angle, setting)
        assert_allclose(angle, turn, 3 * rtol, err_msg=str(setting))


def test_cosine_of_the_rotation_is_one_minus_lr_times_weight_decay():
    x = np.array([2e-4, 2e-3, 0.1, 0.5])
    assert_allclose(np.cos(theory.rotation_angle(1.0, x, exact=True)), 1 - x)
    assert_allclose(np.degrees(theory.rotation_angle(1.0, 0.5, exact=True)), 60)
    assert_allclose(np.cos(theory.rotation_angle(1.0, x, 0.9, exact=True)), 1 - x / 1.9)
    start = theory.equilibrium_norm(1.0, 1.0, 0.5, exact=True) ** 2
    sim = simulate([("sgd", 0.5, 0.0)], np.ones(50), seed=4, runs=2, d=10, w2_0=start)
    assert_allclose(sim.cos, 0.5)  # every step, not only on average
    assert_allclose(sim.w2, start)


def test_the_equations_say_the_same_thing():
    lr, weight_decay, c = np.geomspace(0.01, 4, 5), 5e-4, 3.0
    for momentum in (0.0, 0.9):
        for exact in (False, True):
            at = {"momentum": momentum, "exact": exact}
            ratio = theory.equilibrium_ratio(lr, weight_decay, **at)
            assert_allclose(theory.trust_ratio(lr, weight_decay, **at), 1 / ratio)
            assert_allclose(theory.lars_rate(lr, weight_decay, **at), lr * ratio)
            norm = theory.equilibrium_norm(c, lr, weight_decay, **at)
            assert_allclose(c / norm / norm, ratio)  # |g| = c/|w|
    assert_allclose(theory.equilibrium_ratio(lr, weight_decay), np.sqrt(2 * weight_decay / lr))
    assert_allclose(  # (7) is (5) with λ/(1 − ρ) for λ
        theory.trust_ratio(lr, weight_decay, 0.9), theory.trust_ratio(lr / (1 - 0.9), weight_decay)
    )
    assert_allclose(  # the unnumbered equation depends on λα/(1 − ρ)
        theory.lifetime_rate(0.4, 5e-4, 0.9), theory.lifetime_rate(0.04, 5e-3 / 2, 0.95)
    )
    three = [
        f(0.4, 5e-4, 0.9) for f in (theory.lars_rate, theory.update_rate, theory.lifetime_rate)
    ]
    assert three == sorted(three)
    assert_allclose(three[2] / three[0], 10)
    for optimizer in ("sgd", "nesterov", "sgdw"):  # exact tends to leading order
        for function in (theory.lars_rate, theory.update_rate, theory.rotation_angle):
            exact, leading = (
                function(1e-6, 0.1, 0.9, optimizer=optimizer, exact=e) for e in (1, 0)
            )
            assert_allclose(exact, leading, rtol=1e-5)


def random_walk(step, start, steps, seed, d=1000, runs=4):
    """Follow w under an optimizer that sees random gradients orthogonal to w: rms |Δw|/|w|, |w| and cos(w, w_0)."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((runs, d))
    w *= start / np.sqrt(dot(w, w))[:, None]
    first, state, rows = w, (np.zeros_like(w), np.zeros_like(w)), []
    for t in range(steps):
        g = rng.standard_normal(w.shape)
        g -= (dot(g, w) / dot(w, w))[:, None] * w
        new, state = step(w, state, g, t)
        turn = dot(w, first) / np.sqrt(dot(w, w) * dot(first, first))
        rows.append((dot(new - w, new - w) / dot(w, w), dot(w, w), turn))
        w = new
    u2, w2, turn = np.array(rows).transpose(1, 0, 2)
    return SimpleNamespace(update=np.sqrt(u2.mean(1)), w2=w2.mean(1), turn=turn.mean(1))


@pytest.mark.parametrize("lr, weight_decay, momentum", [(0.7, 0.01, 0.0), (0.25, 8e-4, 0.6), (0.05, 6e-4, 0.9)])
def test_lars_at_its_rate_moves_as_sgd_does(lr, weight_decay, momentum):
    """The step that (4) and (8) take with the rate of (6) and (9) is that of SGD at equilibrium."""
    rate = theory.lars_rate(lr, weight_decay, momentum)

    def lars(w, state, g, t):
        pairs = [theory.lars_momentum_step(*one, rate, momentum) for one in zip(w, state[0], g)]
        return np.array([w for w, _ in pairs]), (np.array([v for _, v in pairs]), None)

    sim = random_walk(lars, 1.0, 1000, seed=5)
    settled = sim.update[100:]
    expected = theory.update_rate(lr, weight_decay, momentum)
    assert_allclose(np.sqrt((settled**2).mean()), expected, rtol=5e-3)


@pytest.mark.parametrize("lr, weight_decay, momentum", [(2e-3, 0.2, 0.9), (5e-4, 0.6, 0.8), (4e-3, 0.5, 0.95)])
def test_adamw_settles_where_theory_has_it(lr, weight_decay, momentum, beta2=0.999, eps=1e-12):
    d = 1000
    theirs = theory.adamw(d, lr, weight_decay, momentum)

    def adamw(w, state, g, t):
        m, v = momentum * state[0] + (1 - momentum) * g, beta2 * state[1] + (1 - beta2) * g**2
        move = m / (1 - momentum ** (t + 1)) / (np.sqrt(v / (1 - beta2 ** (t + 1))) + eps)
        return (1 - lr * weight_decay) * w - lr * move, (m, v)

    sim = random_walk(adamw, theirs.norm, 6000, seed=6, d=d, runs=2)
    half = slice(3000, None)
    assert_allclose(np.sqrt(sim.w2[half].mean()), theirs.norm, rtol=0.05)
    assert_allclose(np.sqrt((sim.update[half] ** 2).mean()), theirs.update_rate, rtol=0.05)
    assert_allclose(theirs.lifetime_rate, theirs.update_rate * np.sqrt((1 + momentum) / (1 - momentum)))


def test_adamw_forgets_a_norm_more_slowly_than_sgd():
    lr, weight_decay = 5e-3, 0.5

    def adamw(w, state, g, t):  # the limit of β₂ → 1: every gradient has rms 1
        m = 0.9 * state[0] + 0.1 * g
        return (1 - lr * weight_decay) * w - lr * m, (m, None)

    theirs = theory.adamw(4000, lr, weight_decay, 0.9)
    sim = random_walk(adamw, 0.3 * theirs.norm, 250, seed=7, d=4000)
    away = 1 - sim.w2 / theirs.norm**2
    tau = 200 / np.log(away[20] / away[220])
    assert_allclose(tau, theirs.time_constant, rtol=0.05)
    assert theory.adamw(1000, 1.0, 0.0).norm == theory.adamw(1000, 1.0, 0.0).time_constant == np.inf


# λα, β₁, and how far |w|² is below its leading order there: λα/(1 − β₁) is .1, .3, .6 and 0.
FAR = [(0.01, 0.9, 0.09), (0.03, 0.9, 0.27), (0.03, 0.95, 0.57), (0.05, 0.0, -0.025)]


@pytest.mark.parametrize("x, momentum, off", FAR)
def test_adamw_is_exact_at_any_decay(x, momentum, off, weight_decay=0.5, d=1000):
    lr = x / weight_decay

    def limit(w, state, g, t):  # β₂ → 1: √v is 1 for every weight
        m = momentum * state[0] + (1 - momentum) * g
        return (1 - x) * w - lr * m, (m, None)

    leading, exact = (theory.adamw(d, lr, weight_decay, momentum, exact=e) for e in (False, True))
    sim = random_walk(limit, exact.norm, 4000, seed=8, d=d, runs=4)
    half = slice(1000, None)
    assert_allclose(sim.w2[half].mean(), exact.norm**2, rtol=0.01)
    assert_allclose((sim.update[half] ** 2).mean(), exact.update_rate**2, rtol=0.01)
    assert_allclose(leading.norm**2 / exact.norm**2 - 1, off, atol=5e-3)
    assert_allclose(exact.lifetime_rate, lr * np.sqrt(d) / exact.norm)
    # The law it comes from: |w|² = λ²U²S/(1 − a²) with S = 1 + 2Σ aᵏβ₁ᵏ.
    a, k = 1 - x, np.arange(1, 2000)
    law = lr**2 * d * (1 - momentum) / (1 + momentum) * (1 + 2 * ((a * momentum) ** k).sum()) / (1 - a**2)
    assert_allclose(exact.norm**2, law)
    # m is SGD's momentum times 1 − β₁: the same balance.
    twin = theory.lifetime_rate(lr, weight_decay, momentum, optimizer="sgdw", exact=True)
    assert_allclose(exact.lifetime_rate, twin)


def test_adamw_relaxes_exactly_as_fast_as_its_slowest_part():
    def tau(x, momentum=0.9, exact=True):
        return theory.adamw(1000, x, 1.0, momentum, exact=exact).time_constant

    assert_allclose(tau(0.05), -1 / np.log(0.95**2))
    assert_allclose(tau(0.3), -1 / np.log(0.9**2))  # the momentum forgets more slowly than the weights
    assert_allclose(tau(1e-6), tau(1e-6, exact=False), rtol=1e-5)
    assert tau(1.0, 0.0) == 0 and theory.adamw(1000, 1.0, 0.0, exact=True).norm == np.inf
    assert theory.adamw(1000, 1.0, 0.0, exact=True).time_constant == np.inf


def test_limits_are_infinite_not_errors():
    assert theory.equilibrium_ratio(0.0, 5e-4) == np.inf
    assert theory.trust_ratio(0.4, 0.0) == np.inf
    assert theory.time_constant(0.4, 0.0) == theory.time_constant(0.4, 0.0, exact=True) == np.inf


# Time.


def test_time_constants():
    assert_allclose(theory.time_constant(4.0, 5e-4), 125)
    assert_allclose(theory.time_constant(0.4, 5e-4, 0.9), 125)
    assert_allclose(theory.time_constant(0.4, 5e-4), 1250)
    x = 0.03
    assert_allclose(theory.norm_multipliers(1.0, x), [2 * (1 - x) ** 2 - 1, 0, 0], atol=1e-12)
    assert_allclose(1 / theory.time_constant(0.4, 5e-4, 0.9, exact=True), 8.72e-3, atol=5e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "sgdw"])
def test_the_recurrence_relaxes_with_its_slowest_multiplier(optimizer):
    at = (0.1, 5e-3, 0.8)
    tau = theory.time_constant(*at, optimizer=optimizer, exact=True)
    leading = theory.time_constant(*at, optimizer=optimizer)
    assert_allclose(tau, leading, rtol=0.06)
    w2_star = theory.equilibrium_norm(1.0, *at, optimizer=optimizer, exact=True) ** 2
    lr_t = np.full(int(10 * tau), at[0])  # long enough for the other multipliers to die out
    w2 = theory.norm_recurrence(w2_star, 1.0, lr_t, *at[1:], optimizer=optimizer)
    away = w2 / w2_star - 1  # not 0 at once: the buffer starts at 0
    assert_allclose(np.log(away[-101] / away[-1]), 100 / tau, rtol=1e-3)


def test_heavy_ball_rings_with_the_predicted_period():
    at = (0.04, 5e-4, 0.99)
    period, damping = theory.ringing(*at)
    assert round(period) == 846 and round(damping) == 199
    assert_allclose(theory.ringing(*at, exact=True), (period, damping), rtol=1e-4)
    assert theory.ringing(0.4, 5e-4, 0.9) is None
    # The threshold at ρ = 0.9 is λα = (1 − √ρ)²/4 = 6.6e-4.
    assert theory.ringing(6.5e-4, 1.0, 0.9) is None and theory.ringing(6.7e-4, 1.0, 0.9)
    # Undershoot and overshoot of a norm that starts a little too large.
    w2_star = theory.equilibrium_norm(1.0, *at, exact=True) ** 2
    w2 = theory.norm_recurrence(1.0001 * w2_star, 1.0, np.full(3000, at[0]), *at[1:]) / w2_star - 1
    crossings = np.flatnonzero(np.diff(np.sign(w2)))[1:]  # the buffer starts at 0: skip the first
    assert len(crossings) > 4
    assert_allclose(np.diff(crossings), period / 2, rtol=0.01)
    turn = np.argmin(w2)
    assert_allclose(w2[turn + round(period)] / w2[turn], np.exp(-period / damping), rtol=0.1)


def test_sgdw_rings_with_the_period_of_its_multipliers(lr=0.02, alpha=0.25, rho=0.99):
    at = dict(optimizer="sgdw")
    period, damping = theory.ringing(lr, alpha, rho, **at)
    mu, other, real = theory.norm_multipliers(lr, alpha, rho, **at)
    assert_allclose([mu * other * real, abs(mu)], [((1 - lr * alpha) * rho) ** 3, np.exp(-1 / damping)])
    w2_star = theory.equilibrium_norm(1.0, lr, alpha, rho, exact=True, **at) ** 2
    w2 = theory.norm_recurrence(1.001 * w2_star, 1.0, np.full(2500, lr), alpha, rho, **at) / w2_star - 1
    crossings = np.flatnonzero(np.diff(np.sign(w2)))[2:]
    assert len(crossings) > 4
    assert_allclose(np.diff(crossings), period / 2, rtol=0.02)
    assert theory.ringing(0.05, 0.1, 0.9, **at) is None


def test_moments_go_on_from_a_momentum_that_is_under_way():
    for optimizer in ("sgd", "nesterov", "sgdw"):
        m = theory.moments(2.0, 3.0, np.full(40, 0.1), 0.2, 0.9, optimizer=optimizer)
        given = dict(wv_0=m.wv[20], v2_0=m.v2[19])
        again = theory.moments(m.w2[20], 3.0, np.full(20, 0.1), 0.2, 0.9, optimizer=optimizer, **given)
        for name, series in again._asdict().items():
            assert_allclose(series, getattr(m, name)[20:], err_msg=name)


def test_memory_of_the_initial_norm():
    lr_t = triangle(0.4)
    memory = theory.memory(lr_t, 5e-4, 0.9)
    assert memory.shape == lr_t.shape and memory[0] == 1
    assert round(float(memory[5 * STEPS_PER_EPOCH]), 2) == 0.14
    assert round(float(-np.log(memory[-1])), 1) == 9.3
    assert_allclose(theory.memory(triangle(4.0), 5e-4), memory)  # only λα/(1 − ρ) counts
    # It is what separates two runs of the master ODE that differ in their initial norm.
    y = [lr_t / theory.master_ode(lr_t, 5e-4, 0.9, w2_0=w2_0) for w2_0 in (1.0, 2.0)]
    assert_allclose((y[1] - y[0]) / (y[1] - y[0])[0], memory, rtol=1e-6)


# Schedules.


def test_the_norm_recurrence_is_exact_for_plain_sgd():
    rng = np.random.default_rng(3)
    lr_t, c = rng.uniform(0, 1, 300), rng.lognormal(size=300)
    sim = simulate([("sgd", 0.05, 0.0)], lr_t, seed=3, runs=1, d=20, c=c, w2_0=2.0)
    assert_allclose(theory.norm_recurrence(2.0, c, lr_t, 0.05), sim.w2[:, 0, 0])


def test_moments_are_those_of_a_simulation_with_momentum():
    settings = [("sgd", 0.02, 0.9), ("nesterov", 0.02, 0.9), ("sgdw", 0.1, 0.8)]
    epoch = np.linspace(0, 24, 500)
    lr_t, c = np.interp(epoch, [0, 5, 24], [0, 1, 0]), 1 + 0.5 * np.sin(epoch)
    sim = simulate(settings, lr_t, seed=5, runs=24, c=c, w2_0=3.0)
    for i, (optimizer, weight_decay, momentum) in enumerate(settings):
        exact = theory.moments(3.0, c, lr_t, weight_decay, momentum, optimizer=optimizer)
        assert_allclose(exact.w2, sim.w2[:, i].mean(1), rtol=0.02, err_msg=optimizer)
        for name in ("v2", "u2"):
            mean = getattr(sim, name)[:, i].mean(1)
            assert_allclose(getattr(exact, name), mean, rtol=0.05, atol=1e-9, err_msg=optimizer)
        assert_allclose(exact.wv, sim.wv[:, i].mean(1), atol=0.05 * np.abs(exact.wv).max())


def test_moments_of_lars_are_those_of_a_simulation():
    lr_t = np.interp(np.linspace(0, 24, 300), [0, 5, 24], [0, 0.02, 0])
    exact = theory.moments(3.0, 1.0, lr_t, 5e-4, 0.9, optimizer="lars")
    rng = np.random.default_rng(8)
    w = rng.standard_normal((24, D))
    w *= np.sqrt(3 / dot(w, w))[:, None]
    v, rows = np.zeros_like(w), []
    for lr in lr_t:
        g = rng.standard_normal(w.shape)
        g -= (dot(g, w) / dot(w, w))[:, None] * w
        w2, wv, (w_next, v) = dot(w, w), dot(w, v), lars_steps(w, v, g, lr, 0.9)
        rows.append([part.mean() for part in (w2, wv, dot(v, v), dot(w_next - w, w_next - w))])
        w = w_next
    sim = theory.Moments(*np.array(rows).T)
    assert_allclose(exact.w2, sim.w2, rtol=5e-3)
    assert exact.w2[-1] > 60  # from 3
    for name in ("v2", "u2"):
        assert_allclose(getattr(exact, name), getattr(sim, name), rtol=0.03, atol=1e-9)
    assert_allclose(exact.wv, sim.wv, atol=0.02 * np.abs(exact.wv).max())


def lars_steps(w, v, g, lr, momentum):
    pairs = [theory.lars_momentum_step(*one, lr, momentum) for one in zip(w, v, g)]
    return tuple(np.array(part) for part in zip(*pairs))


def test_lars_knows_neither_decay_nor_the_size_of_gradients():
    lr_t = triangle(0.05)
    growing = 2.0 * np.cumprod(np.r_[1, 1 + lr_t[:-1] ** 2])
    for c, weight_decay in ((1.0, 0.0), (np.geomspace(1, 9, len(lr_t)), 0.5)):
        given = dict(weight_decay=weight_decay, optimizer="lars")
        assert_allclose(theory.norm_recurrence(2.0, c, lr_t, **given), growing)
    c = np.ones((len(lr_t), 3)) * [1, 2, 3]
    assert theory.norm_recurrence([1.0, 2.0, 3.0], c, lr_t, 5e-4, 0.9, optimizer="lars").shape == c.shape


def test_without_decay_the_fourth_power_of_the_norm_grows_linearly():
    w2 = theory.norm_recurrence(1.0, 2.0, np.full(100, 0.01), 0.0)
    assert_allclose(w2**2, 1 + 2 * 0.01**2 * 2.0**2 * np.arange(100), rtol=1e-4)


# Predicted dots over line, √z, at these fractions of the baseline's training.
FRACTION = [0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.95, 0.98]
SQRT_Z = {  # |w_0|² relative to equilibrium at the largest λ, λ_max/(1 − ρ)
    (1.0, 4.0): [1.10, 0.99, 0.96, 0.93, 0.91, 0.86, 0.77, 0.59, 0.43, 0.28],
    (0.1, 4.0): [1.24, 1.00, 0.96, 0.94, 0.91, 0.86, 0.77, 0.59, 0.43, 0.28],
    (3.0, 4.0): [0.67, 0.88, 0.93, 0.93, 0.90, 0.86, 0.77, 0.59, 0.43, 0.28],
    (1.0, 0.4): [1.01, 0.97, 0.90, 0.84, 0.76, 0.68, 0.56, 0.40, 0.29, 0.18],
}


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("size", "lr"), SQRT_Z)
def test_master_ode_gives_the_predicted_ratios(size, lr, momentum):
    lr_t = triangle(lr * (1 - momentum))
    w2_0 = size * theory.equilibrium_norm(1.0, lr_t.max(), 5e-4, momentum) ** 2
    z = theory.master_ode(lr_t, 5e-4, momentum, w2_0=w2_0)
    at = (np.array(FRACTION) * len(lr_t)).astype(int)
    assert_allclose(np.sqrt(z[at]), SQRT_Z[size, lr], atol=6e-3)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_run_without_decay_that_points_where_one_with_decay_does(momentum):
    """In float64, on a function that is blind to the length of w, through a schedule that rises and falls."""
    random = np.random.default_rng(0)
    matrices = random.normal(size=(200, 6, 6))

    def gradient(w, a):  # of (w·Aw)/|w|²
        return ((a + a.T) @ w - 2 * (w @ a @ w) / (w @ w) * w) / (w @ w)

    lr, alpha = 0.02 + 0.05 * np.sin(np.linspace(0.1, 3, 200)), 0.02 if momentum else 0.3
    found = theory.without_decay(lr, alpha, momentum)
    w, v = random.normal(size=6), np.zeros(6)
    other = before = w.copy()
    for t, a in enumerate(matrices):
        assert_allclose(other, found.scale[t] * w, rtol=1e-9)
        v = momentum * v + gradient(w, a) + alpha * w
        w = w - lr[t] * v
        step = -found.lr[t] * gradient(other, a) + found.momentum[t] * (other - before)
        other, before = other + step, other
    assert found.scale[-1] > 3 and (np.diff(found.scale) > 0).all()
    most = (1 - 0.9**0.5) ** 2
    theory.without_decay(np.full(2000, 0.1), 10 * 0.98 * most, 0.9)
    with pytest.raises(ValueError, match=f"at most {most:.3g} with this momentum; beyond it .w. rings$"):
        theory.without_decay(np.full(2000, 0.1), 10 * 1.02 * most, 0.9)
    if momentum == 0:
        constant = theory.without_decay(np.full(5, 0.1), 2.0)
        assert_allclose(constant.lr, 0.1 * 0.8 ** -(2 * np.arange(5) + 1.0))


def test_master_ode_is_the_norm_recurrence_to_leading_order():
    for momentum, rtol in ((0.0, 1.5e-3), (0.9, 0.01)):
        lr_t = triangle(4.0 * (1 - momentum))
        c = 3.0 + np.sin(np.arange(len(lr_t)) / 300)
        w2_0 = theory.equilibrium_norm(3.0, lr_t.max(), 5e-4, momentum) ** 2
        w2 = theory.norm_recurrence(w2_0, c, lr_t, 5e-4, momentum)
        z = theory.master_ode(lr_t, 5e-4, momentum, c=c, w2_0=w2_0)
        dots = lr_t * c / w2
        line = theory.lars_rate(lr_t, 5e-4, momentum)
        late = len(lr_t) // 4 if momentum else 0
        assert_allclose(np.sqrt(z)[late:], (dots / line)[late:], rtol=rtol)
        assert_allclose(theory.master_ode(lr_t, 5e-4, momentum, c=c, z0=z[0]), z)  # same start


def test_the_ramp_loses_equilibrium_where_predicted():
    slope = 1 / (19 * STEPS_PER_EPOCH)
    assert round(float(theory.equilibrium_lost(0.4 * slope, 5e-4, 0.9))) == 480
    assert round(float(theory.equilibrium_lost(4.0 * slope, 5e-4))) == 480
    assert round(float(theory.equilibrium_lost(0.4 * slope, 5e-4))) == 1518


def test_direction_is_forgotten_four_times_more_slowly_than_the_norm():
    settings = [("sgd", 2e-3, 0.0), ("sgd", 2e-4, 0.9)]
    lr_t, start = np.ones(800), [theory.equilibrium_norm(1.0, 1.0, *s[1:]) ** 2 for s in settings]
    sim = simulate(settings, lr_t, seed=6, runs=8, w2_0=start)
    for i, (_, weight_decay, momentum) in enumerate(settings):
        predicted = theory.memory(lr_t, weight_decay, momentum)[-1] ** 0.25
        assert_allclose(sim.first[-1, i].mean(), predicted, atol=0.03)


# Drift and correlation.


def test_correlated_batches_amplified():
    chi = np.array([-0.10, -0.05, 0.02, 0.05, 0.10])
    for optimizer, ratios in (
        ("sgd", [1.228, 1.109, 0.960, 0.902, 0.815]),
        ("nesterov", [1.198, 1.096, 0.963, 0.911, 0.829]),
    ):
        kappa = theory.kappa_from_chi(chi, 0.9)
        rate = theory.corrected_rate(0.4, 5e-4, 0.9, kappa=kappa, optimizer=optimizer)
        assert_allclose(rate / theory.lars_rate(0.4, 5e-4, 0.9), ratios, atol=6e-4)
    small = theory.corrected_rate(1, 1, 0.9, kappa=theory.kappa_from_chi(1e-4, 0.9))
    assert_allclose((1 - small / theory.lars_rate(1, 1, 0.9)) / 1e-4, 2.06, rtol=5e-3)


def test_corrected_rate_and_update_rate_hold_for_correlated_gradients():
    settings = [("sgd", 5e-3, 0.9), ("nesterov", 5e-3, 0.9), ("sgd", 0.02, 0.5)]
    starts = [theory.equilibrium_norm(1.0, 0.4, *s[1:]) ** 2 for s in settings]
    for correlation in (0.3, -0.3):
        lr_t = np.full(1500, 0.4)
        sim = simulate(settings, lr_t, seed=7, runs=4, w2_0=starts, correlation=correlation)
        for i, (optimizer, weight_decay, momentum) in enumerate(settings):
            w2, d2, v2, dv = (a[500:, i].mean(1) for a in (sim.w2, sim.d2, sim.v2, sim.dv))
            delta = theory.drift(w2, lr_t[500:], weight_decay, momentum)
            at, kappa = (0.4, weight_decay, momentum), dv.sum() / d2.sum()
            rate = theory.corrected_rate(*at, delta, kappa, optimizer=optimizer)
            measured = 0.4 * np.sqrt(d2.mean() / w2.mean())
            assert_allclose(measured, rate, rtol=4e-3)
            assert abs(measured / theory.lars_rate(*at) - 1) > 0.1  # (9) alone is far off
            if optimizer == "sgd":  # λ|v|/|w| does not feel the correlation
                update = theory.update_rate(*at) * np.sqrt(1 + delta)
                assert_allclose(0.4 * np.sqrt(v2.mean() / w2.mean()), update, rtol=2e-3)


def test_drift_closes_the_telescoping_identity():
    rng = np.random.default_rng(8)
    lr_t, weight_decay = triangle(4.0)[::10], 5e-4
    c = rng.lognormal(size=(len(lr_t), 3))
    w2 = theory.norm_recurrence(np.array([1.0, 5.0, 20.0]), c, lr_t, weight_decay)
    delta = theory.drift(w2, lr_t, weight_decay)
    lr = lr_t[:-1, None]
    grown = theory.growth((c**2 / w2)[:-1], lr).sum(0)
    decayed = theory.shrink(w2[:-1], lr, weight_decay)
    leading = theory.shrink(w2[:-1], lr, weight_decay, exact=False).sum(0)
    assert delta.shape == (3,)
    assert_allclose(grown - decayed.sum(0), delta * leading)


# Arguments.


def test_layers_and_settings_broadcast():
    lr_t = triangle(0.4)
    w2_0, c = np.array([1.0, 2.0, 3.0]), np.ones((len(lr_t), 3)) * [1, 2, 3]
    w2 = theory.norm_recurrence(w2_0, c, lr_t, 5e-4, 0.9)
    assert w2.shape == (len(lr_t), 3)
    for i in range(3):
        assert_allclose(w2[:, i], theory.norm_recurrence(w2_0[i], i + 1, lr_t, 5e-4, 0.9))
    assert_allclose(theory.norm_recurrence(w2_0, [[1, 2, 3]], lr_t, 5e-4, 0.9), w2)
    assert theory.norm_recurrence(w2_0, c[:, 0], lr_t, 5e-4, [0.0, 0.5, 0.9]).shape == w2.shape
    z = theory.master_ode(lr_t, [1e-4, 5e-4], 0.9)
    assert_allclose(z[:, 1], theory.master_ode(lr_t, 5e-4, 0.9))
    mu = theory.norm_multipliers(np.ones((4, 1)) * 0.1, 5e-4, np.array([0.5, 0.9]))
    assert mu.shape == (4, 2, 3)
    assert_allclose(mu[0, 1], theory.norm_multipliers(0.1, 5e-4, 0.9))


def test_labelled_arrays_keep_their_labels():
    w2 = xr.DataArray(np.ones((5, 2)), dims=("step", "layer"))
    lr = xr.DataArray(np.linspace(0, 1, 5), dims="step")
    assert theory.shrink(w2, lr, 5e-4).dims == ("step", "layer")
    assert theory.lars_rate(lr, 5e-4, 0.9).dims == ("step",)
    assert theory.equilibrium_ratio(lr, 5e-4).dims == ("step",)
    assert theory.drift(w2, lr, 5e-4).shape == (2,)


NO_SERIES = "must be a series of at least one step"
BAD = {
    "lars_rate(0.4, 5e-4, 1.2)": r"momentum=1.2: must be in \[0, 1\)",
    "lars_rate(0.4, 5e-4, [0.9, 1.0])": r"momentum\[1\]=1.0: must be in \[0, 1\)",
    "lars_rate(-0.4, 5e-4)": "lr=-0.4: must be ≥ 0 and finite",
    "lars_rate(np.inf, 5e-4)": "lr=inf: must be ≥ 0 and finite",
    "lars_rate([0.1, nan], 5e-4)": r"lr\[1\]=nan: must be ≥ 0 and finite",
    "lars_rate('0.4', 5e-4)": "lr='0.4': must be a real number or an array of real numbers, ≥ 0 and finite",
    "lars_rate(None, 5e-4)": "lr=None: must be a real number",
    "lars_rate(0.4 + 1j, 5e-4)": r"lr=\(0.4\+1j\): must be a real number",
    "lars_rate(True, 5e-4)": "lr=True: must be a real number",
    "lars_rate([[1], [1, 2]], 5e-4)": r"lr=\[\[1\], \[1, 2\]\]: must be a real number",
    "lars_rate({}, 5e-4)": r"lr=\{\}: must be a real number",
    "decay(1, lr=-1, weight_decay=5e-4)": "lr=-1: must be ≥ 0",
    "decay('w', 1, 1)": "w='w': must be a real number or an array of real numbers, finite",
    "descend(1, nan, 1)": "g=nan: must be finite",
    "norm_after_decay(-1, 1, 5e-4)": "w2=-1: must be ≥ 0",
    "norm_after_gradient(1, -1, 1)": "g2=-1: must be ≥ 0",
    "growth(g2=-1, lr=1)": "g2=-1: must be ≥ 0",
    "growth(1, -1)": "lr=-1: must be ≥ 0",
    "shrink(1.0, 0.4, -1e-4)": "weight_decay=-0.0001: must be ≥ 0",
    "lars_step([1, 2], [2, 1], -1)": "lr=-1: must be ≥ 0",
    "lars_momentum_step([1, 2], [0, 0], [2, 1], 1, 1)": r"momentum=1: must be in \[0, 1\)",
    "equilibrium_norm(-1, 0.4, 5e-4)": "c=-1: must be ≥ 0",
    "equilibrium_norm(1, 0, 0)": "lr=0 and weight_decay=0: must not both be 0",
    "equilibrium_ratio([0.1, 0], 0)": "lr=0 and weight_decay=0: must not both be 0",
    "trust_ratio(0, 0)": "lr=0 and weight_decay=0: must not both be 0",
    "lars_rate(5, 0.5, exact=True)": "lr \\* weight_decay=2.5: must be ≤ 2 with optimizer='sgd' and this momentum",
    "lars_rate([1, 8], 0.5, 0.9, exact=True)": r"lr \* weight_decay=4: must be ≤ 3.8 with",
    "equilibrium_norm(1, 3, 1, 0.5, optimizer='nesterov', exact=True)": "=3: must be ≤ 1.5 with optimizer='nesterov'",
    "trust_ratio(3, 1, optimizer='sgdw', exact=True)": "=3: must be ≤ 2 with optimizer='sgdw'",
    "rotation_angle(3, 1, exact=True)": "=3: must be ≤ 2 with",
    "update_rate(3, 1, exact=True)": "=3: must be ≤ 2 with",
    "time_constant(3, 1, exact=True)": "=3: must be ≤ 2 with",
    "norm_multipliers(3, 1)": "=3: must be ≤ 2 with",
    "ringing([0.1, 0.2], 5e-4, 0.9)": r"lr of shape \(2,\): must be a number here, not an array",
    "memory(0.1, 5e-4)": f"lr_t=0.1: {NO_SERIES}",
    "equilibrium_lost(0, 5e-4)": "slope=0: must be > 0 and finite",
    "equilibrium_lost(-1, 5e-4)": "slope=-1: must be > 0 and finite",
    "moments(1, 1, 0.1, 5e-4)": f"lr_t=0.1: {NO_SERIES}",
    "moments(1, 1, [], 5e-4)": f"lr_t=\\[\\]: {NO_SERIES}",
    "moments(0, 1, [0.1], 5e-4)": "w2_0=0: must be > 0",
    "moments([1, -1], 1, [0.1], 5e-4)": r"w2_0\[1\]=-1: must be > 0",
    "moments(1, -1, [0.1], 5e-4)": "c=-1: must be ≥ 0",
    "moments(1, [1, 2, 3], [0.1, 0.2], 5e-4)": r"lr_t of shape \(2,\), c of \(3,\), \|w_0\|² of \(\): must be \[T\] or",
    "norm_recurrence(1.0, 1.0, [0.1], nan)": "weight_decay=nan: must be ≥ 0",
    "master_ode([0.1], 0.0)": "weight_decay=0.0: must be > 0",
    "master_ode([0, 0.1], 5e-4, z0=1)": "=0: must be > 0 at the first step, its equilibrium is the start",
    "master_ode([0, 0], 5e-4)": "=0: must be > 0 at some step, its equilibrium is the start",
    "master_ode([0.1], 5e-4, z0=0)": "z0=0: must be > 0",
    "master_ode([0.1], 5e-4, w2_0=-1)": "w2_0=-1: must be > 0",
    "master_ode([0.1], 5e-4, w2_0=1, z0=1)": "z0=1.0: must be None where w2_0 is given",
    "without_decay([[0.1]], 5e-4)": r"lr_t of shape \(1, 1\): must be a series of numbers",
    "without_decay([0.1], [5e-4])": r"weight_decay of shape \(1,\): must be a number here",
    "without_decay([0.1, 0], 5e-4, 0.9)": "lr_t=0: must be > 0 with momentum",
    "without_decay([0.1, 0.1], 11)": r"lr \* weight_decay=1.1 at step 0: must be smaller, .* at most 1 with",
    "drift([1, 2], [0.1], 5e-4)": r"w2 of shape \(2,\) and lr_t of \(1,\): must be series of the same steps",
    "drift([1], [0.1], 5e-4)": "must be series of the same steps, at least two",
    "drift([1, 2], [0.1, 0.1], 0)": "lr_t \\* weight_decay \\* w2=0: must be > 0 at some step",
    "kappa_from_chi(1.5, 0.9)": "chi=1.5: must be in",
    "corrected_rate(0.4, 5e-4, 0.9, kappa=-1)": "kappa=-1.0: must be > −1/",
    "corrected_rate(0.4, 5e-4, 0.9, drift=-2)": "drift=-2: must be ≥ −1",
    "corrected_rate(0.4, 5e-4, optimizer='sgdw')": "optimizer='sgdw': must be",
    "adam_l2(-1, 10, 0.4, 5e-4)": "c=-1: must be ≥ 0",
    "decoupled(-1, [0.5], 0.4, 5e-4)": "square=-1: must be ≥ 0",
    "decoupled(1, [1.5], 0.4, 5e-4)": r"correlation=\[1.5\]: must be C_1, C_2, ..., each in \[−1, 1\], or a callable",
    "decoupled(1, [[0.5]], 0.4, 5e-4)": r"correlation=\[\[0.5\]\]: must be C_1",
    "decoupled(1, 'one', 0.4, 5e-4)": "correlation='one': must be C_1",
    "decoupled(1, [-0.9], 0.4, 5e-4)": "correlation: must be that of updates, of which S is > 0; here it is -0.8",
    "decoupled(1, lambda k: 0.5, 0.4, 5e-4)": "correlation=<.*: must return an array of the shape of k",
    "decoupled(1, lambda k: 1 / k, 0.4, 5e-4)": "correlation=<.*: must fall below 1e-12 within 1,048,576 steps",
    "decoupled(1, [0.5], 3, 1, exact=True)": "=3: must be ≤ 2 with",
    "decoupled_ode([0.1], 0.0)": "weight_decay=0.0: must be > 0, z is relative to the decay",
    "decoupled_ode([0, 0.1], 5e-4, z0=1)": r"lr_t \* square=0: must be > 0 at the first step",
    "decoupled_ode([0.1], 5e-4, w2_0=1, z0=1)": "z0=1.0: must be None where w2_0 is given",
    "decoupled_recurrence(0, 1, [0.5], [0.1], 1)": "w2_0=0: must be > 0",
    "moments(1, 1, [0.1], 5e-4, v2_0=-1)": "v2_0=-1: must be ≥ 0",
    "adam_recurrence(1, 1, 10, [0.1], 5e-4, beta2=1)": r"beta2=1: must be in \[0, 1\)",
    "ringing(1, 1, 0.9, optimizer='adam')": "optimizer='adam': must be 'sgd', 'nesterov' or 'sgdw'$",
    "hyperball(-1)": "lr=-1: must be ≥ 0",
    "lion(10, 0.1, 0.1, 1.0)": r"beta1=1.0: must be in \[0, 1\)",
    "lion(10, 0.1, 0.1, 0.9, [0.9, 0.99])": r"beta2 of shape \(2,\): must be a number here",
    "muon(10, 0.1, 0.1)": "shape=10: must be two whole numbers > 0, those of a matrix",
    "muon((3, 0.5), 0.1, 0.1)": r"shape=\(3, 0.5\): must be two whole numbers",
    "muon((8, 4), 0.1, 0.1, adjust_lr_fn='rms')": "adjust_lr_fn='rms': must be 'original', 'match_rms_adamw', ",
    "adamw(0, 0.4, 5e-4)": "weights=0: must be > 0",
    "adamw(10, 3, 1, exact=True)": "=3: must be ≤ 2 with",
    "adamw(10, 1, 1, exact=2)": "exact=2: must be True or False",
    "update_rate(0.4, 5e-4, optimizer='adam')": "optimizer='adam': must be",
    "update_rate(0.4, 5e-4, optimizer=['sgd'])": r"optimizer=\['sgd'\]: must be",
    "lars_rate(0.4, 5e-4, optimizer='lars')": "optimizer='lars': must be 'sgd', 'nesterov' or 'sgdw'$",
    "moments(1.0, 1.0, [0.1], 0.0, optimizer='adam')": "must be .*, 'sgdw' or 'lars'$",
    "lars_rate(0.1, 5e-4, exact='no')": "exact='no': must be True or False",
    "shrink(1, 1, 1, exact=None)": "exact=None: must be True or False",
    "time_constant(1, 1, exact=np.array([True]))": r"exact=array\(\[ True\]\): must be True or False",
    "ringing(1, 1, 0.9, exact=2)": "exact=2: must be True or False",
    "lars_rate([1, 2], [1, 2, 3])":
        r"lr of shape \(2,\), weight_decay of shape \(3,\): must be shapes that broadcast, as numpy's do",
    "memory([0.1, 0.2], [1, 2, 3])": r"lr_t of shape \(2,\), weight_decay of shape \(3,\): must be shapes",
    "lars_step([1, 2], [1, 2, 3], 1)": r"w of shape \(2,\), g of shape \(3,\): must be shapes",
    "growth(1e300, 1e300)": r"g2=1e\+300, lr=1e\+300: must be smaller, growth is beyond 1.8e308",
    "shrink(1.0, 1e200, 1)": r"w2=1, lr=1e\+200, weight_decay=1: must be smaller, shrink is beyond 1.8e308",
}


@pytest.mark.parametrize("call", BAD)
def test_a_bad_value_is_named_with_what_is_allowed(call):
    with pytest.raises(ValueError, match=f"^.*{BAD[call]}") as raised:
        eval(f"theory.{call}", {"theory": theory, "np": np, "nan": np.nan})
    assert "\n" not in str(raised.value)


LISTS = [  # A is a list, a tuple or an array
    "decay(A([1, 2]), 0.1, 0.5)", "descend(A([1, 2]), A([3, 4]), 0.1)", "norm_after_decay(A([1, 2]), A([0.1, 1]), 1)",
    "norm_after_gradient(A([1, 2]), A([1, 2]), A([0.1, 0.2]))", "growth(A([1, 2]), A([0.1, 0.2]))",
    "shrink(A([1, 2]), 0.1, A([1e-4, 1]))", "equilibrium_ratio(A([0.1, 0.2]), 5e-4)", "trust_ratio(1, A([0.1, 5e-4]))",
    "equilibrium_norm(A([1, 2]), 0.1, 5e-4)", "lars_step(A([1, 2]), A([2, 3]), 0.1)", "lars_rate(A([1, 2]), 5e-4)",
    "lars_momentum_step(A([1, 2]), A([0, 1]), A([2, 3]), 0.1, 0.9)", "lifetime_rate(A([1, 2]), 5e-4, A([0, 0.9]))",
    "update_rate(A([1, 2]), 5e-4, A([0, 0.9]))", "rotation_angle(A([1, 2]), 5e-4)", "time_constant(A([1, 2]), 5e-4)",
    "norm_multipliers(A([1, 2]), 5e-4)", "memory(A([0.1, 0.2]), 5e-4)", "equilibrium_lost(A([1, 2]), 5e-4)",
    "moments(A([1, 2]), A([[1, 2]]), A([0.1, 0.2]), 5e-4)", "master_ode(A([0.1, 0.2]), A([1, 2]))",
    "drift(A([[1], [2]]), A([0.1, 0.2]), 5e-4)", "kappa_from_chi(A([0.1, 0.2]), 0.9)",
    "corrected_rate(1, 1, 0.9, A([0.1]), A([0.2]))", "adamw(A([10, 20]), 0.1, 0.1)",
    "adamw(A([10, 20]), A([0.1, 0.2]), 0.1, exact=True)", "decoupled(A([1, 2]), A([0.5, 0.1]), A([0.1, 0.2]), 0.1)",
    "sgdw(A([1, 2]), 0.1, A([0.1, 0.2]), 0.9, exact=True)", "lion(A([10, 20]), 0.1, A([0.1, 0.2]), exact=True)",
    "muon((8, 4), A([0.1, 0.2]), 0.1)", "adam_l2(A([1, 2]), A([10, 20]), 0.1, 0.1)",
    "hyperball(A([0.1, 0.2]), A([0.5]))", "decoupled_recurrence(A([1, 2]), 1, A([0.5]), A([0.1, 0.2]), 0.1)",
    "decoupled_ode(A([0.1, 0.2]), A([1, 2]))",
]  # fmt: skip


@pytest.mark.parametrize("call", LISTS)
def test_lists_and_tuples_are_arrays(call):
    listed, tupled, expected = (eval(f"theory.{call}", {"theory": theory, "A": A}) for A in (list, tuple, np.array))
    for found in (listed, tupled):
        for one, same in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, same)


def test_numbers_of_other_libraries_are_numbers():
    torch = pytest.importorskip("torch")
    same = theory.lars_rate(0.5, 0.25, 0.5)
    for kind in (np.float64, np.float32, torch.tensor, np.array):
        assert_allclose(theory.lars_rate(kind(0.5), kind(0.25), kind(0.5)), same, rtol=1e-6)
    assert theory.lars_rate(torch.tensor([0.5, 1.0]), 0.25).shape == (2,)
    with pytest.raises(ValueError, match=r"lr=tensor\(0.5.* must be a real number"):
        theory.lars_rate(torch.tensor(0.5, requires_grad=True), 0.25)


@pytest.mark.parametrize("call, said", [
    (lambda: theory.lars_rate(0.1, alpha=1), "alpha=1: must be the arguments of lars_rate: lr, weight_decay, momentum"),
    (lambda: theory.lars_rate(0.1), "lars_rate: missing a required argument: 'weight_decay': must be the arguments of"),
    (lambda: theory.growth(1, 2, 3), "growth: too many positional arguments: must be the arguments of growth: g2, lr")])
def test_an_argument_that_there_is_not_is_named_with_those_there_are(call, said):
    with pytest.raises(TypeError, match=f"^{re.escape(said)}"):
        call()


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.uint16, np.int32, "torch"])
def test_narrow_integers_do_not_wrap_around(kind):
    if kind == "torch":
        torch = pytest.importorskip("torch")
        kind = functools.partial(torch.tensor, dtype=torch.int8)
    for values in (100, [100, 3], [[100], [3]]):
        value, same = kind(values), np.array(values, float)
        assert_allclose(theory.growth(value, value), theory.growth(same, same))
        assert_allclose(theory.shrink(value, value, value), theory.shrink(same, same, same))
        assert_allclose(theory.lars_rate(value, value), theory.lars_rate(same, same))


def test_labelled_integers_keep_their_labels():
    narrow = xr.DataArray(np.array([20, 200], np.uint8), {"step": [5, 6]}, ["step"], attrs={"units": "u²"})
    found = theory.growth(narrow, np.uint8(20))
    assert found.dims == ("step",) and found.dtype == float
    np.testing.assert_array_equal(found, [8000, 80000])
    np.testing.assert_array_equal(found.step, [5, 6])


def test_labelled_series_of_different_steps_are_refused():
    series = xr.DataArray(np.arange(4.0), {"step": np.arange(4)}, ["step"])
    later, shorter = series.assign_coords(step=series.step + 1), series[:3]
    for other in (later, shorter, shorter.drop_vars("step"), series[::-1]):
        with pytest.raises(ValueError, match="^g2 and lr: must be of the same values of step, of which"):
            theory.growth(series, other)
    assert theory.growth(series, series.drop_vars("step")).sizes == {"step": 4}
    assert theory.growth(series, series.rename(step="layer")).sizes == {"layer": 4, "step": 4}


def test_gaps_of_a_recording_stay_gaps():
    w2 = np.array([1.0, np.inf, np.nan])
    np.testing.assert_array_equal(theory.growth(w2, 2.0), [4, np.inf, np.nan])
    assert np.isnan(theory.norm_recurrence([1.0, np.nan], 1.0, [0.1, 0.1], 5e-4)[:, 1]).all()
    c = np.array([1.0, np.nan, 1.0])
    assert np.isnan(theory.master_ode(np.full(3, 0.1), 5e-4, c=c, w2_0=1.0)[1:]).all()


def test_what_does_not_decay_is_never_in_equilibrium():
    assert theory.equilibrium_lost(0.1, 0.0) == np.inf


def test_lars_without_a_gradient_stands_still():
    np.testing.assert_array_equal(theory.lars_step([1.0, 2.0], [0.0, 0.0], 0.1), [1, 2])
    w, v = theory.lars_momentum_step([1.0, 2.0], [0.0, 0.0], [0.0, 0.0], 0.1, 0.9)
    assert w.tolist() == [1, 2] and v.tolist() == [0, 0]


def test_where_the_decay_follows_the_rate_the_target_stands_still():
    lr = rates(Config(lr=4.0), 97)
    alpha = 5e-4 * lr / 4.0
    assert theory.master_ode(lr, alpha) == pytest.approx(np.ones(len(lr)), rel=1e-12)
    start = theory.equilibrium_norm(1.0, 4.0, 5e-4) ** 2
    w2 = theory.norm_recurrence(start, 1.0, lr, alpha)
    assert w2 == pytest.approx(np.full(len(lr), start), rel=1e-3)  # up to the λα dropped
    late = theory.master_ode(lr, 5e-4)
    assert late[-20] < 0.1  # while with a constant α equilibrium is lost


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "sgdw", "lars"])
def test_a_constant_series_of_decay_is_that_number(optimizer):
    lr, c = np.linspace(0.1, 0.4, 30), np.linspace(1, 2, 8)[None]
    for alpha in (np.full(30, 0.01), np.full((30, 8), 0.01)):
        rate = lr if alpha.ndim == 1 else np.tile(lr[:, None], 8)
        one = theory.moments(1.0, c, rate, 0.01, 0.9, optimizer=optimizer)
        series = theory.moments(1.0, c, rate, alpha, 0.9, optimizer=optimizer)
        for a, b in zip(one, series, strict=True):
            assert np.array_equal(a, b)
    assert np.array_equal(theory.master_ode(lr, 0.01), theory.master_ode(lr, np.full(30, 0.01)))
