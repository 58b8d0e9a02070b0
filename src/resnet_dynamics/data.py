"""A data set as tensors on the device, and its augmented batches."""

from __future__ import annotations

import itertools

import torch

from . import datasets
from .config import Config
from .schedules import steps_of

__all__ = ["CUTOUT", "PAD", "Data", "bad_batches", "crop", "cutout", "mean_and_std"]

PAD, CUTOUT = 4, 8  # pixels


class Data:
    """Training and test images on one device, as uint8, and batches made of them there.

    All choices of an epoch (the order of the images, where each is cropped, flipped and cut out) are drawn at its
    start, on the CPU, from a generator seeded by the configuration, and moved in one copy. So they are the same on
    every device, and no step waits for the host. `epoch` yields batches; `shuffle` and `batch` make the same ones for a
    step that counts on the device.

    Attributes:
        train_x, test_x: uint8 [N, H, W, 3]; the training images carry a border of 4 reflected pixels.
        train_y, test_y: int64 [N].
        steps_per_epoch: full batches in an epoch; the rest of the images sits the epoch out.
        images: where they came from, a `datasets.Images`.
    """

    def __init__(self, config: Config, device: torch.device | str = "cpu"):
        images = datasets.load(config.data)
        x, y = images.train_x, images.train_y
        if config.train_images is not None:
            if config.train_images > len(x):
                raise ValueError(f"train_images={config.train_images}: {images.name} has {len(x)}")
            some = torch.randperm(len(x), generator=torch.Generator("cpu").manual_seed(0), device="cpu")
            some = some[: config.train_images]
            x, y = x[some], y[some]
        if config.batch_size > len(x):
            raise ValueError(f"batch_size={config.batch_size}: {images.name} has only {len(x)} training images")
        self.images, self.classes = images, images.classes
        self.mean, self.std = (moment.to(device) for moment in mean_and_std(x))
        self.train_x = _reflect(x, PAD if config.augment else 0).to(device).contiguous()
        self.train_y = y.to(device)
        self.test_x, self.test_y = images.test_x.to(device).contiguous(), images.test_y.to(device)
        self.batch_size, self.augment = config.batch_size, config.augment
        self.steps_per_epoch = len(x) // config.batch_size
        self._random = torch.Generator("cpu").manual_seed(config.seed + 2**32)
        self.bursts, self._burst = config.label_bursts, _burst_generator(config)
        rows = 7 if self.bursts else 6
        self._choices = torch.zeros(self.steps_per_epoch, rows, self.batch_size, dtype=torch.int64, device=device)
        self._rows = tuple(moment.repeat(x.shape[2]) for moment in (self.mean, self.std))

    def shuffle(self):
        """Draw the choices of the next epoch, and move them to their place on the device."""
        self._choices.copy_(self._draw())

    def batch(self, t):
        """Return (images float32 [B, 3, H, W] in channels_last, labels [B]) of step t, as the last shuffle has it.

        t: int64 [1], counted through all epochs. It lies on the device, so that a step can be recorded once.
        """
        return self._chosen(self._choices.index_select(0, t % self.steps_per_epoch)[0])

    def epoch(self):
        """Yield the batches of one shuffled pass, as `batch` returns them."""
        yield from map(self._chosen, self._draw().to(self.train_x.device))

    def first(self, n: int):
        """Return the first n batches of the pass that comes next, or all that it has. It will be the same pass."""
        states = [random.get_state() for random in (self._random, self._burst)]
        batches = list(itertools.islice(self.epoch(), n))
        for random, state in zip((self._random, self._burst), states):
            random.set_state(state)
        return batches

    def _draw(self):
        """Return the choices of an epoch, int64 [steps, 6 or 7, B] on the CPU.

        Six for each image: which one, crop (row, column), flip, centre of the cutout (row, column). With bursts there
        is a seventh: the image whose label it gets.
        """
        n, size = len(self.train_x), self.test_x.shape[1]
        last = 2 * PAD if self.augment else 0
        draw = torch.stack([
            torch.randperm(n, generator=self._random, device="cpu"),
            *(torch.randint(high, (n,), generator=self._random, device="cpu")
              for high in (last + 1, last + 1, 2, size, size)),
        ])  # fmt: skip
        draw = draw[:, : self.steps_per_epoch * self.batch_size]
        draw = draw.unflatten(1, (self.steps_per_epoch, self.batch_size)).transpose(0, 1)
        if not self.bursts:
            return draw
        index = draw[:, :1]
        bad, any_image = _bursts(self._burst, self.bursts, n, index.shape)
        return torch.cat([draw, torch.where(bad, any_image, index)], dim=1)

    def _chosen(self, choices):
        """The batch of choices [6 or 7, B]."""
        index, row, column, flip = choices[:4]
        x = crop(self.train_x, index, row, column, flip if self.augment else None, self.test_x.shape[1])
        x = self.normalize(x)
        if self.augment:
            x = cutout(x, choices[4:6])
        return x, self.train_y[choices[6] if self.bursts else index]

    def test(self, batch_size: int = 1000):
        """Yield the test images, normalized, in order."""
        for x, y in zip(self.test_x.split(batch_size), self.test_y.split(batch_size)):
            yield self.normalize(x), y

    def normalize(self, x):
        """uint8 [B, H, W, 3] → float32 [B, 3, H, W]: zero mean and unit variance a channel over the training set."""
        mean, std = self._rows  # of a row of pixels, three numbers each: a loop over three is slow
        return (x.flatten(2) - mean).div_(std).view(x.shape).permute(0, 3, 1, 2)


