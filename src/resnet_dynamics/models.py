"""ResNet-9, its family, two foreign networks, and which of their parameters are scale invariant."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .config import FOREIGN, Config, model_parts

__all__ = [
    "NORMALIZATIONS", "ConvNorm", "Drawing", "ResNet9", "Stage", "Symmetry", "build", "conv_layers", "normalized",
    "resnet18", "spread", "symmetries", "vgg11",
]  # fmt: skip


NORMALIZATIONS = {
    "batch": lambda channels: nn.BatchNorm2d(channels),
    "instance": lambda channels: nn.GroupNorm(channels, channels),
    "group": lambda channels: nn.GroupNorm(4, channels),
    "layer": lambda channels: nn.GroupNorm(1, channels),
}
"""Channels → norm. What shares a mean and a standard deviation: a channel of the batch, of an image, a group, all."""


class ConvNorm(nn.Sequential):
    """Convolution 3 × 3, norm, ReLU. The convolution is blind to its own scale: norm(r·w·x) = norm(w·x).

    If asked for, a max-pool comes before the ReLU. They commute, bit for bit and in the gradient, too, and so the ReLU
    has a quarter of the work.
    """

    def __init__(self, c_in: int, c_out: int, norm: str | None = "batch", pool: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        if norm:
            self.norm = NORMALIZATIONS[norm](c_out)
        if norm == "batch":
            self.norm.num_batches_tracked = None  # a launch a step for a number that nobody reads
        if pool:
            self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU(inplace=True)


class Stage(nn.Module):
    """Conv-norm-pool-ReLU; then, if asked for, x + res2(res1(x)) and one more conv-norm-ReLU."""

    def __init__(self, name: str, c_in: int, c_out: int, residual: bool, extra: bool, norm_of: Callable):
        super().__init__()
        self.first = ConvNorm(c_in, c_out, norm_of(name), pool=True)
        self.res1 = ConvNorm(c_out, c_out, norm_of(f"{name}.res1")) if residual else None
        self.res2 = ConvNorm(c_out, c_out, norm_of(f"{name}.res2")) if residual else None
        self.extra = ConvNorm(c_out, c_out, norm_of(f"{name}.extra")) if extra else None

    def forward(self, x):
        x = self.first(x)
        if self.res1 is not None:
            x = x + self.res2(self.res1(x))
        return x if self.extra is None else self.extra(x)


class ResNet9(nn.Module):
    """The network of Page's series and its relatives: prep, three stages, global max-pool, linear.

    Stage i halves the image and doubles the channels: `width` × (1, 2, 4, 8). "+res" and "+extra" parts are those of
    the fourth post; resnet9 has residual branches in stages 1 and 3 (6.6 M parameters at width 64). The logits are
    multiplied by 0.125, as there. Every convolution has a norm of the kind `normalization`, but `no_norm`.

    Shapes: images [B, 3, 32, 32] → logits [B, classes].
    """

    def __init__(
        self, model: str = "resnet9", width: int = 64, classes: int = 10, no_norm: str | None = None,
        normalization: str = "batch"
    ):  # fmt: skip
        super().__init__()

        def norm_of(name):
            return None if name == no_norm else normalization

        parts = model_parts(model)
        c = [width * 2**i for i in range(4)]
        self.prep = ConvNorm(3, c[0], norm_of("prep"))
        for i in (1, 2, 3):
            stage = Stage(f"layer{i}", c[i - 1], c[i], f"res{i}" in parts, f"extra{i}" in parts, norm_of)
            setattr(self, f"layer{i}", stage)
        self.linear = nn.Linear(c[3], classes, bias=False)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.prep(x))))
        return 0.125 * self.linear(x.amax(dim=(2, 3)))


def build(config: Config, classes: int = 10) -> nn.Module:
    """Return the network of a configuration with its initial weights, on the CPU in float32.

    The weights are drawn from a generator of their own, seeded by `config.seed`: the same on every device, whatever
    other threads draw, and whatever torch's defaults are.
    """
    with Drawing(config.seed), torch.inference_mode(False), torch.no_grad():
        if config.model in FOREIGN:
            model = {"resnet18": resnet18, "vgg11": vgg11}[config.model](config.width, classes)
        else:
            model = ResNet9(config.model, config.width, classes, config.no_norm, config.normalization)
        layers = conv_layers(model)
        for weight, factor in zip(layers.values(), spread(config, len(layers))):
            weight.mul_(config.init_scale * factor)
    return model


def spread(config: Config, layers: int) -> list[float]:
    """Return factors on the initial weights of the convolutions: 2^x, x normal of the standard deviation `init_spread`.

    They are drawn by the seed; without a spread each is 1.
    """
    if not config.init_spread:
        return [1.0] * layers
    random = torch.Generator("cpu").manual_seed(config.seed + 2**33)
    x = config.init_spread * torch.randn(layers, generator=random, dtype=torch.float64, device="cpu")
    return (2**x).tolist()


class Drawing(TorchFunctionMode):
    """Inside, this thread makes float32 tensors on the CPU, and draws what is random from a generator of its own.

    torch's layers draw their weights from the one generator that all threads share. Here the calls that draw are
    given another, which starts as torch.manual_seed(seed) would set that one: the numbers are the same.
    """

    DRAW = ("uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_")  # of tensors, and of torch.nn.init
    MAKE = ("empty", "zeros", "ones", "tensor")

    def __init__(self, seed: int):
        super().__init__()
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function.__name__ in self.DRAW:
            kwargs["generator"] = self.generator
        elif function.__name__ in self.MAKE:
            kwargs["device"] = kwargs.get("device") or "cpu"
            if function.__name__ != "tensor":  # whose values say what they are
                kwargs["dtype"] = kwargs.get("dtype") or torch.float32
        return function(*args, **kwargs)


def resnet18(width: int = 64, classes: int = 10) -> nn.Module:
    """torchvision's resnet18, of any width. The stem is a 3 × 3 convolution without pooling, for 32 × 32 images."""
    from .datasets import torchvision  # slow to import

    resnet = torchvision().models.resnet

    def stage(c_in, c_out, stride):
        down = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
        first = resnet.BasicBlock(c_in, c_out, stride, down if stride > 1 else None)
        return nn.Sequential(first, resnet.BasicBlock(c_out, c_out))

    c = [width * 2**i for i in range(4)]
    model = resnet.resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(3, c[0], 3, padding=1, bias=False)
    model.bn1 = nn.BatchNorm2d(c[0])
    model.maxpool = nn.Identity()
    model.layer1 = stage(c[0], c[0], stride=1)
    for i in (1, 2, 3):
        setattr(model, f"layer{i + 1}", stage(c[i - 1], c[i], stride=2))
    model.fc = nn.Linear(c[3], classes)
    return _initialized(model)


