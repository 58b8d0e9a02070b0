"""An instrument that reads weights, gradients and momentum at every step and does not disturb them."""

from __future__ import annotations

import itertools

import torch

from .recording import PRODUCTS, ROLES

CHUNK, FILTER_CHUNK = 512, 64  # numbers of a layer, or of a filter, that are multiplied at once


class Recorder:
    """Record all inner products of w, g, v_{t-1}, v_t and the update u = w_{t+1} − w_t of every layer, at every step.

    Two lines in the loop, around the one that moves the weights:

        recorder.before()
        optimizer.step()
        recorder.after(t, loss, correct)

    The five vectors of a layer, as rows of a matrix A, give everything at once: A Aᵀ holds |w|², |g|², w·g, g·v …
    The rows are copies, in float32, so the training sees no difference: the weights are bitwise those of a run without
    the recorder. The update is measured, new weights minus old, not derived from the optimizer's state.

    For ρ = 0, where torch keeps no momentum buffer, v_t is d_t = g + αw.

    Series lie in buffers [T, …] on the device and come to the host once. No step waits for the host, and none depends
    on a number of Python that changes, so a step can be recorded once and replayed. The forward and backward pass may
    run under torch.compile; the recorder is outside of it.

    Args:
        weights: name → parameter of the layers to watch, each of which one of the optimizers moves.
        optimizers: whose state holds "momentum_buffer" (torch.optim.SGD, or ours).
        steps: T.
        filters: keep the products of every output filter too.

    Attributes:
        products: [T, L, 15], in the order of `recording.PRODUCTS`. |error| of a·b: below 1e-6 |a||b|.
        filter_products: name → [T, F, 15], if asked for.
        loss, accuracy, skipped: [T].

    Cost a step: five copies of the weights, in twelve operations whatever the number of layers; with filters fifteen.
    """

    def __init__(self, weights: dict[str, torch.nn.Parameter], optimizers, steps: int, filters: bool = False):
        self.weights, self.optimizers, self.filters = weights, optimizers, filters
        self._layers = list(weights.values())
        self._state = {p: o.state for o in optimizers for group in o.param_groups for p in group["params"]}
        group_of = {p: group for o in optimizers for group in o.param_groups for p in group["params"]}
        self._rows = Rows(self._layers, filters)
        self._runs = self._rows.runs([group_of[w] for w in self._layers])
        new = dict(dtype=torch.float32, device=self._layers[0].device)
        self.products = torch.zeros(steps, len(weights), len(PRODUCTS), **new)
        self._per_filter = torch.zeros(steps, len(self._rows.parts), len(PRODUCTS), **new) if filters else None
        self._series = torch.full((3, steps), torch.nan, **new)
        self.loss, self.accuracy, self.skipped = self._series
        self._no = torch.zeros(1, **new)

    @property
    def filter_products(self):
        """Name → [T, F, 15], views of one tensor; nothing if filters are not recorded."""
        if not self.filters:
            return {}
        return dict(zip(self.weights, self._per_filter.split([*map(len, self._layers), 1], dim=1)))

    @torch.no_grad()
    def before(self):
        """Copy weights and gradients, and keep the last momentum, before the optimizer moves anything."""
        rows = self._rows
        torch._foreach_copy_(rows.of["w"], self._layers)
        torch._foreach_copy_(rows.of["g"], [weight.grad for weight in self._layers])
        rows.v_prev.copy_(rows.v)

    @torch.no_grad()
    def after(self, t, loss, accuracy, skipped=None):
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
        products = rows.totals(a @ a.transpose(1, 2))
        if self.filters:
            self._per_filter.index_copy_(0, t, products[None])
            products = products[rows.layers].sum(1)
        self.products.index_copy_(0, t, products[None, : len(self._layers)])
        series = [self._tensor(x) for x in (loss, accuracy, self._no if skipped is None else skipped)]
        self._series.index_copy_(1, t, torch.stack(series))

    def _copy_momentum(self):
        """v of every layer: the buffer of its optimizer or, where that keeps none, d = g + αw."""
        rows = self._rows
        buffers = [self._state[w].get(w, {}).get("momentum_buffer") for w in self._layers]
        kept = [(v, buffer) for v, buffer in zip(rows.of["v"], buffers) if buffer is not None]
        if kept:
            torch._foreach_copy_([v for v, _ in kept], [buffer for _, buffer in kept])
        for group, first, chunks in self._runs:
            if buffers[first] is None:
                w, g, v, alpha = rows.w[chunks], rows.g[chunks], rows.v[chunks], group.get("weight_decay", 0.0)
                if torch.is_tensor(alpha):
                    torch.addcmul(g, w, alpha, out=v)
                else:
                    torch.add(g, w, alpha=alpha, out=v)

    def _tensor(self, x, dtype=torch.float32):
        """x as a tensor [1] on the device, without a wait for it."""
        if torch.is_tensor(x):
            return x.to(dtype).view(1)
        return torch.full((1,), x, dtype=dtype, device=self.products.device)


