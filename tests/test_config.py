"""A configuration is a value: equal ones are one run, its digest stays, and a bad value is named."""

import dataclasses
import fractions
import json

import numpy as np
import pytest
import torch
import xarray as xr

from resnet_dynamics import Config
from resnet_dynamics.config import BUDGETS, CONVS, model_convs


def test_the_defaults_are_the_baseline():
    assert Config() == Config.full()
    assert Config().changes == {}
    assert (Config().lr, Config().weight_decay, Config().momentum, Config().batch_size) == (0.4, 5e-4, 0.9, 512)


def test_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().lr = 1.0
    with pytest.raises(TypeError):
        Config("cifar10")


def test_the_digest_is_of_the_value():
    assert Config(lr=4.0, momentum=0.0).digest == Config(momentum=0, lr=4).digest
    assert Config(lr=4.0).digest != Config(lr=4.1).digest
    assert Config(momentum=-0.0).digest == Config(momentum=0.0).digest
    assert Config(lr=np.float64(4), seed=np.int64(1)).digest == Config(lr=4, seed=1).digest
    assert Config(model="resnet9+extra1").digest == Config(model="backbone+extra1+res3+res1").digest


def test_known_digests():
    """Recordings are found by these: they never change, and are the same in every process."""
    assert Config().digest == "44136fa355b3678a"
    assert Config(lr=4.0, momentum=0.0, width=16).digest == "e6e896f56c53e38a"
    assert Config(**BUDGETS["smoke"]).digest == "7e732e37dd2fc751"


def test_the_digest_survives_new_fields_and_another_order():
    fields = [(f.name, f.type, f.default) for f in dataclasses.fields(Config)]
    later = dataclasses.make_dataclass(
        "Config", [("sharpness", "float", 0.5), *reversed(fields)], bases=(Config,), frozen=True, kw_only=True
    )
    assert later(lr=4.0, seed=1).digest == Config(lr=4.0, seed=1).digest
    assert later(lr=4.0, seed=1, sharpness=1.0).digest != Config(lr=4.0, seed=1).digest


def test_there_and_back():
    config = Config(lr=4, no_norm="prep", train_images=1024)
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert eval(str(config), {"Config": Config}) == config
    assert config.replace(lr=0.4).replace(lr=4) == config


def test_a_field_that_is_not_known_is_named():
    with pytest.raises(ValueError, match="unknown configuration fields learning_rate: allowed are .*lr"):
        Config.from_dict({"learning_rate": 1.0})


def test_budgets():
    for make in (Config.smoke, Config.classroom, Config.full, Config.book):
        assert make(lr=0.3).lr == 0.3
    assert Config.smoke(width=4).width == 4
    assert Config.smoke().data == "synthetic"  # nothing to download
    assert Config.book(lr=4.0).changes.keys() >= {"lr"}


def test_models_have_one_name():
    assert Config(model="backbone+res1+res3").model == "resnet9"
    assert Config(model="resnet9+res1+extra3+extra1").model == "resnet9+extra1+extra3"
    assert Config(model="backbone+res2").model == "backbone+res2"
    assert tuple(model_convs("resnet9")) == CONVS
    assert model_convs("backbone+extra2") == ["prep", "layer1", "layer2", "layer2.extra", "layer3"]


