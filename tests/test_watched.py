"""The other file to copy, examples/watched.py, needs torch, the figure, and two lines of the package."""

import ast
import re
import runpy
import sys

import gate
import pytest
import torch
import torch.nn.functional as F
from matplotlib import pyplot

import resnet_dynamics as rd

FILE = gate.ROOT / "examples" / "watched.py"


@pytest.fixture
def process():
    """The generator that all share, and torch's threads, are left as they were."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)
    pyplot.close("all")


def test_it_is_short_and_needs_torch_matplotlib_and_the_package():
    text = FILE.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    outer = {name.split(".")[0] for name in names} - sys.stdlib_module_names
    assert outer == {"torch", "matplotlib", "resnet_dynamics"}
    assert len(text.splitlines()) <= 100


def test_its_two_lines_change_no_weight(process, monkeypatch):
    """And its λ is that of its schedule."""
    made = runpy.run_path(str(FILE))
    images = made["drawn"](n=64)
    torch.manual_seed(0)
    model, watch = made["train"](*images, steps=8, batch=8, width=2)
    lr = made["LR"] * torch.tensor([0.1, 0.55, *[1.0] * 6], dtype=torch.float64)
    torch.testing.assert_close(torch.from_numpy(watch.recording().lr.values), lr)
    nobody = type("Nobody", (), {"before": lambda _: 0, "after": lambda *_: 0})()
    monkeypatch.setattr(rd, "watch", lambda *_, **__: nobody)
    torch.manual_seed(0)
    alone, _ = made["train"](*images, steps=8, batch=8, width=2)
    assert all(a.equal(b) for a, b in zip(model.parameters(), alone.parameters()))


def test_the_wiring_of_its_network(process):
    """What the recorded gradients say below, a test of the loss says, too."""
    model, x, y = runpy.run_path(str(FILE))["resnet9"](width=2), torch.randn(8, 3, 16, 16), torch.arange(8)
    found = rd.invariant_parameters(model, lambda net: F.cross_entropy(net(x), y))
    convs = {one.name for one in found if one.invariant and len(one.parameters) == 1}
    assert convs == {"0.0", "1.0", "3.0.0", "3.1.0", "4.0", "6.0", "8.0.0", "8.1.0"}


def test_its_dots_reach_the_line(process, tmp_path, monkeypatch, capsys):
    """As a reader runs it: in the second half each layer's rms is the line's, within 25 %."""
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(FILE), run_name="__main__")
    said = capsys.readouterr().out
    assert "scale invariant: 0.0 1.0 3.0.0 3.1.0 4.0 6.0 8.0.0 8.1.0 and not: 11\n" in said
    low, high = map(float, re.search(r"rms, (.*) to (.*)", said).groups())
    assert 0.75 < low < 1 < high < 1.25
    assert (tmp_path / "watched.png").stat().st_size > 10_000
