"""Every example in a docstring prints what it says."""

import doctest
import importlib

import gate
import pytest
from matplotlib import pyplot

MODULES = sorted(path.stem for path in (gate.ROOT / "src" / "resnet_dynamics").glob("[!_]*.py"))
WITH_EXAMPLES = [name for name in MODULES
                 if ">>> " in (gate.ROOT / "src" / "resnet_dynamics" / f"{name}.py").read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module(name, tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(f"resnet_dynamics.{name}"))
    pyplot.close("all")
    assert found.attempted > 0 and found.failed == 0


def test_there_are_examples():
    assert {"config", "runs", "sweep", "theory", "tables", "compare", "schedules"} <= {*WITH_EXAMPLES}
