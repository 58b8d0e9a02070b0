"""Controls: a slider for each argument, a picture at once, and the same picture where there is no kernel."""

import functools
import io
import re
import sys
import threading
import time
import types

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import xarray as xr

import resnet_dynamics as rd

ALT = "A line that rises from nothing."


def draw(lr=0.4, momentum=0.9):
    if momentum > 0.95:
        raise ZeroDivisionError("1 − ρ")
    plt.figure(figsize=(1, 1))
    plt.plot([0, lr])
    print(f"{lr} <{momentum}>")


def made(**changes):
    return rd.Controls(draw, ALT, **{"lr": [0.1, 0.4], "momentum": [0.0, 0.9, 0.99], **changes})


def press(controls):
    """Press Run, and wait until the picture is there."""
    controls.button.click()
    controls.thread.join(60)
    assert not controls.thread.is_alive()


def test_it_draws_at_once_with_the_defaults_and_again_when_told():
    controls = made()
    first = controls.shown.value
    assert f'alt="{ALT}"' in first and "0.4 &lt;0.9&gt;" in first and plt.get_fignums() == []
    controls.choices["lr"].value = 0.1
    assert controls.shown.value == first, "only the button runs it"
    press(controls)
    assert "0.1 &lt;0.9&gt;" in controls.shown.value and not controls.button.disabled
    png = re.compile("base64,([^\"]+)")
    assert png.search(first)[1] != png.search(controls.shown.value)[1]


def test_an_exception_is_shown_and_the_next_run_works():
    controls = made()
    controls.choices["momentum"].value = 0.99
    press(controls)
    assert controls.shown.value == '<p role="alert">ZeroDivisionError: 1 − ρ</p>'
    controls.choices["momentum"].value = 0.0
    press(controls)
    assert "0.4 &lt;0.0&gt;" in controls.shown.value


def test_the_page_gets_the_picture_and_colab_the_widget(monkeypatch):
    controls = made()
    data, _ = controls._repr_mimebundle_()
    view = {"application/vnd.jupyter.widget-view+json"} if hasattr(ipywidgets.VBox, "_repr_mimebundle_") else set()
    assert data["text/html"] == controls.shown.value and view <= {*data}  # ipywidgets 7 displays in its own way
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    data, _ = controls._repr_mimebundle_()
    assert "text/html" not in data and view <= {*data}


def lines(kind="solid", n=1, log=False):
    draw(n / 10)
    print(kind, n, log)


def needs(lr, momentum=0.9): ...


def takes(*lr): ...


BAD = {
    "Controls(draw, ALT, lr=[0.1, 0.2], momentum=[0.9])": r"lr=\[0.1, 0.2\]: must be a list of values with the",
    "Controls(draw, ALT, lr=0.4, momentum=[0.9])": "lr=0.4: must be a list of values, with the default 0.4 in it",
    "Controls(draw, ALT, lr='0.4', momentum=[0.9])": "lr='0.4': must be a list of values, with the default 0.4",
    "Controls(draw, ALT, lr=None, momentum=[0.9])": "lr=None: must be a list of values",
    "Controls(draw, ALT, lr=[], momentum=[0.9])": r"lr=\[\]: must be a list of values with the default 0.4",
    "Controls(draw, ALT, lr=[0.4, 0.4], momentum=[0.9])": r"lr=\[0.4, 0.4\]: must be values that look different",
    "Controls(draw, ALT, lr=[0.4, 0.4000001], momentum=[0.9])": ".*: must be values that look different: 0.4, 0.4$",
    "Controls(draw, ALT, lr=[0.4], momentum=[0.9], decay=[0.1])":
        "decay: must be an argument of draw with a list of values; the arguments are lr, momentum, the lists lr, mom",
    "Controls(draw, ALT, lr=[0.4])": "momentum: must be an argument of draw with a list of values; .* the lists lr$",
    "Controls(partial(draw, lr=0.1), ALT, lr=[0.4], momentum=[0.9])": r"lr=\[0.4\]: must be a list .* the default 0.1",
    "Controls(partial(draw, lr=0.1), ALT, momentum=[0.9])": "lr: must be an argument of draw with a list of values",
    "Controls(needs, ALT, lr=[0.4], momentum=[0.9])": "lr: must have a default in needs, with which it draws at first",
    "Controls(takes, ALT, lr=[0.4])": r"\*lr: must be an argument that is given by its name, of takes",
    "Controls(lambda lr: 0, ALT, lr=[0.4])": "lr: must have a default in <lambda>",
    "Controls(draw, None, lr=[0.4], momentum=[0.9])": "alt=None: must say in words what there is to see",
    "Controls(draw, ' ', lr=[0.4], momentum=[0.9])": "alt=' ': must say in words what there is to see",
    "Controls(draw, ALT, lr=np.array(0.4), momentum=[0.9])": r"lr=array\(0.4\): must be a list of values, with the",
    "Controls(draw, ALT, lr=np.ones((2, 2)), momentum=[0.9])": r"lr=array\(\[1., 1.\]\): must be single values",
    "Controls(lambda lr=np.ones(2): 0, ALT, lr=[0.4])": r"lr=array\(\[1., 1.\]\): must be single values to choose from",
    "Controls(None, ALT, lr=[0.4])": "draw=None: must be a function that draws",
}  # fmt: skip


@pytest.mark.parametrize("call", BAD)
def test_a_bad_value_is_named_with_what_is_allowed(call):
    values = dict(np=np, draw=draw, needs=needs, takes=takes, partial=functools.partial, ALT=ALT)
    with pytest.raises(ValueError, match=f"^{BAD[call]}"):
        eval(f"rd.{call}", {"rd": rd, **values})


