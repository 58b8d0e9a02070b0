"""Layers that share a scale: identities on a transformer in float64; a pair's equilibrium against simulations."""

import numpy as np
import pytest
import torch
import xarray as xr
from test_transformer import loss_of, small

import resnet_dynamics as rd
from resnet_dynamics import measure
from resnet_dynamics.pairs import pair
from resnet_dynamics.series import together

LR, DECAY = 0.3, 0.1


def norms(model, names):
    """Σ|w|² and Σ|g|² of some parameters."""
    found = [dict(model.named_parameters())[name] for name in names]
    return sum(p.detach().square().sum() for p in found), sum(p.grad.square().sum() for p in found)


@pytest.mark.parametrize("options", [{}, dict(qk_norm=True), dict(branch_norm=True, activation="relu")])
def test_sums_of_writers_and_differences_of_pairs_have_the_equation_of_one_layer(options):
    """Shrink (1′) and growth (2′), exactly, at every step of SGD of a network that learns. One writer alone has not."""
    model = small(**options)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, weight_decay=DECAY)
    writers = model.symmetries()[-1].parameters
    groups = [(writers, ()), *((one.times, one.over) for one in model.rescalings())]
    alone = () if options.get("branch_norm") else ("blocks.0.o.weight",)
    for _ in range(5):
        optimizer.zero_grad()
        loss_of(model).backward()
        before = [[norms(model, names) for names in one] for one in (*groups, (alone, ()))]
        optimizer.step()
        for (up, down), ((w2, g2), (its_w2, its_g2)) in zip((*groups, (alone, ())), before):
            expected = (1 - LR * DECAY) ** 2 * (w2 - its_w2) + LR**2 * (g2 - its_g2)
            error = abs(norms(model, up)[0] - norms(model, down)[0] - expected)
            if up != alone:
                assert error < 1e-12 * (w2 + its_w2), up
            elif alone:
                assert error > 1e-5 * w2


def share(c1, c2, at, *, lr, weight_decay, momentum=0.0, start=1.0, stiff=3, steps=8000, n=400):
    """|w_1|² and |w_2|² [steps]: random gradients |g_i| = c_i/|w_i|, and a pull with one w·g that keeps |w_1||w_2|."""
    random = np.random.default_rng(0)
    w = random.standard_normal((2, n))
    w *= (np.sqrt(at) * np.array([start, 1 / start]) / np.linalg.norm(w, axis=1))[:, None]
    c, v, out = np.array([c1, c2]), 0.0, []
    for _ in range(steps):
        w2 = (w**2).sum(1)
        g = random.standard_normal(w.shape)
        g -= ((g * w).sum(1) / w2)[:, None] * w
        g *= (c / np.sqrt(w2 * (g**2).sum(1)))[:, None]
        pull = stiff * np.log(np.sqrt(w2.prod()) / at)  # w_1·g_1 = w_2·g_2
        g += (pull / w2)[:, None] * w
        out.append(w2)
        v = momentum * v + g + weight_decay * w
        w = w - lr * v
    return np.array(out)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("at", [0.4, 1.5, 6.0])
def test_a_pair_comes_to_its_equilibrium(at, momentum):
    lr, weight_decay = 0.04 * (1 - momentum), 0.05
    w2 = share(3.0, 1.0, at, lr=lr, weight_decay=weight_decay, momentum=momentum)[4000:]
    product = np.sqrt(w2.prod(1)).mean()
    found = pair(3.0, 1.0, product, lr, weight_decay, momentum)
    seen = w2[:, 0].mean() / w2[:, 1].mean()
    assert 1.02 < seen and abs(seen / found.ratio - 1) < 0.03
    assert abs((w2[:, 0] - w2[:, 1]).mean() / found.difference - 1) < 0.06


def test_how_fast():
    """By decay and by gradients, of which each is half here; the product stays within 2 %."""
    lr, weight_decay, at = 0.01, 0.1, 1.0
    w2 = share(4.0, 5.0, at, lr=lr, weight_decay=weight_decay, start=1.5, stiff=30, steps=400)
    found = pair(4.0, 5.0, at, lr, weight_decay)
    distance = np.log(w2[:, 0] / w2[:, 1]) - np.log(found.ratio)
    assert np.ptp(np.sqrt(w2.prod(1))) < 0.04
    assert abs(np.log(distance[100] / distance[300]) / (200 / found.time_constant) - 1) < 0.05


def test_limits():
    """No gradients: equal, in 1/2λα steps. Where P² is Bc_1c_2, each layer has the norm of equation (3), (7)."""
    none = pair(0.0, 0.0, 1.0, 0.1, 0.5)
    assert none.ratio == 1 and none.difference == 0 and none.time_constant == pytest.approx(10)
    lr, weight_decay, momentum = 0.1, 0.02, 0.9
    alone = [rd.theory.equilibrium_norm(c, lr, weight_decay, momentum) ** 2 for c in (5.0, 2.0)]
    found = pair(5.0, 2.0, np.sqrt(np.prod(alone)), lr, weight_decay, momentum)
    assert found.ratio == pytest.approx(alone[0] / alone[1]) == pytest.approx(2.5)
    assert found.difference == pytest.approx(alone[0] - alone[1])
    growth = lr / (1 - momentum) / (2 * weight_decay)
    assert np.prod(alone) == pytest.approx(growth * 5.0 * 2.0)  # P², and not P
    assert pair(5.0, 2.0, 1e-4, lr, weight_decay, momentum).ratio == pytest.approx(2.5**2)


# ------------------------------------------------------------------------------------------- together
def recorded(steps=12, momentum=0.0):
    torch.manual_seed(0)
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, weight_decay=DECAY, momentum=momentum)
    watch = rd.watch(model, optimizer, steps, every=1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        watch.before(), optimizer.step(), watch.after(loss)
    return model, watch.recording()


def test_several_layers_are_one_vector():
    model, ds = recorded()
    both = together(ds, {"writers": model.writers, "o": ["blocks.0.o"], "head": ["head"]})
    assert both.layer.values.tolist() == ["writers", "o", "head"] and {*both.variables} == {*ds.variables}
    assert both.sel(layer="o", drop=True).astype("f4").equals(ds.sel(layer="blocks.0.o", drop=True).astype("f4"))
    np.testing.assert_allclose(both.wg[:, 0], ds.wg.sel(layer=model.writers).astype(float).sum("layer"))
    assert int(both.weights[0]) == sum(int(ds.weights.sel(layer=name)) for name in model.writers)
    # w·g of the sum is that of rounding, and the sum of all changes is that of shrink and growth alone
    books = measure.telescoping(both)
    assert abs(books.radial_share[0]) < 1e-5 < 1e-2 < abs(books.radial_share[1:]).min()
    assert (abs(books.closure) < 1e-4).all()
    assert float(abs(measure.cosine(both)[:, 0]).max()) < 1e-5


def test_layers_that_are_not_moved_alike_are_not_one():
    _, ds = recorded(2)
    with pytest.raises(ValueError, match="^no layer stem in this recording: must be of characters, places, blocks"):
        together(ds, {"a": ["head", "stem"]})
    with pytest.raises(ValueError, match="^a: no layer: must be of characters"):
        together(ds, {"a": []})
    other = ds.assign(lr=ds.lr * xr.ones_like(ds.w2).where(ds.layer != "head", 2.0))
    with pytest.raises(ValueError, match="^a: must be layers with the same lr$"):
        together(other, {"a": ["head", "places"]})
    assert together(other, {"a": ["characters", "places"]}).lr.shape == (2, 1)
