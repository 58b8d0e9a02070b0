"""An instrument that reads weights, gradients and momentum at every step and does not disturb them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch

from .recording import PRODUCTS, ROLES

if TYPE_CHECKING:
    from ._shapes import ByFilter, Filters, LayerRows, LayerWeights, One, Place, Rows, Squares, Totals

__all__ = ["CHUNK", "Recorder"]

CHUNK = 512  # numbers of a layer that are multiplied at once


class Recorder:
    """Record all inner products of w, g, v_{t-1}, v_t and the update u = w_{t+1} − w_t of every layer, at every step.

    Two lines in the loop, around the one that moves the weights:

        recorder.before()
        optimizer.step()
        recorder.after(t, loss, correct)

    The five vectors of a layer, as rows of a matrix A, give everything at once: A Aᵀ holds |w|², |g|², w·g, g·v …
    The rows are copies, in float32, so the training sees no difference: the weights are bitwise those of a run without
    the recorder. The update is measured, new weights minus old, not derived from the optimizer's state.

    v_t is the momentum of SGD and LARS. For ρ = 0, where torch.optim.SGD keeps no momentum buffer, it is d_t = g + αw.
    Of the optimizers of `directions` it is their direction, what λ multiplies, as it is of heavy ball and LARS: Adam's
    m/√s, Lion's sign, Muon's matrix, without what decays beside it; w·v, d·v and so on are of that vector. A v that is
    there when the recorder is made, as after some steps without it, is v_{t-1} of its first step.

    g is what the optimizer is given: the sum of gradients that have been accumulated, clipped if they have been, and it
    must have been divided by the scale of the loss, if there is one.

    Series lie in buffers [T, …] on the device and come to the host once. No step waits for the host, and none depends
    on a number of Python that changes, so a step can be recorded once and replayed. The forward and backward pass may
    run under torch.compile; the recorder is outside of it.

    Args:
        weights: name → parameter of the layers to watch, each of which one of the optimizers moves.
        optimizers: torch.optim.SGD or ours, or others whose state holds "direction" or "momentum_buffer".
        steps: T.
        filters: keep the products of every output filter too.

    Raises:
        ValueError: names the layers that no optimizer moves or, at a step, those without a gradient; or an optimizer
            whose v is not known, such as torch.optim.AdamW.

    Attributes:
        products: [T, L, 15], in the order of `recording.PRODUCTS`. |error| of a·b: below 1e-6 |a||b|.
        filter_products: name → [T, F, 15], if asked for.
        loss, accuracy, skipped: [T].

    Cost a step: five copies of the weights, in twelve operations whatever the number of layers. With filters there are
    three more, and one for each layer.
    """

    def __init__(
        self, weights: dict[str, torch.nn.Parameter], optimizers: list[torch.optim.Optimizer], steps: int,
        filters: bool = False
    ):  # fmt: skip
        self.weights, self.optimizers, self.filters = weights, optimizers, filters
        self._layers = list(weights.values())
        owners = {p: (o, n) for o in optimizers for n, group in enumerate(o.param_groups) for p in group["params"]}
        if still := [name for name, w in weights.items() if w not in owners]:
            raise ValueError(f"weights of {', '.join(still)}: must be among those that the optimizers move")
        self._rows = _Rows(self._layers)
        self._owners = [owners[w] for w in self._layers]  # not their groups and states, which load_state_dict replaces
        self._runs = self._rows.runs(self._owners)
        new = dict(dtype=torch.float32, device=self._layers[0].device)
        self.products = torch.zeros(steps, len(weights), len(PRODUCTS), **new)
        self._per_filter = torch.zeros(steps if filters else 0, sum(map(len, self._layers)), len(PRODUCTS), **new)
        self._series = torch.full((3, steps), torch.nan, **new)
        self.loss, self.accuracy, self.skipped = self._series
        self._no = torch.zeros(1, **new)
        self._keep(self._buffers())

    @property
    def filter_products(self) -> dict[str, ByFilter]:
        """Name → [T, F, 15], views of one tensor; nothing if filters are not recorded."""
        parts = self._per_filter.split([len(w) for w in self._layers], dim=1)
        return dict(zip(self.weights, parts)) if self.filters else {}

    @torch.no_grad()
    def before(self):
        """Copy weights and gradients, and keep the last momentum, before the optimizer moves anything."""
        rows, grads = self._rows, [weight.grad for weight in self._layers]
        if missing := [name for name, g in zip(self.weights, grads) if g is None]:
            raise ValueError(f"weights of {', '.join(missing)}: must have a gradient; before() comes after backward()")
        torch._foreach_copy_(rows.of["w"], self._layers)
        torch._foreach_copy_(rows.of["g"], grads)
        rows.v_prev.copy_(rows.v)

    @torch.no_grad()
    def after(self, t: int | Place, loss: float | One, accuracy: float | One, skipped: One | None = None):
        """Complete step t: momentum and update, then all inner products.

        t: a number, or int64 [1] on the device. loss, accuracy: numbers, or tensors of one.
        skipped: None, or a tensor that is 1 where no optimizer took the step. Then v is what it was.
        """
        rows, t = self._rows, self._tensor(t, torch.int64)
        self._copy_momentum()
        if skipped is not None:
            torch.where(skipped > 0, rows.v_prev, rows.v, out=rows.v)
        torch._foreach_copy_(rows.of["u"], self._layers)
        rows.u.sub_(rows.w)
        a = rows.data.transpose(0, 1)  # [chunks, 5, 512]
        self.products.index_copy_(0, t, self._totals(a @ a.transpose(1, 2))[None])
        if self.filters:
            products = torch.cat([a @ a.transpose(1, 2) for a in rows.filters])  # [F of all layers, 5, 5]
            self._per_filter.index_copy_(0, t, products.flatten(1)[:, rows.pairs][None])
        series = [self._tensor(x) for x in (loss, accuracy, self._no if skipped is None else skipped)]
        self._series.index_copy_(1, t, torch.stack(series))

    def _totals(self, products: Squares) -> Totals:
        """Products of the layers [L, 15] from those of chunks [chunks, 5, 5]."""
        return self._rows.totals(products)

    def _copy_momentum(self):
        """v of every layer: the buffer of its optimizer or, where SGD keeps none, d = g + αw."""
        rows, buffers = self._rows, self._buffers()
        self._keep(buffers)
        for owner, first, chunks in self._runs:
            if buffers[first] is None:
                w, g, v, alpha = rows.w[chunks], rows.g[chunks], rows.v[chunks], _alpha(*owner)
                if torch.is_tensor(alpha):
                    torch.addcmul(g, w, alpha, out=v)
                else:
                    torch.add(g, w, alpha=alpha, out=v)

    def _buffers(self):
        """v of each layer as its optimizer keeps it, or None: what λ multiplies, if that is not the momentum."""
        states = [o.state.get(w, {}) for (o, _), w in zip(self._owners, self._layers)]
        return [state.get("direction", state.get("momentum_buffer")) for state in states]

    def _keep(self, buffers):
        kept = [(v, buffer) for v, buffer in zip(self._rows.of["v"], buffers) if buffer is not None]
        if kept:
            torch._foreach_copy_([v for v, _ in kept], [buffer for _, buffer in kept])

    def _tensor(self, x, dtype=torch.float32) -> One | Place:
        """x as a tensor [1] on the device, without a wait for it."""
        if torch.is_tensor(x):
            return x.to(dtype).view(1)
        return torch.full((1,), x, dtype=dtype, device=self.products.device)


def _alpha(optimizer, n):
    """α of a group whose momenta the optimizer does not keep."""
    group = optimizer.param_groups[n]
    if not isinstance(optimizer, torch.optim.SGD) or group["maximize"]:
        name = type(optimizer).__name__
        raise ValueError(f"{name}: must keep a direction or a momentum_buffer, or be torch.optim.SGD without maximize")
    return group["weight_decay"]


class _Rows:
    """The five vectors of all layers, side by side in one buffer, so that an operation takes all layers at once.

    Each layer is cut into chunks of 512; its last one is filled up with zeros, which add nothing to a product.

    Attributes:
        data: [5, chunks, 512], in the order of `recording.ROLES`. The last chunk belongs to nobody and stays zero.
        w, g, v_prev, v, u: [chunks, 512], views of it.
        of: role → a view for each layer, in the shape of its weights.
        filters: for each layer a view [F, 5, weights of a filter].
        places: the chunks of each layer, slices.
        pairs: places in [25] of the 15 products that differ.
    """

    def __init__(self, weights: list[torch.nn.Parameter]):
        device = weights[0].device
        ends = [0, *itertools.accumulate(-(-w.numel() // CHUNK) for w in weights)]
        self.places = [slice(*ends_) for ends_ in itertools.pairwise(ends)]
        self.data = torch.zeros(len(ROLES), ends[-1] + 1, CHUNK, dtype=torch.float32, device=device)
        self.w, self.g, self.v_prev, self.v, self.u = self.data
        shaped = [_shaped(self.data[:, place], w) for w, place in zip(weights, self.places)]  # [5, *shape] each
        self.of = {role: [rows[i] for rows in shaped] for i, role in enumerate(ROLES)}
        self.filters = [_by_filter(rows) for rows in shaped]
        most = max(place.stop - place.start for place in self.places)
        chunks = [[*range(ends[-1])][place] for place in self.places]
        self._chunks = torch.tensor([[*its, *[ends[-1]] * (most - len(its))] for its in chunks], device=device)
        i, j = torch.triu_indices(len(ROLES), len(ROLES), device=device)
        self.pairs = len(ROLES) * i + j

    def runs(self, owners):
        """Return (owner, first layer, chunks) of each run of neighbours of one owner, of owners [L]."""
        out = []
        for owner, run in itertools.groupby(range(len(owners)), owners.__getitem__):
            first, *_, last = [*run] * 2
            out.append((owner, first, slice(self.places[first].start, self.places[last].stop)))
        return out

    def totals(self, products: Squares) -> Totals:
        """Add up products of chunks [chunks, 5, 5] to those of the layers [L, 15].

        A sum takes what belongs to it and no more: one layer that is not finite leaves the others as they are.
        """
        return products.flatten(1)[self._chunks[:, :, None], self.pairs].sum(1)


def _shaped(rows: Rows, weight: LayerWeights) -> LayerRows:
    """A view of rows [5, chunks, 512] as [5, *shape] of a weight, with its order in memory."""
    strides = torch.empty_like(weight, device="meta").stride()
    return rows.as_strided((len(rows), *weight.shape), (rows.stride(0), *strides))


def _by_filter(rows: LayerRows) -> Filters:
    """A view of rows [5, F, ...] as [F, 5, K]: a filter's numbers in their order in memory."""
    inner = sorted(range(2, rows.ndim), key=rows.stride, reverse=True)
    return rows.permute(1, 0, *inner).view(rows.shape[1], len(rows), -1)
