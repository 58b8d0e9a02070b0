"""Batches on the device are what a loop over single images would make, and the same for one seed."""

import pytest
import small
import torch

from resnet_dynamics import data
from resnet_dynamics.data import CUTOUT, PAD, Data


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    small.use(monkeypatch)


def test_reflected_border_is_torchs():
    x = small.images().train_x
    expected = torch.nn.functional.pad(x.permute(0, 3, 1, 2).float(), (PAD,) * 4, mode="reflect").permute(0, 2, 3, 1)
    assert data._reflect(x, PAD).equal(expected.byte())
    assert data._reflect(x, 0) is x


def test_mean_and_std():
    x = small.images().train_x
    mean, std = data.mean_and_std(x)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean.double(), x.double().mean((0, 1, 2)), rtol=1e-6, atol=0)
    torch.testing.assert_close(std.double(), x.double().std((0, 1, 2), correction=0), rtol=1e-6, atol=0)


def test_images_stay_bytes_and_batches_are_normalized():
    d = Data(small.config(augment=False))
    assert d.train_x.dtype == d.test_x.dtype == torch.uint8
    assert d.train_x.shape == (160, 16, 16, 3)  # no border where nothing is cropped
    x = torch.cat([x for x, _ in d.epoch()])
    assert x.dtype == torch.float32 and x.shape == (160, 3, 16, 16)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3), rtol=1e-5, atol=0)


def test_batches_are_channels_last():
    x, y = next(iter(Data(small.config()).epoch()))
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.shape == (32, 3, 16, 16) and y.shape == (32,) and y.dtype == torch.int64


def test_an_epoch_shows_every_image_once():
    d = Data(small.config(augment=False))
    seen = torch.cat([x for x, _ in d.epoch()])
    every = d.normalize(d.train_x)
    assert sorted(seen.sum((1, 2, 3)).tolist()) == sorted(every.sum((1, 2, 3)).tolist())


def test_the_incomplete_batch_sits_out():
    d = Data(small.config(batch_size=50))
    assert d.steps_per_epoch == 3
    assert [len(y) for _, y in d.epoch()] == [50, 50, 50]


@pytest.mark.parametrize("augment", [True, False])
def test_same_seed_same_epochs(augment):
    a, b, c = (Data(small.config(augment=augment, seed=seed)) for seed in (1, 1, 2))
    for _ in range(2):
        for (x, y), (x2, y2), (x3, _) in zip(a.epoch(), b.epoch(), c.epoch()):
            assert x.equal(x2) and y.equal(y2) and not x.equal(x3)
    assert not next(iter(a.epoch()))[0].equal(next(iter(Data(small.config(augment=augment, seed=1)).epoch()))[0])


@pytest.mark.parametrize("augment", [True, False])
def test_a_step_that_counts_on_the_device_has_the_same_batches(augment):
    """Its choices lie at one place, which each shuffle fills anew."""
    a, b = (Data(small.config(augment=augment)) for _ in range(2))
    t, place = torch.zeros(1, dtype=torch.int64), b._choices.data_ptr()
    for _ in range(2):
        b.shuffle()
        for x, y in a.epoch():
            x2, y2 = b.batch(t)
            assert x.equal(x2) and y.equal(y2)
            t.add_(1)
    assert t == 10 and b._choices.data_ptr() == place


def test_two_passes_at_once_do_not_disturb_each_other():
    d, e = Data(small.config()), Data(small.config())
    one, two = d.epoch(), d.epoch()
    pairs = [(next(one), next(two)) for _ in range(5)]
    for pass_ in zip(*pairs):
        assert all(x.equal(x2) and y.equal(y2) for (x, y), (x2, y2) in zip(pass_, e.epoch()))


def test_the_seed_leaves_torchs_own_random_state_alone():
    before = torch.get_rng_state()
    list(Data(small.config()).epoch())
    assert torch.get_rng_state().equal(before)


