"""Tables: the same cells in HTML and as text."""

import re
import xml.etree.ElementTree

import numpy as np
import pytest
import xarray as xr

from resnet_dynamics import table


def cells(shown, tag):
    return re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", shown._repr_html_())


def test_html_has_a_caption_and_heads_that_name_rows_and_columns():
    shown = table({"layer": ["prep", "layer1"], "√z": ([0.98712, 1.0041], ".2f")}, "Dots & lines.")
    tree = xml.etree.ElementTree.fromstring(shown._repr_html_())
    assert tree.find(".//caption").text == "Dots & lines."
    assert [one.text for one in tree.findall(".//thead//th[@scope='col']")] == ["layer", "√z"]
    assert [one.text for one in tree.findall(".//tbody//th[@scope='row']")] == ["prep", "layer1"]
    assert cells(shown, "td") == ["0.99", "1.00"]


def test_what_is_in_the_cells_is_text_and_no_markup():
    shown = table({"a<b": ["<i>", "&"]}, "<b>")
    assert "<i>" not in shown._repr_html_() and "&lt;i&gt;" in shown._repr_html_() and "a&lt;b" in shown._repr_html_()


@pytest.mark.parametrize("value, form, text", [
    (0.012345, None, "0.0123"), (-1.5, None, "−1.5"), (12345, None, "12,345"), (1.5e-7, None, "1.5·10⁻⁷"),
    (0.98, "{:.0%}", "98%"), (-2.0, "+.1f", "−2.0"), (float("nan"), ".2f", "–"), (None, ".2f", "–"),
    (np.float32(0.1), None, "0.1"), ("none", ".2f", "none"), (True, None, "True")])  # fmt: skip
def test_a_value_as_a_reader_sees_it(value, form, text):
    values = [value] if form is None else ([value], form)
    assert cells(table({"row": ["x"], "value": values}), "td") == [text]


def test_labelled_arrays_are_columns():
    shown = table({"layer": xr.DataArray(["a", "b"], dims="layer"), "n": np.array([1, 2])})
    assert repr(shown) == "layer  n\na      1\nb      2"


@pytest.mark.parametrize("columns, said", [
    ({}, "must be at least one column"), ({"a": [1], "b": [1, 2]}, "columns of lengths {'a': 1, 'b': 2}: must be"),
    ({"a": 1.0}, "a=1.0: must be a list"), ({"a": ([1.0], "q")}, "a: format 'q' of 1.0")])  # fmt: skip
def test_what_is_no_table_is_said(columns, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        table(columns)