def bad_batches(config: Config, images: int | None = None):
    """Return which steps of a run have labels that were drawn at random, bool [steps] on the CPU: its `label_bursts`.

    As `Data` draws them, and without the images.

    Args:
        config: of the run.
        images: how many training images it has; None: `train_images`, which must be given then.
    """
    images = config.train_images if images is None else images
    if images is None:
        raise ValueError("images=None: must be given, since train_images of the configuration is None")
    shape = images // config.batch_size, 1, config.batch_size
    random, steps = _burst_generator(config), steps_of(config, shape[0])
    bad = [_bursts(random, config.label_bursts, images, shape)[0].flatten() for _ in range(-(-steps // shape[0]))]
    return torch.cat(bad)[:steps]


def _burst_generator(config):
    return torch.Generator("cpu").manual_seed(config.seed + 3 * 2**32)


def _bursts(random, share, images, shape):
    """Draw for an epoch which batches are bad [steps, 1, 1], and for all the images whose labels they would get."""
    drawn = dict(generator=random, device="cpu")
    bad = torch.rand(shape[0], 1, 1, dtype=torch.float64, **drawn) < share
    return bad, torch.randint(images, shape, **drawn)


def mean_and_std(images):
    """Return mean and standard deviation of every channel of uint8 [N, H, W, C], exactly, from its histogram.

    A channel that is the same everywhere tells nothing; its standard deviation counts as 1, so that it becomes 0.
    """
    value = torch.arange(256, dtype=torch.float64, device=images.device)
    share = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in images.unbind(3)]).double()
    share /= share.sum(1, keepdim=True)
    mean = share @ value
    variance = share @ value**2 - mean**2
    return mean.float(), torch.where(variance > 1e-9, variance, 1.0).sqrt().float()


def crop(images, index, row, column, flip, size):
    """Cut a window of size × size out of each chosen image; mirror it where flip is 1.

    images [N, H, W, C]; index, row, column, flip [B] → [B, size, size, C]. Every possible window is there as a view of
    the images, [N, rows, columns, size, size · C]; one gather takes those of the batch, whole rows at a time.
    """
    channels = images.shape[3]
    windows = images.flatten(2).unfold(1, size, 1).unfold(2, size * channels, channels)
    x = windows[index, row, column].view(-1, size, size, channels)
    return x if flip is None else torch.where((flip == 1)[:, None, None, None], x.flip(2), x)


def cutout(x, centre):
    """Set 8 × 8 pixels around `centre`, int64 [2, B], of square x [B, C, H, H] to zero, the mean; fewer at the border.

    In place. Of the eight, four lie before the row and the column of the centre.
    """
    pixels = torch.arange(0.5, x.shape[2], dtype=torch.float32, device=x.device)  # their middles
    row, column = (pixels - centre[:, :, None]).abs() < CUTOUT / 2
    return x.masked_fill_(row[:, None, :, None] & column[:, None, None, :], 0.0)  # a copy would not be channels_last


def _reflect(x, pad):
    """Add a border of `pad` mirrored pixels to uint8 [N, H, W, C]."""
    if pad == 0:
        return x
    for axis in (1, 2):
        n = x.shape[axis]
        order = [*range(pad, 0, -1), *range(n), *range(n - 2, n - 2 - pad, -1)]
        x = x.index_select(axis, torch.tensor(order, device=x.device))
    return x