def test_augmentation_is_that_of_single_images():
    """The slow, obvious version: one image at a time, one operation after another."""
    d = Data(small.config(seed=3))
    random = torch.Generator().manual_seed(3 + 2**32)
    n, size = len(d.train_x), 16
    order = torch.randperm(n, generator=random)
    row, column = (torch.randint(2 * PAD + 1, (n,), generator=random) for _ in range(2))
    flip = torch.randint(2, (n,), generator=random)
    cut_row, cut_column = (torch.randint(size, (n,), generator=random) for _ in range(2))

    x, y = (torch.cat(parts) for parts in zip(*d.epoch()))
    for k in range(len(x)):
        image = d.train_x[order[k]]
        image = image[row[k] : row[k] + size, column[k] : column[k] + size]
        if flip[k]:
            image = image.flip(1)
        image = (image.float() - d.mean) / d.std
        for i in range(size):
            for j in range(size):
                if -CUTOUT // 2 <= i - cut_row[k] < CUTOUT // 2 and -CUTOUT // 2 <= j - cut_column[k] < CUTOUT // 2:
                    image[i, j] = 0.0
        assert x[k].equal(image.permute(2, 0, 1)), f"image {k}"
        assert y[k] == d.train_y[order[k]]


def test_flips_and_crops_are_used_evenly():
    images = torch.arange(24 * 24, dtype=torch.float32).reshape(1, 24, 24, 1)
    row, column = (a.flatten() for a in torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij"))
    zero = torch.zeros(81, dtype=torch.int64)
    windows = data.crop(images, zero, row, column, zero, 16)
    mirrored = data.crop(images, zero, row, column, zero + 1, 16)
    assert windows.shape == (81, 16, 16, 1)
    assert windows[:, 0, 0, 0].tolist() == (24 * row + column).tolist()
    assert mirrored.equal(windows.flip(2))


@pytest.mark.parametrize("row, column, pixels", [(8, 8, 64), (0, 8, 32), (0, 0, 16), (15, 15, 25), (4, 12, 64)])
def test_cutout_is_smaller_at_the_border(row, column, pixels):
    x = data.cutout(torch.ones(1, 3, 16, 16), torch.tensor([[row], [column]]))
    assert (x == 0).sum() == 3 * pixels


def test_test_images_come_in_order_and_whole():
    d = Data(small.config())
    x, y = (torch.cat(parts) for parts in zip(*d.test(batch_size=15)))
    assert x.equal(d.normalize(d.test_x)) and y.equal(d.test_y)


def test_fewer_images_are_a_part_of_a_fixed_shuffle():
    some, fewer = (Data(small.config(augment=False, train_images=n)).train_x for n in (96, 64))
    assert len(some) == 96 and some[:64].equal(fewer)
    assert Data(small.config(augment=False, train_images=96, seed=5)).train_x.equal(some)


@pytest.mark.parametrize("bad, said", [(dict(train_images=161), "train_images=161: small has 160"),
                                       (dict(batch_size=161), "batch_size=161: small has only 160")])  # fmt: skip
def test_more_than_there_is_is_an_error(bad, said):
    with pytest.raises(ValueError, match=said):
        Data(small.config(**bad))


@pytest.mark.gpu
def test_a_batch_does_not_wait_for_the_host():
    d = Data(small.config(), "cuda")
    batches = d.epoch()
    next(batches)  # the draw of the epoch is moved here, once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        next(batches)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_batches_are_the_same_on_every_device():
    for (x, y), (x2, y2) in zip(Data(small.config()).epoch(), Data(small.config(), "cuda").epoch()):
        torch.testing.assert_close(x2.cpu(), x, rtol=1e-6, atol=1e-6)
        assert y2.cpu().equal(y)


def test_a_channel_that_tells_nothing_becomes_zero():
    """As in a picture of one color; at any level, whatever rounding says of its variance."""
    for level in (0, 37, 255):
        x = torch.randint(0, 256, (64, 8, 8, 3), dtype=torch.uint8)
        x[..., 1] = level
        mean, std = data.mean_and_std(x)
        assert mean[1] == level and std[1] == 1 and (std[[0, 2]] > 60).all()
