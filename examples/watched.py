"""A network and a loop of your own, watched: ResNet-9 in plain torch, the package's two lines, and the figure.

    python watched.py    with the package installed

What the package is given is the module and its optimizer. It says of which layers the loss does not see the length,
and draws how far each step moves them: in equilibrium

    λ|g|/|w| = √(2λα(1 − ρ)),

whatever the network and the data. The learning rate λ is what the schedule makes of it, α is the weight decay and ρ the
momentum. minimal.py, beside this file, does the same for plain SGD without the package. MIT license.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

import resnet_dynamics as rd

LR, WEIGHT_DECAY, MOMENTUM = 0.1, 0.01, 0.8
STEPS, BATCH, WIDTH = 300, 64, 8


class ConvNorm(nn.Sequential):
    def __init__(self, c_in, c_out):
        super().__init__(nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def resnet9(width=WIDTH, classes=10):
    a, b, c, d = width, 2 * width, 4 * width, 8 * width
    return nn.Sequential(
        ConvNorm(3, a),
        ConvNorm(a, b), nn.MaxPool2d(2), Residual(ConvNorm(b, b), ConvNorm(b, b)),
        ConvNorm(b, c), nn.MaxPool2d(2),
        ConvNorm(c, d), nn.MaxPool2d(2), Residual(ConvNorm(d, d), ConvNorm(d, d)),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(d, classes, bias=False),
    )  # fmt: skip


def drawn(n=10_000, classes=10, size=16):
    """Smooth patterns, shifted, under noise. Three labels in ten are drawn anew, so that gradients do not die."""
    patterns = F.interpolate(torch.randn(classes, 3, 4, 4), size=size, mode="bicubic")
    labels, shifts = torch.randint(classes, (n,)), torch.randint(size, (n,))
    images = torch.stack([patterns[label].roll(int(shift), 2) for label, shift in zip(labels, shifts)])
    labels = torch.where(torch.rand(n) < 0.3, torch.randint(classes, (n,)), labels)
    return images + 5 * torch.randn(images.shape), labels


def train(images, labels, steps=STEPS, batch=BATCH, width=WIDTH):
    """Train with momentum, and with a warm-up over the first quarter. Return the network and its watch."""
    model = resnet9(width)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, steps // 4)
    watch = rd.watch(model, optimizer, every=1)
    for _ in range(steps):
        chosen = torch.randint(len(images), (batch,))
        loss = F.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        watch.before()  # the first line
        optimizer.step()
        watch.after(loss)  # the second
        schedule.step()
    return model, watch


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)  # in products this small threads would only wait for one another
    model, watch = train(*drawn())
    found = watch.invariant()
    layers = found.layer[found.invariant]
    ds = watch.recording().sel(layer=layers)
    late = rd.measure.window(rd.measure.balance(ds), (0.5, 1.0)).mean("step") ** 0.5
    print("scale invariant:", *layers.values, "and not:", *found.layer.values[~found.invariant])
    print(f"dots over line, rms, {float(late.min()):.2f} to {float(late.max()):.2f}")
    rd.plots.ratio(ds)
    plt.savefig("watched.png")
