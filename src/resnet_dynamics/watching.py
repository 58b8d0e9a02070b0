"""Any network in any loop: two lines around optimizer.step(), and its steps are a recording."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable

import numpy as np
import torch
import xarray as xr

from . import recording
from .console import warn
from .instrument import Block, Instrument, kind_of, settings_of
from .invariance import plain_name, unwrapped
from .pace import Pace
from .recording import PRODUCTS

__all__ = ["BLOCK", "FEWEST", "SHARE", "Watch", "watch"]

BLOCK = 1024  # recorded steps for which memory is taken at a time
SHARE = 0.03  # of 1/√K: a layer whose cosine is smaller counts as scale invariant
FEWEST = 5  # steps: of as many, chance makes the cosine of one layer in ten million so small
KICK = 1e-4  # of |w|², well above the recorder's error: a change that is not that of the step
OTHER = 0.03  # of an update: what it may differ by from that of SGD


def watch(
    model: torch.nn.Module, optimizer, steps: int | None = None, *, layers: Iterable[str] | None = None,
    keep: int | None = None, every: int | str = "auto", share: float = 0.05
) -> Watch:  # fmt: skip
    """Watch the weights of any network, in any loop: two lines, around the one that moves them.

        watch = rd.watch(model, optimizer)
        for x, y in batches:
            ...
            loss.backward()
            watch.before()
            optimizer.step()
            watch.after(loss)
        ds = watch.recording()

    `measure` and `plots` take the recording, or a part of it, as it is. λ, α and ρ of every step are those that the
    groups of the optimizer had, which schedulers change. The weights are bitwise those of a loop that is not watched:
    nothing is patched, no gradient written, no random number drawn, and nothing waits for the device.

    before() reads the gradients as the optimizer will: accumulated, unscaled (`scaler.unscale_(optimizer)`), clipped.
    If the loop is another's, the lines belong into its hooks before and after the step. torch.compile, autocast and
    wrappers such as DataParallel change nothing.

    Args:
        model: the network. The name of a layer is that of its parameter without ".weight", and without what wrappers
            put before it. Weights that are used twice, or tied, are one layer, with the gradient of all their uses.
        optimizer: what moves it, or a list of several that step between the two lines. Networks that step in turn, as
            two that play against each other, have a watch each.
        steps: how many there will be, if that is known: then memory is taken once.
        layers: names of the parameters to watch, those of one dimension, too; None means all of two dimensions or more
            that are not frozen and that an optimizer moves.
        keep: the recording is of so many recorded steps, the last ones; None means of all.
        every: record one step of so many; 1 records all. Where it is more, sums over time do not close, and measures
            that need them say so. "auto" records the first eleven, and then as many as `share` allows (`pace.Pace`):
            all where that is cheap. It goes by a clock, so which they are may differ from run to run; after a
            checkpoint it measures anew.
        share: of the time of a step, that "auto" spends on recording, in the mean and at most.

    Memory: five copies of the watched weights in float32; then 0.1 kB a layer and recorded step, in blocks of 1024.
    With `keep` it does not grow: what is held beyond are two blocks at most, of `keep` steps if that is less.

    Cost of a recorded step: some 18 passes over the watched weights, 3 ns a weight on one thread of a CPU, whatever
    the batch. For a ResNet-18, 35 ms, that is 14 % of a step of 128 images of 32 × 32, or 1 % without a stride in the
    stem, and 3 % of one of 16 images of 224 × 224. So "auto" takes one step in three in the first case, and all in the
    others. On a GPU it is the time of the host that counts, to start some dozens of operations.

    Raises:
        TypeError: the model is no torch.nn.Module, or the optimizer has no groups and state.
        ValueError: there is nothing to watch; or a layer is moved by no optimizer, or by two, has no shape yet, is
            complex, or not whole on one device with the others.
    """
    return Watch(model, optimizer, steps, layers=layers, keep=keep, every=every, share=share)


class Watch:
    """What `watch` returns, with the same arguments.

    Attributes:
        layers: name → parameter.
        t: steps taken so far.
        every: one step of so many is recorded; None as long as "auto" measures what it costs.
    """

    def __init__(self, model, optimizer, steps=None, *, layers=None, keep=None, every="auto", share=0.05):
        for name, value, other in (("steps", steps, None), ("keep", keep, None), ("every", every, "auto")):
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not whole and value != other:
                said = f", or {other!r}" if other else ""
                raise ValueError(f"{name}={value!r}: must be a whole number, at least 1{said}")
        if not 0 < share < np.inf:
            raise ValueError(f"share={share!r}: must be a number above 0")
        optimizers = _optimizers(optimizer)
        self.layers, self.t, self._pace, self._keep = _chosen(model, optimizers, layers), 0, Pace(every, share), keep
        self._size = min(BLOCK, keep or BLOCK)
        first = -(-steps // (self.every or 1)) if steps and not keep else self._size
        self._instrument = Instrument(self.layers, optimizers, first)
        self._blocks = collections.deque([Block(self._instrument.products, self._instrument.loss)])
        self._kinds, self._last, self._begun = [], -1, False

    @property
    def every(self) -> int | None:
        return self._pace.every

    def before(self) -> None:
        """Read weights, gradients and momentum: after backward(), before optimizer.step().

        Raises:
            ValueError: no layer has a gradient. One that has none, while others have, as in a branch that was not
                taken, is not moved by this step, and its series say so.
        """
        self._begun = True
        self._pace.begin()
        if not self._pace.due(self.t):
            return
        with self._pace.recording():
            block, owners = self._room(), self._instrument.owners()
            missing = self._instrument.begin(follows=self._last == self.t - 1)
            kinds = [kind_of(*owner) for owner in owners]
            self._kinds += [kind for kind in dict.fromkeys(kinds) if kind not in self._kinds]
            places = [self._kinds.index(kind) for kind in kinds]
            block.note(self.t, missing, places, [settings_of(group) for _, group in owners])

    def after(self, loss=None) -> None:
        """Complete the step, after optimizer.step(). loss: a number, or a tensor of one; None if it is not known."""
        if not self._begun:
            raise ValueError("after(): must follow before(), with optimizer.step() between the two")
        if torch.is_tensor(loss) and loss.numel() != 1:
            raise ValueError(f"loss of shape {tuple(loss.shape)}: must be one number")
        if self._pace.due(self.t):
            with self._pace.recording():
                block = self._blocks[-1]
                loss = loss.detach().reshape(1) if torch.is_tensor(loss) else np.nan if loss is None else float(loss)
                self._instrument.after(block.used, loss, np.nan)
                block.used, self._last = block.used + 1, self.t
        self.t, self._begun = self.t + 1, False

    def recording(self, **attrs) -> xr.Dataset:
        """Return the steps so far as a recording [step, layer] without a configuration, see `recording.from_steps`.

        The optimizer is "sgd" or "nesterov" if it is torch.optim.SGD without dampening and maximize, or that of this
        package; "sgdw", "adam", "adamw", "lion" or "muon" if it is one of `directions`; else the name of its class, and
        what is an equation of SGD is refused. v is what `recorder.Recorder` has. Of an optimizer that keeps none, as
        torch.optim.AdamW, it is not known, and what has it is NaN. λ, α, ρ and the optimizer are series [step]; [step,
        layer] if layers differ in them.

        Where somebody has changed |w| between two steps, a new part begins. Where a layer had no gradient, or a scaler
        left the step out, `skipped` is 1. diverged_at is the first step whose weights are not finite. To keep it:
        ds.to_netcdf(path, engine="h5netcdf").

        Args:
            attrs: name → plain value, kept with it, such as seed, batch_size.

        Raises:
            ValueError: there is no step yet.

        Warns: of steps of SGD that are not those of the gradients that before() has read.
        """
        step, missing, kinds, settings, products, loss = self._told()
        if not len(step):
            raise ValueError("recording(): must have a step, none is complete")
        of = _by_pair(products)
        w2, g2, u2, wu = of["w", "w"], of["g", "g"], of["u", "u"], of["w", "u"]
        left = missing | ((u2 == 0).all(1) & ~(np.isfinite(g2) | missing).all(1))[:, None]
        self._check(step, left, kinds, settings, of)
        finite = np.isfinite(w2 + u2).all(1)
        series = dict(zip(("lr", "weight_decay", "momentum"), map(_shared, np.moveaxis(settings, -1, 0))), loss=loss)
        series |= {"skipped": _shared(left.astype(np.float32))} if left.any() else {}
        known = {"what": f"{len(self.layers)} layers, {' and '.join(dict.fromkeys(kinds.ravel()))}", "steps": self.t,
                 "diverged_at": -1 if finite.all() else int(step[np.argmin(finite)])}  # fmt: skip
        ds = recording.from_steps(self.layers, products, series, _shared(kinds), step=step,
                                  part=_parts(step, w2, w2 + 2 * wu + u2), attrs=known | attrs)  # fmt: skip
        plain = settings[..., 2] == 0
        ds.d2.values[plain] = ds.v2.values[plain]  # also where v_{t−1}, which stands there times ρ, is not known
        for name in ("g2", "d2", "wg", "dv", "gv"):
            ds[name].values[left] = np.nan
        return ds.assign_coords(weights=("layer", [w.numel() for w in self.layers.values()], {"long_name": "weights"}))

    def invariant(self) -> xr.Dataset:
        """Say which layers were scale invariant, from the recorded gradients [layer].

        A loss that does not see |w| has w·g = 0. Then cos(w, g) is what ε and rounding leave. If g knew nothing of w,
        the rms of the cosine would be 1/√K, K weights, and rounding has no more than that share of its length along w,
        so both are seen relative to 1/√K. A layer counts as invariant below 0.03: in ResNet-9, ResNet-18 and a VGG, the
        invariant ones were below 0.002 in float32 and below 0.02 under bfloat16; of the others, in these, a vision
        transformer, a ConvNeXt and a MobileNet, the lowest had 0.07 (a depthwise convolution), most above 0.3. A layer
        close to it is better asked itself: `invariant_parameters`.

        Returns: `cosine`, its rms over the steps; `chance`, 1/√K; `invariant`; `steps`. Layers of which fewer than 5
        steps have a gradient, which do not tell, are left out.

        Raises:
            ValueError: there is no layer with as many.
        """
        of = _by_pair(self._told()[4])
        size = of["w", "w"] * of["g", "g"]
        cosine = of["w", "g"] / np.sqrt(np.where(size > 0, size, np.nan))
        steps = np.isfinite(cosine).sum(0)
        if not (enough := steps >= FEWEST).any():
            raise ValueError(f"invariant() of {steps.max()} steps with a gradient: must be at least {FEWEST}")
        cosine = np.sqrt(np.nanmean(cosine[:, enough] ** 2, 0))
        chance = np.array([w.numel() for w in self.layers.values()])[enough] ** -0.5
        found = {"cosine": cosine, "chance": chance, "invariant": cosine < SHARE * chance, "steps": steps[enough]}
        names = np.array([*self.layers])[enough]
        return xr.Dataset({name: ("layer", a) for name, a in found.items()}, {"layer": names})

    def state_dict(self) -> dict:
        """Return what has been recorded, for a checkpoint: tensors, texts and numbers, on the CPU."""
        step, missing, kinds, settings, products, loss = self._told()
        arrays = dict(step=step, missing=missing, settings=settings, products=products, loss=loss)
        names = list(dict.fromkeys(kinds.ravel().tolist()))
        places = np.array([names.index(kind) for kind in kinds.ravel()], np.int64).reshape(kinds.shape)
        arrays = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in {**arrays, "kind": places}.items()}
        return {"t": self.t, "layers": list(self.layers), "kinds": names, **arrays}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a checkpoint: what it has is what was recorded so far, and the next step is its t.

        SGD without momentum keeps no v, so v_{t−1} of that one step is not known there.

        Raises:
            ValueError: it is of other layers.
        """
        if list(state["layers"]) != list(self.layers):
            raise ValueError(f"state of the layers {', '.join(state['layers'])}: must be of {', '.join(self.layers)}")
        device = self._instrument.products.device
        block = Block(*(state[name].to(device, copy=True) for name in ("products", "loss")))
        for name in ("step", "missing", "kind", "settings"):
            getattr(block, name)[:] = state[name].numpy()
        block.used = len(block.step)
        self.t, self._kinds, self._blocks = state["t"], list(state["kinds"]), collections.deque([block])
        self._last, self._begun = -2, False

    def _room(self):
        """The block for the next step."""
        if self._blocks[-1].used == len(self._blocks[-1].step):
            self._instrument.renew(self._size)
            self._blocks.append(Block(self._instrument.products, self._instrument.loss))
            while self._keep and sum(block.used for block in itertools.islice(self._blocks, 1, None)) >= self._keep:
                self._blocks.popleft()
        return self._blocks[-1]

    def _told(self):
        """What is kept: step [n], missing [n, L], kinds [n, L], settings [n, L, 3], products [n, L, 15], loss [n]."""
        parts = zip(*(block.told() for block in self._blocks))
        step, missing, kind, settings, products, loss = (np.concatenate(a)[-(self._keep or 0) :] for a in parts)
        return step, missing, np.array(self._kinds or [""])[kind], settings, products, loss

    @np.errstate(all="ignore")
    def _check(self, step, left, kinds, settings, of):
        """Warn of steps u of SGD that are not −λ(ρv_{t−1} + g + αw), Nesterov −λ(ρv + g + αw)."""
        lr, alpha, rho = np.moveaxis(settings, -1, 0)
        nesterov = kinds == "nesterov"
        row = {"w": lr * alpha, "g": lr, "v_prev": lr * rho * ~nesterov, "v": lr * rho * nesterov, "u": 1 + 0 * lr}
        rest = size = np.zeros_like(lr)  # |u + λ(...)|², and the sum of the squares of its parts
        for (a, b), product in of.items():
            weight = row[a] * row[b] * (1 if a == b else 2)
            part = np.where(weight == 0, 0, weight * product)
            rest, size = rest + part, size + part * (a == b)
        eps = [max(torch.finfo(dtype).eps for dtype in (w.dtype, torch.float32)) for w in self.layers.values()]
        rounding = 8 * np.array(eps)
        bad = rest > OTHER**2 * size + rounding**2 * of["w", "w"]
        bad &= ~left & (nesterov | (kinds == "sgd"))
        if bad.any():
            t, layer = np.argwhere(bad)[0]
            warn(f"{[*self.layers][layer]}: at step {step[t]}, and at {bad.any(1).sum()} of {len(step)} in all, the "
                 "update is not that of SGD with the gradient that before() has read; it must come after unscaling and "
                 "clipping, right before optimizer.step(), and after() right after it")  # fmt: skip


