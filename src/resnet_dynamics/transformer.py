"""A small transformer that predicts the next character, and which of its matrices the loss sees the scale of."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from .models import Drawing, Symmetry

if TYPE_CHECKING:
    from ._shapes import Characters, Scores, Stream

__all__ = ["ACTIVATIONS", "MATRICES", "NORMS", "Block", "Rescaling", "Transformer", "build"]

EPS = 1e-6  # of every norm
NORMS = {"rms": functools.partial(nn.RMSNorm, eps=EPS), "layer": functools.partial(nn.LayerNorm, eps=EPS, bias=False)}
"""Norms with gains and without offsets: width → module."""
ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu}
MATRICES = ("q", "k", "v", "o", "up", "down")
"""The matrices of a block."""
START = 0.05  # standard deviation of the embeddings at the start; matrices have torch's own start


class Block(nn.Module):
    """One layer: attention and an MLP, each a branch that reads the normalized stream and adds to it.

        x ← x + o(softmax(q·k/√d) v)       q, k, v of norm(x), for each head by itself; no character sees a later one
        x ← x + down(f(up(norm(x))))

    qk_norm: q and k are normalized, in each head. branch_norm: what a branch adds is normalized, too. No biases.
    """

    def __init__(self, width: int, heads: int, norm: str, qk_norm: bool, branch_norm: bool, activation: str):
        super().__init__()
        self.heads, self.activation = heads, ACTIVATIONS[activation]
        norm = NORMS[norm]
        self.norm_attention, self.norm_mlp = norm(width), norm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        self.norm_q, self.norm_k = (norm(width // heads) if qk_norm else nn.Identity() for _ in range(2))
        self.norm_o, self.norm_down = (norm(width) if branch_norm else nn.Identity() for _ in range(2))

    def forward(self, x: Stream) -> Stream:
        x = x + self.norm_o(self.o(self.attend(self.norm_attention(x))))
        return x + self.norm_down(self.down(self.activation(self.up(self.norm_mlp(x)))))

    def attend(self, x: Stream) -> Stream:
        q, k, v = (matrix(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for matrix in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(self.norm_q(q), self.norm_k(k), v, is_causal=True)  # [B, heads, T, d]
        return mixed.transpose(1, 2).flatten(2)


class Transformer(nn.Module):
    """Embeddings of character and place, some blocks, a norm and a linear head: a pre-norm transformer.

    Norms stand before the branches (Xiong et al. 2020, arXiv 2002.04745), there are no biases, and the head is not the
    embedding. `qk_norm` is the idea of Henry et al. 2020 (arXiv 2010.04245), here with the norm and the gains of all
    others. `branch_norm` puts one more norm at the end of each branch.

    Args:
        characters: how many there are.
        context: the longest text.
        norm: "rms" (root mean square) or "layer" (LayerNorm without an offset).
        activation: "gelu" or "relu".

    Shapes: characters [B, T] → logits [B, T, characters].
    """

    def __init__(
        self, characters: int, context: int = 64, width: int = 64, layers: int = 2, heads: int = 4, *,
        norm: str = "rms", qk_norm: bool = False, branch_norm: bool = False, activation: str = "gelu"
    ):  # fmt: skip
        super().__init__()
        self.qk_norm, self.branch_norm, self.relu = qk_norm, branch_norm, activation == "relu"
        self.characters, self.places = nn.Embedding(characters, width), nn.Embedding(context, width)
        blocks = [Block(width, heads, norm, qk_norm, branch_norm, activation) for _ in range(layers)]
        self.blocks, self.norm = nn.Sequential(*blocks), NORMS[norm](width)
        self.head = nn.Linear(width, characters, bias=False)
        for embedding in (self.characters, self.places):
            nn.init.normal_(embedding.weight, std=START)

    def forward(self, text: Characters) -> Scores:
        x = self.characters(text) + self.places.weight[: text.shape[1]]
        return self.head(self.norm(self.blocks(x)))

    @property
    def writers(self) -> list[str]:
        """Names of all that write into the residual stream: what is doubled together doubles the stream."""
        last = ("norm_o", "norm_down") if self.branch_norm else ("o", "down")
        return ["characters", "places", *(f"blocks.{i}.{name}" for i in range(len(self.blocks)) for name in last)]

    def symmetries(self) -> list[Symmetry]:
        """Say of every parameter whether the loss sees its scale, and of all writers of the stream together.

        For norms with ε → 0. The rules:

        1. Norms stand before the branches, so they divide out the scale of the whole stream. Hence all that writes into
           it is invariant together, exactly, and no writer alone: the others stay as they are.
        2. A norm of queries and keys makes W_q and W_k invariant, each head by itself.
        3. A norm at the end of a branch makes all of it invariant that reaches this norm in proportion: W_v and W_o;
           W_down, and W_up if the activation is a ReLU, since f(rx) = r f(x) for r > 0.
        4. All else is seen: scores by the softmax of attention, logits by that of the loss, a branch by the stream.
        """
        stream, scores = "no norm divides out the scale of one branch of the stream", "the softmax sees the scores"
        groups = [self._group(name, False, "the stream sees it beside its other parts") for name in self.writers[:2]]
        for i, block in enumerate(self.blocks):
            qk, branch, relu = self.qk_norm, self.branch_norm, self.relu
            ends = "the norm at the end of the branch divides out its scale" if branch else stream
            bends = "GELU sees the scale of what it is given"
            own = {
                "norm_attention": (qk and branch, f"{ends if qk else scores}"),
                "q": (qk, "the norm of the queries divides out its scale" if qk else scores),
                "k": (qk, "the norm of the keys divides out its scale" if qk else scores),
                "norm_q": (False, scores),
                "norm_k": (False, scores),
                "v": (branch, ends),
                "o": (branch, ends),
                "norm_o": (False, stream),
                "norm_mlp": (branch and relu, ends if relu else bends),
                "up": (branch and relu, ends if relu else bends),
                "down": (branch, ends),
                "norm_down": (False, stream),
            }
            groups += [self._group(f"blocks.{i}.{name}", *said) for name, said in own.items() if _has(block, name)]
        groups += [self._group(name, False, "the softmax sees the logits") for name in ("norm", "head")]
        together = "every norm that reads the stream divides out the scale of all of it"
        return [*groups, Symmetry(" ∪ ".join(self.writers), _weights(self.writers), True, False, together)]

    def rescalings(self) -> list[Rescaling]:
        """Return the pairs of which one may grow as the other shrinks: no loss sees it, whatever ε is.

        Each also holds of parts: of a head for v and o, and q and k (there of any invertible matrix in it); of a
        neuron for up and down; of a channel for a gain and what reads it.
        """
        pairs = []
        for i in range(len(self.blocks)):
            found = {
                "v": ("o", "attention is linear in the values"),
                "norm_attention": ("q k v", "they read nothing else"),
                "norm_mlp": ("up", "it reads nothing else"),
            }
            one, another = ("norm_q", "norm_k") if self.qk_norm else ("q", "k")
            found |= {one: (another, "the scores are their products")}
            found |= {"up": ("down", "ReLU passes on a factor")} if self.relu else {}
            for name, (over, why) in found.items():
                others = _weights(f"blocks.{i}.{reader}" for reader in over.split())
                pairs.append(Rescaling(_weights([f"blocks.{i}.{name}"]), others, why))
        return [*pairs, Rescaling(("norm.weight",), ("head.weight",), "it reads nothing else")]

    def _group(self, name, invariant, why):
        return Symmetry(name, _weights([name]), invariant, False, why)


@dataclass(frozen=True)
class Rescaling:
    """Parameters of which the loss sees no more than a product.

    Attributes:
        times, over: names in `model.named_parameters()`. The loss does not change when all of `times` are multiplied by
            r > 0 and all of `over` divided by it. Then Σ w·g over the first is Σ w·g over the second.
        why: the reason, in a sentence.
    """

    times: tuple[str, ...]
    over: tuple[str, ...]
    why: str


def build(characters: int, seed: int = 0, **options) -> Transformer:
    """Return a `Transformer` with its initial weights, on the CPU in float32, drawn by the seed and nothing else."""
    with Drawing(seed), torch.inference_mode(False), torch.no_grad():
        return Transformer(characters, **options)


def _has(block, name):
    return not isinstance(getattr(block, name), nn.Identity)


def _weights(names):
    return tuple(f"{name}.weight" for name in names)