BAD = [
    (dict(data="cifar100"), '"cifar10", "synthetic" or "images:<digest>"'),
    (dict(data="images:pets"), '"cifar10", "synthetic" or "images:<digest>"'),
    (dict(data=None), '"cifar10", "synthetic" or "images:<digest>"'),
    (dict(train_images=100), r"at least one batch \(512\), or None for all"),
    (dict(train_images=1000.5), "an integer"),
    (dict(augment=1), "True or False"),
    (dict(model="resnet50"), '"resnet9", "resnet18"'),
    (dict(model="resnet9+res4"), '"resnet9", "resnet18"'),
    (dict(model="resnet18+res1"), '"resnet9", "resnet18"'),
    (dict(model=9), '"resnet9", "resnet18"'),
    (dict(width=0), "an integer from 1 to 1024"),
    (dict(width=16.5), "an integer"),
    (dict(width="wide"), "a finite number"),
    (dict(model="vgg11+extra2"), '"resnet9", "resnet18"'),
    (dict(no_norm="layer2.res1"), r"None, or a convolution of resnet9 \(prep, "),
    (dict(no_norm="conv1", model="resnet18"), r"None, .*\(none can lose its norm\)"),
    (dict(init_scale=0), "positive"),
    (dict(batch_size=1), r"an integer of at least 2 \(batch norm\)"),
    (dict(epochs=0), "positive"),
    (dict(epochs=float("inf")), "a finite number"),
    (dict(optimizer="adagrad"), 'one of "sgd", "nesterov", "lars", "lars-filter"'),
    (dict(lr=-0.1), "not negative"),
    (dict(lr=float("nan")), "a finite number"),
    (dict(lr="0.4"), "a finite number"),
    (dict(lr=None), "a finite number"),
    (dict(schedule="linear"), 'one of "triangular", "constant", "cosine", "wsd"'),
    (dict(weight_decay_schedule="cosine"), 'one of "constant", "lr"'),
    (dict(lr=0.0, weight_decay_schedule="lr"), "above 0 where α follows λ"),
    (dict(cooldown=20.0, schedule="wsd", warmup=5.0), r"from 0 to what warmup leaves of epochs \(19\)"),
    (dict(warmup=25), r"from 0 to epochs \(24\)"),
    (dict(warmup=-1), "from 0 to epochs"),
    (dict(weight_decay=-5e-4), "not negative"),
    (dict(rest_lr_scale=-1), "not negative"),
    (dict(rest_weight_decay_scale="all"), "a finite number"),
    (dict(momentum=1.2), r"in \[0, 1\)"),
    (dict(momentum=1), r"in \[0, 1\)"),
    (dict(momentum=0, optimizer="nesterov"), 'above 0 with optimizer="nesterov"'),
    (dict(lars_rate="same"), 'one of "equilibrium", "ode"'),
    (dict(seed=-1), "an integer from 0 to 4294967295"),
    (dict(seed=10**400), "a finite number"),
    (dict(seed=None), "an integer"),
    (dict(lr=1e308), "not negative, at most 1e30"),
    (dict(lr=1e20, rest_lr_scale=1e20), "at most 1e30 when multiplied by lr"),
    (dict(epochs=1e9), "positive, at most 1e6"),
    (dict(epochs=3), "at least warmup, which is 5; give both"),
    (dict(epochs=0.2, warmup=0.5), "at least warmup, which is 0.5; give both"),
    (dict(lr=np.ma.masked), "a finite number"),
    (dict(lr=b"0.1"), "a finite number"),
    (dict(lr=torch.tensor(0.1, device="meta")), "a finite number"),
    (dict(weight_decay=0, optimizer="lars"), 'above 0 with optimizer="lars"'),
    (dict(lr=0, optimizer="lars-filter"), 'above 0 with optimizer="lars-filter"'),
    (dict(lr=np.True_), "a finite number"),
    (dict(lr=np.array([0.1])), "a finite number"),
    (dict(lr=[0.1]), "a finite number"),
    (dict(optimizer=np.array(["sgd", "lars"])), 'one of "sgd"'),
    (dict(no_norm=["prep"]), "None, or a convolution"),
    (dict(normalization="group", width=6), 'one of "batch", "instance", "layer" with model=.resnet9. and width=6'),
    (dict(normalization="layer", model="vgg11"), 'one of "batch" with model=.vgg11.'),
    (dict(normalization="layer", optimizer="lars-filter"), 'one of "batch", "instance" with optimizer="lars-filter"'),
    (dict(data=b"cifar10"), '"cifar10", "synthetic"'),
]


@pytest.mark.parametrize("bad, allowed", BAD, ids=lambda value: None if isinstance(value, str) else str(value)[5:30])
def test_a_bad_value_is_named_with_what_is_allowed(bad, allowed):
    *_, name = bad if list(bad)[-1].startswith("rest") else reversed(bad)
    with pytest.raises(ValueError, match=f"^{name}=.*: must be {allowed}") as error:
        Config(**bad)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad, said", [
    (dict(learning_rate=0.1), r"^learning_rate=0.1: must be a field of Config \(data, .*\); perhaps lr is meant$"),
    (dict(weightdecay=0.1), "; perhaps weight_decay is meant$"),
    (dict(foo=1), r"^foo=1: must be a field of Config \(data, .*seed\)$"),
])  # fmt: skip
def test_a_field_that_there_is_not_is_named(bad, said):
    for make in (Config, Config.smoke, Config().replace):
        with pytest.raises(TypeError, match=said):
            make(**bad)


def test_values_have_names():
    with pytest.raises(TypeError, match=r"^Config\(0.4\): every value must be named, as in Config\(lr=0.4\)$"):
        Config(0.4)


@pytest.mark.parametrize("value", [np.float32(0.1), np.float16(0.1), np.array(0.1), torch.tensor(0.1), np.float64(0.1),
                                   torch.tensor(0.1, dtype=torch.bfloat16), xr.DataArray(np.float32(0.1)),
                                   fractions.Fraction(1, 10)], ids=repr)  # fmt: skip
def test_a_narrow_number_is_the_one_that_was_meant(value):
    assert Config(lr=value).digest == Config(lr=0.1).digest


def test_scalars_of_other_libraries_are_plain():
    config = Config(augment=np.False_, width=torch.tensor(8), schedule=np.str_("constant"), seed=np.int64(3))
    assert {type(value) for value in config.changes.values()} == {bool, int, str}
    assert str(config) == "Config(augment=False, width=8, schedule='constant', seed=3)"


def test_a_number_that_is_nearly_another_is_said():
    with pytest.warns(UserWarning, match=r"^lr=0.30000000000000004 is another run than lr=0.3; round it") as warned:
        assert Config(lr=0.1 + 0.2).lr == 0.1 + 0.2
    assert warned[0].filename == __file__
    Config(lr=0.1 / 3), Config(lr=0.4 * 2**-0.5), Config(lr=2**-40)