def test_values_may_be_words_and_come_from_anywhere():
    controls = rd.Controls(lines, ALT, kind=("solid", "dashed"), n=(n for n in range(1, 4)), log=[True, False])
    shown = {name: [label for label, _ in one.options] for name, one in controls.choices.items()}
    assert shown == {"kind": ["solid", "dashed"], "n": ["1", "2", "3"], "log": ["True", "False"]}
    assert "solid 1 False" in controls.shown.value
    controls.choices["kind"].value, controls.choices["log"].value = "dashed", True
    press(controls)
    assert "dashed 1 True" in controls.shown.value


@pytest.mark.parametrize("kind", [np.array, np.float32, torch.tensor, xr.DataArray, list,
                                  lambda values: xr.DataArray(values, {"lr": values}, ["lr"])])  # fmt: skip
def test_values_of_other_libraries_are_the_decimals_that_they_print(kind):
    default = np.float32(0.4)
    controls = rd.Controls(lambda lr=default: draw(lr), ALT, lr=kind([0.1, 0.4]))
    assert controls.choices["lr"].options == (("0.1", 0.1), ("0.4", 0.4))
    press(controls)
    assert "0.4 &lt;0.9&gt;" in controls.shown.value


def test_an_argument_may_have_any_name():
    def named(draw=1, alt=2, self=3, values=4):
        plt.figure()
        print(draw, alt, self, values)

    controls = rd.Controls(named, ALT, draw=[1, 2], alt=[2], self=[3], values=[4])
    assert f'alt="{ALT}"' in controls.shown.value and "1 2 3 4" in controls.shown.value


def test_a_program_that_ends_itself_ends_nothing_else():
    controls = rd.Controls(lambda lr=1: sys.exit("no data"), ALT, lr=[1])
    assert controls.shown.value == '<p role="alert">SystemExit: no data</p>' and not controls.button.disabled


@pytest.mark.parametrize("drawing", [functools.partial(draw, momentum=0.0), lambda lr=0.4, momentum=0.0: draw(lr, 0.0)])
def test_a_part_of_a_function_draws_and_so_does_one_without_a_name(drawing):
    controls = rd.Controls(drawing, ALT, lr=np.array([0.1, 0.4]), momentum=[0.0])
    assert "0.4 &lt;0.0&gt;" in controls.shown.value
    made = rd.Controls(lambda lr=1: None, ALT, lr=[1])
    assert made.shown.value == '<p role="alert">ValueError: &lt;lambda&gt; made no figure, or has shown it already</p>'


def test_sliders_and_the_picture_say_lambda_alpha_and_rho():
    def one(lr=0.4, weight_decay=5e-4, momentum=0.9, batch_size=512, init_scale=1):
        plt.figure()

    controls = rd.Controls(one, ALT, lr=[0.4], weight_decay=[5e-4], momentum=[0.9], batch_size=[512], init_scale=[1])
    assert [slider.description for slider in controls.choices.values()] == ["λ", "α", "ρ", "N", "init scale"]
    for html in (controls.shown.value, controls.static_html()):
        assert "<p>Drawn with λ = 0.4, α = 0.0005, ρ = 0.9, N = 512, init scale = 1.</p>" in html


@pytest.fixture
def training():
    """Controls over a training that lasts until it is stopped, after a picture that took none."""
    def train(lr=0.1):
        if lr > 0.1:
            rd.run(rd.Config.smoke(lr=lr, epochs=1000), progress=False)
        draw(lr, 0.0)

    controls = rd.Controls(train, ALT, lr=[0.1, 0.2])
    controls.choices["lr"].value = 0.2
    yield controls
    controls.stop()
    if controls.thread:
        controls.thread.join(60)


def until(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_it_says_how_far_a_training_is_and_stop_keeps_what_was_drawn(training):
    before = training.shown.value
    training.button.click()
    until(lambda: re.search(r"training: step \d+ of 16000, \d+ s left", training.status.value))
    assert 'aria-busy="true"' in training.shown.value and before in training.shown.value
    assert training.button.disabled and not training.stop_button.disabled
    assert training.start() is training.thread, "one at a time"
    training.stop_button.click()
    training.thread.join(60)
    assert training.shown.value == before and "stopped" in training.status.value
    assert not training.button.disabled and training.stop_button.disabled
    training.choices["lr"].value = 0.1
    press(training)
    assert training.status.value == '<span role="status"></span>' and "Drawn with λ = 0.1" in training.shown.value


def test_an_interrupt_leaves_the_picture_as_it_was(training):
    def interrupted(lr=0.1):
        if controls:
            raise KeyboardInterrupt
        draw(lr, 0.0)

    controls = None
    controls = rd.Controls(interrupted, ALT, lr=[0.1])
    before = controls.shown.value
    with pytest.raises(KeyboardInterrupt):
        controls.run()
    assert controls.shown.value == before and "interrupted" in controls.status.value and not controls.button.disabled


def test_what_others_draw_and_print_meanwhile_is_theirs(monkeypatch):
    here, go, first = threading.Event(), threading.Event(), []

    def slow(lr=0.1):
        fig = plt.figure(figsize=(1, 1))
        if first:
            here.set()
            assert go.wait(60)
        print("ours")
        first.append(fig)

    controls = rd.Controls(slow, ALT, lr=[0.1])
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    controls.button.click()
    assert here.wait(60)
    theirs = plt.figure()
    print("theirs")
    plt.close("all")  # as the end of a cell does
    go.set()
    controls.thread.join(60)
    assert "<pre>ours\n</pre>" in controls.shown.value and "<img" in controls.shown.value
    assert sys.stdout.getvalue() == "theirs\n" and theirs not in first
    assert not [hook for hook in plt.rcParams["figure.hooks"] if "controls" in hook] and plt.get_fignums() == []