class Rows:
    """The five vectors of all layers, side by side in one buffer, so that an operation takes all layers at once.

    Each layer, or each output filter, is cut into chunks of one length; its last one is filled up with zeros, which add
    nothing to a product.

    Attributes:
        data: [5, chunks, length], in the order of `recording.ROLES`. The last chunk belongs to nobody and stays zero.
        w, g, v_prev, v, u: [chunks, length], views of it.
        of: role → a view for each layer, in the shape of its weights.
        parts: chunks of each part, layer or filter [parts + 1, most]; those of nobody fill up, and are a part at last.
        layers: parts of each layer [L, most], filled up likewise.
    """

    def __init__(self, weights, filters: bool):
        length = FILTER_CHUNK if filters else CHUNK
        parts = [w[0] if filters else w for w in weights]
        counts = [len(w) if filters else 1 for w in weights]
        sizes = [-(-part.numel() // length) for part in parts]  # chunks of each
        ends = [0, *itertools.accumulate(n * size for n, size in zip(counts, sizes))]
        device = weights[0].device
        self.data = torch.zeros(len(ROLES), ends[-1] + 1, length, dtype=torch.float32, device=device)
        self.w, self.g, self.v_prev, self.v, self.u = self.data
        self._places = [slice(*ends_) for ends_ in itertools.pairwise(ends)]
        self.of = {role: [_shaped(row[place], w, part) for w, part, place in zip(weights, parts, self._places)]
                   for role, row in zip(ROLES, self.data)}  # fmt: skip
        cuts = [range(a, a + size) for begin, n, size in zip(ends, counts, sizes)
                for a in range(begin, begin + n * size, size)]  # fmt: skip
        self.parts = _table([*cuts, range(0)], ends[-1], device)
        of_layer = itertools.pairwise([0, *itertools.accumulate(counts)])
        self.layers = _table([range(*ends_) for ends_ in of_layer], len(cuts), device)
        i, j = torch.triu_indices(len(ROLES), len(ROLES), device=device)
        self._pairs = len(ROLES) * i + j

    def runs(self, groups):
        """Return (group, first layer, chunks) of each run of neighbours of one group, of groups [L]."""
        out = []
        for _, run in itertools.groupby(range(len(groups)), lambda i: id(groups[i])):
            first, *_, last = [*run] * 2
            out.append((groups[first], first, slice(self._places[first].start, self._places[last].stop)))
        return out

    def totals(self, products):
        """Add up products of chunks [chunks, 5, 5] to those of the parts [parts + 1, 15]; zeros at last.

        A sum takes what belongs to it and no more: one layer that is not finite leaves the others as they are.
        """
        return products.flatten(1)[self.parts[:, :, None], self._pairs].sum(1)


def _shaped(chunks, weight, part):
    """A view of chunks [n, length] in the shape of a weight, each part of it from the start of a chunk."""
    strides = torch.empty_like(part, device="meta").stride()
    if part is not weight:
        strides = (chunks.numel() // len(weight), *strides)
    return chunks.as_strided(weight.shape, strides)


def _table(ranges, nobody, device):
    """Return the ranges as rows of one table, filled up with `nobody`."""
    most = max(map(len, ranges))
    return torch.tensor([[*r, *[nobody] * (most - len(r))] for r in ranges], device=device)
