"""Weight decay in equilibrium, in one file: train a small ResNet-9, and plot how far each step moves each layer.

    python minimal.py                       on images that are drawn here
    python minimal.py cifar-10-batches-py   on CIFAR-10: the folder in cifar-10-python.tar.gz

A convolution with batch norm behind it can be scaled, and the network computes the same. So its gradient g is
orthogonal to its weights w, and a step of SGD adds λ²|g|² to |w|². Weight decay takes 2λα|w|². The two are equal where

    λ|g|/|w| = √(2λα),

in every layer, whatever the network and the data. Dots are the left side, the line is the right side. They meet after a
few times 1/(4λα) steps. The book Weight Decay in Motion derives this, and says when it fails. MIT license.
"""

import math
import pickle
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

LR, WEIGHT_DECAY = 0.5, 0.01  # λ and α: the line is at 0.1
STEPS, BATCH, WIDTH = 600, 128, 8


class ConvNorm(nn.Sequential):
    def __init__(self, c_in, c_out):
        super().__init__(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class ResNet9(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        a, b, c, d = width, 2 * width, 4 * width, 8 * width
        self.features = nn.Sequential(
            ConvNorm(3, a),
            ConvNorm(a, b), nn.MaxPool2d(2), Residual(ConvNorm(b, b), ConvNorm(b, b)),
            ConvNorm(b, c), nn.MaxPool2d(2),
            ConvNorm(c, d), nn.MaxPool2d(2), Residual(ConvNorm(d, d), ConvNorm(d, d)),
        )  # fmt: skip
        self.linear = nn.Linear(d, classes, bias=False)

    def forward(self, x):
        return 0.125 * self.linear(self.features(x).amax(dim=(2, 3)))


def drawn(n=20_000, classes=10, size=16):
    """Smooth patterns, shifted, under noise. Three labels in ten are drawn anew, so that gradients do not die."""
    patterns = F.interpolate(torch.randn(classes, 3, 4, 4), size=size, mode="bicubic")
    labels, shifts = torch.randint(classes, (n,)), torch.randint(size, (n,))
    images = torch.stack([patterns[label].roll(int(shift), 2) for label, shift in zip(labels, shifts)])
    labels = torch.where(torch.rand(n) < 0.3, torch.randint(classes, (n,)), labels)
    return images + 5 * torch.randn(images.shape), labels


def cifar10(folder):
    """The training images of CIFAR-10, shifted and scaled to mean 0 and standard deviation 1."""
    parts = [pickle.loads(path.read_bytes(), encoding="bytes") for path in sorted(Path(folder).glob("data_batch_*"))]
    images = torch.cat([torch.from_numpy(part[b"data"]) for part in parts]).view(-1, 3, 32, 32).float()
    return (images - images.mean()) / images.std(), torch.tensor([label for part in parts for label in part[b"labels"]])


def train(images, labels, steps=STEPS, batch=BATCH, width=WIDTH):
    """Train with SGD. Return |w| and |g| of every convolution before every step [T, L], and the loss [T]."""
    model = ResNet9(width, int(labels.max()) + 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    convs = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    w, g, losses = torch.zeros(steps, len(convs)), torch.zeros(steps, len(convs)), torch.zeros(steps)
    for t in range(steps):
        chosen = torch.randint(len(images), (batch,))
        loss = F.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        w[t] = torch.stack([weight.detach().norm() for weight in convs])
        g[t] = torch.stack([weight.grad.norm() for weight in convs])
        optimizer.step()
        losses[t] = loss.detach()
    return w, g, losses


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)  # in products this small threads would only wait for one another
    w, g, losses = train(*(cifar10(sys.argv[1]) if len(sys.argv) > 1 else drawn()))
    dots, line = LR * g / w, math.sqrt(2 * LR * WEIGHT_DECAY)
    late = dots[-200:].square().mean(0).sqrt() / line
    print(f"loss at the end {losses[-50:].mean():.2f}; dots over line, rms, {late.min():.2f} to {late.max():.2f}")
    plt.semilogy(dots, ".", markersize=2)
    plt.axhline(line, color="black", label="√(2λα)")
    plt.gca().set(xlabel="step", ylabel="λ|g|/|w|")
    plt.legend()
    plt.savefig("minimal.png")
