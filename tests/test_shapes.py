"""The hints of signatures are checked in every test: they all mean something, and what they exclude is refused."""

import importlib
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import hints
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from test_plots import made_up

from resnet_dynamics import arguments, measure, page_data, series, theory

MODULES = [importlib.import_module(f"{hints.PACKAGE}.{name}") for name in hints.MODULES]


def functions(module):
    """Name → function of all that a module makes itself, as it was written."""
    made = {name: inspect.unwrap(value) for name, value in vars(module).items() if callable(value)}
    return {name: function for name, function in made.items()
            if inspect.isfunction(function) and function.__module__ == module.__name__}


@pytest.mark.parametrize("module", MODULES, ids=hints.MODULES)
def test_every_public_function_has_hints_and_all_of_them_mean_something(module):
    found = functions(module)
    bare = {name for name, function in found.items() if "return" not in function.__annotations__}
    assert {name for name in bare if not name.startswith("_")} == set()
    for function in found.values():
        typing.get_type_hints(function)  # a name that is nowhere would be no check


WRONG = {
    "a series for one step": lambda: theory._trust(np.ones((5, 3)), np.ones(3)),
    "whole numbers in an equation": lambda: arguments.some_motion(np.array([1, 2]), np.array([1, 2])),
    "layers before steps": lambda: series.first(made_up().w2.transpose("layer", "step")),
    "axes of other names": lambda: series.earlier(made_up().w2.rename(layer="filter")),
    "numbers for codes": lambda: page_data.decode(np.ones(3)),
    "whole numbers for a series": lambda: page_data._means(np.ones(4, int), np.array([0, 4])),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_shape_is_refused(what):
    with pytest.raises(TypeCheckError, match="whilst checking the parameters"):
        WRONG[what]()


def test_a_wrong_shape_that_comes_out_is_refused(monkeypatch):
    monkeypatch.setattr(measure, "named", lambda array, *about: array.transpose())
    with pytest.raises(TypeCheckError, match="whilst checking the return value of resnet_dynamics.measure.norm"):
        measure.norm(made_up())


def test_what_a_function_refuses_it_refuses_in_its_own_words():
    with pytest.raises(TypeError, match="^series=a list: must be a DataArray with steps"):
        measure.smooth([1.0])
    with pytest.raises(ValueError, match="^w2 of shape .* must be series of the same steps"):
        theory.drift(np.ones((3, 2)), np.ones(2), 0.1)


def test_the_package_needs_neither_of_the_two_that_check_it(tmp_path):
    names = sorted(path.stem for path in Path(measure.__file__).parent.glob("[!_]*.py"))
    code = f"import sys; sys.modules |= dict.fromkeys(['beartype', 'jaxtyping']); import {hints.PACKAGE}\n"
    code += "\n".join(f"import {hints.PACKAGE}.{name}" for name in names)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert names and done.returncode == 0, done.stderr
