"""Controls: a slider for each argument, a picture at once, and the same picture where there is no kernel."""

import re
import sys
import types

import ipywidgets
import matplotlib.pyplot as plt
import pytest

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


def test_it_draws_at_once_with_the_defaults_and_again_when_told():
    controls = made()
    first = controls.shown.value
    assert f'alt="{ALT}"' in first and "0.4 &lt;0.9&gt;" in first and plt.get_fignums() == []
    controls.choices["lr"].value = 0.1
    assert controls.shown.value == first, "only the button runs it"
    controls.button.click()
    assert "0.1 &lt;0.9&gt;" in controls.shown.value and not controls.button.disabled
    png = re.compile("base64,([^\"]+)")
    assert png.search(first)[1] != png.search(controls.shown.value)[1]


def test_an_exception_is_shown_and_the_next_run_works():
    controls = made()
    controls.choices["momentum"].value = 0.99
    controls.button.click()
    assert controls.shown.value == '<p role="alert">ZeroDivisionError: 1 − ρ</p>'
    controls.choices["momentum"].value = 0.0
    controls.button.click()
    assert "0.4 &lt;0.0&gt;" in controls.shown.value


def test_the_page_gets_the_picture_and_colab_the_widget(monkeypatch):
    controls = made()
    data, _ = controls._repr_mimebundle_()
    view = {"application/vnd.jupyter.widget-view+json"} if hasattr(ipywidgets.VBox, "_repr_mimebundle_") else set()
    assert data["text/html"] == controls.shown.value and view <= {*data}  # ipywidgets 7 displays in its own way
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    data, _ = controls._repr_mimebundle_()
    assert "text/html" not in data and view <= {*data}


@pytest.mark.parametrize("changes", [{"lr": [0.1, 0.2]}, {"decay": [0.1]}], ids=str)
def test_values_that_do_not_fit_are_named(changes):
    with pytest.raises(ValueError, match=f"^{next(iter(changes))}: must be an argument of draw"):
        made(**changes)
    with pytest.raises(ValueError, match="^momentum: must be"):
        rd.Controls(draw, ALT, lr=[0.4])