def vgg11(width: int = 64, classes: int = 10) -> nn.Module:
    """torchvision's vgg11_bn, of any width, with one linear layer; no biases, which batch norm would take out."""
    from .datasets import torchvision  # slow to import

    vgg = torchvision().models.vgg

    c = [width * 2**i for i in range(4)]
    plan = [c[0], "M", c[1], "M", c[2], c[2], "M", c[3], c[3], "M", c[3], c[3], "M"]
    features = vgg.make_layers(plan, batch_norm=True)
    for module in features:
        if isinstance(module, nn.Conv2d):
            module.register_parameter("bias", None)
    head = dict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), classifier=nn.Linear(c[3], classes))
    return _initialized(nn.Sequential(OrderedDict(features=features, **head)))


def _initialized(model: nn.Module) -> nn.Module:
    """Draw the weights of the convolutions as torchvision does for both."""
    for weight in conv_layers(model).values():
        nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    return model


def conv_layers(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights [F, C, 3, 3] of every convolution by name ("layer1.res1"), from image to classifier."""
    convs = {name: m.weight for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    return {name.replace(".first", "").removesuffix(".conv"): weight for name, weight in convs.items()}


@dataclass(frozen=True)
class Symmetry:
    """Parameters that are scaled together, and whether the loss notices.

    Attributes:
        name: of the group.
        parameters: names in `model.named_parameters()`.
        invariant: the training loss does not change when all of them are multiplied by r > 0, apart from the ε in
            batch norm. Then Σ w·g = 0 over the group.
        per_filter: every output filter is such a group by itself.
        why: the reason, in a sentence.
        change: of a loss that was tested, `invariance`: how much of itself it changes when all are doubled; else None.
    """

    name: str
    parameters: tuple[str, ...]
    invariant: bool
    per_filter: bool
    why: str
    change: float | None = None


def symmetries(model: nn.Module) -> list[Symmetry]:
    """Sort every parameter of a network into groups that are, or are not, exactly scale invariant in train mode.

    The rules, for batch norm with ε → 0:

    1. A convolution followed by batch norm: each output filter by itself. Max-pooling or ReLU in between is harmless,
       since both commute with a positive factor. So it is with instance norm. Group norm and layer norm divide out the
       scale of what shares a standard deviation: a group of filters, or all of them; no filter by itself.
    2. A gain and offset (γ, β) jointly, where all that reads the layer's output is ReLU, pooling, and then a
       convolution with batch norm. Where a residual sum mixes several layers, all that write into the sum jointly.
       A convolution that has lost its batch norm stands in for its missing (γ, β).
    3. What reaches the linear layer without another batch norm is not invariant, nor is the linear layer.

    "Invariant" is about the group as listed: a γ without its β is not. A network that has `symmetries` of its own, as
    `transformer.Transformer`, is asked itself.
    """
    if hasattr(model, "symmetries"):
        return model.symmetries()
    layers, streams = _wiring(model)
    head = next(name for name, module in model.named_modules() if isinstance(module, nn.Linear))

    def normalized(name):
        return layers[name][1] is not None

    def blind(reader):
        """Whether a reader, and what follows it, divides out the scale of what it reads."""
        return normalized(reader) or any(
            writers == [reader] and next_ != head and normalized(next_) for writers, next_ in streams
        )

    groups = [
        Symmetry(name, (f"{conv}.weight",), True, *_divided(model.get_submodule(norm)))
        for name, (conv, norm) in layers.items()
        if norm is not None
    ]
    for writers, reader in streams:
        names, parameters = [], []
        for writer in writers:
            conv, norm = layers[writer]
            names.append(f"{writer} (γ, β)" if norm else writer)
            parameters += [f"{norm}.weight", f"{norm}.bias"] if norm else [f"{conv}.weight"]
        invariant = reader != head and blind(reader)
        why = (
            f"only ReLU, pooling, convolution and the batch norm of {reader} see its scale"
            if invariant
            else f"{reader} reads it, and no batch norm divides out its scale"
        )
        groups.append(Symmetry(" ∪ ".join(names), tuple(parameters), invariant, False, why))
    of_head = tuple(name for name, _ in model.named_parameters() if name.startswith(f"{head}."))
    return [*groups, Symmetry(head, of_head, False, False, "the softmax sees the scale of the logits")]


def normalized(model: nn.Module) -> set[str]:
    """Return the names of the weights of convolutions that a norm follows, of any kind."""
    return {f"{conv}.weight" for conv, norm in _wiring(model)[0].values() if norm is not None}


def _divided(norm):
    """Whether a norm divides out the scale of each filter, and in words."""
    if not isinstance(norm, nn.GroupNorm):
        return True, "batch norm follows and divides out each filter's scale"
    if norm.num_groups == norm.num_channels:
        return True, "instance norm follows and divides out each filter's scale"
    of, its = ("group", "each group's") if norm.num_groups > 1 else ("layer", "the layer's")
    return False, f"{of} norm follows and divides out {its} scale"


# The wiring of a network: layers {name: (path of the convolution, path of its batch norm or None)}, and streams
# (layers whose outputs are added up, layer that reads the sum). A stream ends where a batch norm restores the scale.
def _wiring(model):
    if isinstance(model, ResNet9):
        return _resnet9_wiring(model)
    return _resnet18_wiring() if hasattr(model, "fc") else _vgg_wiring(model)


def _resnet9_wiring(model):
    layers, streams, writers = {}, [], []
    for conv in conv_layers(model):
        path = f"{conv}.first" if conv in ("layer1", "layer2", "layer3") else conv
        layers[conv] = f"{path}.conv", f"{path}.norm" if hasattr(model.get_submodule(path), "norm") else None
        if conv.endswith(".res1"):
            streams.append(([conv], conv.replace("res1", "res2")))
        elif conv.endswith(".res2"):
            writers = [*writers, conv]
        else:
            streams += [(writers, conv)] if writers else []
            writers = [conv]
    return layers, [*streams, (writers, "linear")]


def _resnet18_wiring():
    layers, streams, writers = {"conv1": ("conv1", "bn1")}, [], ["conv1"]
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        if stage != "layer1":
            layers[f"{stage}.0.downsample.0"] = f"{stage}.0.downsample.0", f"{stage}.0.downsample.1"
            streams.append((writers, f"{stage}.0.conv1"))
            writers = [f"{stage}.0.downsample.0"]
        for block in (f"{stage}.0", f"{stage}.1"):
            for i in (1, 2):
                layers[f"{block}.conv{i}"] = f"{block}.conv{i}", f"{block}.bn{i}"
            streams.append(([f"{block}.conv1"], f"{block}.conv2"))
            writers = [*writers, f"{block}.conv2"]
    return layers, [*streams, (writers, "fc")]


def _vgg_wiring(model):
    convs = list(conv_layers(model))
    layers = {conv: (conv, f"features.{int(conv.split('.')[1]) + 1}") for conv in convs}
    return layers, [([conv], reader) for conv, reader in zip(convs, [*convs[1:], "classifier"])]