def _by_pair(products):
    return {pair: products[..., n].astype(np.float64) for n, pair in enumerate(PRODUCTS)}


def _shared(series):
    """A series [T, L] as [T] if it is the same in all layers."""
    first = series[:, :1]
    same = (series == first) | ((series != series) & (first != first))
    return series[:, 0] if same.all() else series


@np.errstate(invalid="ignore")
def _parts(step, w2, after):
    """The number of changes so far: of |w_{t+1}|² that are not |w_t|² + 2w·u + |u|², as `after` has it."""
    kicked = np.abs(w2[1:] - after[:-1]) > KICK * np.maximum(w2[1:], after[:-1])
    return np.append(0, np.cumsum(kicked.any(1) & (np.diff(step) == 1)))


def _optimizers(given) -> list:
    found = list(given) if isinstance(given, (list, tuple)) else [given]
    for i, one in enumerate(found):
        while not isinstance(one, torch.optim.SGD) and hasattr(one, "optimizer"):  # as accelerate wraps it
            one = one.optimizer
        if not (hasattr(one, "param_groups") and hasattr(one, "state")):
            raise TypeError(f"optimizer=a {type(one).__name__}: must be a torch optimizer, or a list of them")
        found[i] = one
    return found


def _chosen(model, optimizers, layers) -> dict:
    """Name → parameter of the layers to watch."""
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model=a {type(model).__name__}: must be a torch.nn.Module")
    every = {plain_name(name): parameter for name, parameter in unwrapped(model).named_parameters()}
    moved = collections.Counter(p for one in optimizers for group in one.param_groups for p in group["params"])
    if layers is None:
        known = [(name, w) for name, w in every.items() if w in moved and w.requires_grad]
        chosen = {name: w for name, w in known if _lazy(w) or (w.ndim >= 2 and w.numel())}
    else:
        names = [layers] if isinstance(layers, str) else list(layers)
        if unknown := [name for name in names if plain_name(name) not in every]:
            raise ValueError(f"no layer {', '.join(map(str, unknown))} in this network: it has {', '.join(every)}")
        chosen = {plain_name(name): every[plain_name(name)] for name in names}
    if not chosen:
        raise ValueError("model: must have a weight of two dimensions or more that the optimizer moves and that is not "
                         "frozen; name others in layers=[...]")  # fmt: skip
    device = next(iter(chosen.values())).device
    for bad, allowed in (
        (_lazy, "have a shape: run a batch through the network first, and then make optimizer and watch"),
        (lambda w: hasattr(w, "to_local") or w.device != device, "be whole, and on one device"),
        (lambda w: not w.is_floating_point(), "be real numbers"),
        (lambda w: moved[w] > 1, "be moved by one optimizer, not by several"),
    ):
        if names := [name for name, w in chosen.items() if bad(w)]:
            raise ValueError(f"weights of {', '.join(names)}: must {allowed}")
    return chosen


def _lazy(w) -> bool:
    return isinstance(w, torch.nn.parameter.UninitializedParameter)
