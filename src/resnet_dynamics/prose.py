"""The prose of this book as a text to learn, and the loop in which a small transformer learns it.

prose.txt is the text of chapters 1 to 6 of November 2026 without code, tables, displayed formulas and addresses, and
without characters beyond ASCII that are rare. It is no copy of the chapters as they are now: recordings are of a text
that stays. Its license is that of the book, CC BY 4.0.
"""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr

from . import __version__, transformer, watching
from .console import Bar
from .directions import Adam, Muon
from .machine import Settings, name_of

__all__ = ["BETA1", "BETA2", "DIGEST", "batch", "numbers", "optimizers", "text", "train"]

DIGEST = "afc61a34ddbc4fd2"
"""The first 16 digits of the text's SHA-256: recordings are of this text."""
BETA1, BETA2 = 0.9, 0.99  # of AdamW; β₁ where AdamW moves the rest
TEST = 0.1  # of the text, its end, is not trained on


@functools.cache
def text() -> str:
    """Return the text, some 157,000 characters of 95 kinds."""
    return Path(__file__).with_name("prose.txt").read_text(encoding="utf-8")


@functools.cache
def numbers() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the text as numbers of its characters, for training and for the test, int64."""
    place = {character: i for i, character in enumerate(sorted(set(text())))}
    whole = torch.tensor([place[character] for character in text()], device="cpu")
    return whole.tensor_split([round((1 - TEST) * len(whole))])


def batch(language, random: torch.Generator):
    """Return texts from anywhere and, of each character, the next one, int64 [B, T] each. language: a `Language`."""
    train, _ = numbers()
    begin = torch.randint(len(train) - language.context, (language.batch_size, 1), generator=random, device="cpu")
    whole = train[begin + torch.arange(language.context + 1, device="cpu")]
    return whole[:, :-1], whole[:, 1:]


def optimizers(model: transformer.Transformer, language) -> list[torch.optim.Optimizer]:
    """Return AdamW of all parameters; or Muon of the matrices of the blocks and AdamW of the rest.

    They are those of `directions`: torch's own kernel and equations, and the direction that λ multiplies is known.
    """
    blocks, rest, gains = [], [], []
    for name, p in model.named_parameters():
        its = gains if p.ndim == 1 else blocks if name.split(".")[-2] in transformer.MATRICES else rest
        its.append(p)
    own = dict(lr=language.lr, weight_decay=language.weight_decay, momentum=language.momentum)
    others = [dict(params=rest, weight_decay=language.rest_weight_decay), dict(params=gains)]
    settings = dict(lr=language.rest_lr, momentum=BETA1, beta2=BETA2)
    if language.optimizer == "muon":
        return [Muon(blocks, **own), Adam(others, **settings)]
    return [Adam([dict(params=blocks, **own), *others], **settings)]


def train(language, *, every: int = 1, progress=True) -> tuple[transformer.Transformer, xr.Dataset]:
    """Train, and return the network and the recording of every so many steps, see `language.run`.

    On the CPU, with one thread, and with generators of its own. Cost: 30 ms a step.
    """
    names = ("context", "width", "layers", "heads", "norm", "qk_norm", "branch_norm", "activation")
    options = {name: getattr(language, name) for name in names}
    model = transformer.build(len(set(text())), language.seed, **options)
    matrices = [name for name, p in model.named_parameters() if p.ndim > 1]
    movers = optimizers(model, language)
    watch = watching.watch(model, movers, language.steps, layers=matrices, every=every)
    highest = [(group, group["lr"]) for mover in movers for group in mover.param_groups]
    random, begin = torch.Generator("cpu").manual_seed(language.seed + 2**34), time.perf_counter()
    with _one_thread(), Settings(torch.device("cpu")), Bar(show=progress, total=language.steps, unit="step") as bar:
        for t in range(language.steps):
            for group, lr in highest:
                group["lr"] = lr * min(1.0, (t + 0.5) / max(language.warmup, 1))
            x, y = batch(language, random)
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
            model.zero_grad()
            loss.backward()
            watch.before()
            for mover in movers:
                mover.step()
            watch.after(loss)
            bar.update()
        tested, device = _test(model, language), name_of(torch.device("cpu"))
    known = dict(
        what=f"a transformer of width {language.width} with {language.layers} layers, {language.optimizer}",
        seed=language.seed, batch_size=language.batch_size, test_loss=tested, text=DIGEST,
        device=device, precision="float32", torch_version=str(torch.__version__),
        package_version=__version__, date=time.strftime("%Y-%m-%d", time.gmtime()),
        seconds=round(time.perf_counter() - begin, 2),
    )  # fmt: skip
    return model, watch.recording(**known)


@torch.no_grad()
def _test(model, language):
    """The loss of the end of the text, in pieces as long as those of training, nat a character."""
    _, rest = numbers()
    pieces = rest[: (len(rest) - 1) // language.context * language.context + 1]
    x, y = pieces[:-1].view(-1, language.context), pieces[1:].view(-1, language.context)
    losses = [F.cross_entropy(model(a).flatten(0, 1), b.flatten()) for a, b in zip(x.split(64), y.split(64))]
    return float(np.average([loss.item() for loss in losses], weights=[len(a) for a in x.split(64)]))


@contextlib.contextmanager
def _one_thread():
    """So that a run is the same bit for bit whatever the machine's other cores do; products are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
