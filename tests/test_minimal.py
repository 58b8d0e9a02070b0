"""The file to copy, examples/minimal.py, stands alone, measures what the recorder does, and its dots reach the line."""

import ast
import importlib.util
import os
import pickle
import re
import sys

import gate
import numpy as np
import pytest
import torch

import resnet_dynamics as rd
from resnet_dynamics.recorder import Recorder

FILE = gate.ROOT / "examples" / "minimal.py"


@pytest.fixture
def minimal():
    """The file as a module. What it draws is from a known start, and the process's generator is left as it was."""
    spec = importlib.util.spec_from_file_location("minimal", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield module


def test_it_is_short_and_needs_torch_and_matplotlib_alone():
    text = FILE.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"torch", "matplotlib"}
    assert len(text.splitlines()) <= 100


def test_its_norms_are_those_of_the_recorder(minimal, monkeypatch):
    """The package's recorder around the same steps of the same loop."""
    steps, watching = 5, []

    class Watched(torch.optim.SGD):
        def step(self):
            if not watching:
                weights = [p for group in self.param_groups for p in group["params"] if p.ndim == 4]
                watching.append(Recorder({str(i): p for i, p in enumerate(weights)}, [self], steps))
                watching.append(0)
            recorder, t = watching
            recorder.before()
            super().step()
            recorder.after(t, torch.tensor(0.0), 0.0)
            watching[1] += 1

    monkeypatch.setattr(torch.optim, "SGD", Watched)
    w, g, losses = minimal.train(*minimal.drawn(n=64), steps=steps, batch=16, width=2)
    config = rd.Config(momentum=0.0, weight_decay=minimal.WEIGHT_DECAY)
    ds = rd.recording.from_products(config, watching[0].weights, watching[0].products.numpy(), {}, {})
    np.testing.assert_allclose(w, ds.w2**0.5, rtol=1e-5)
    np.testing.assert_allclose(g, ds.g2**0.5, rtol=1e-5)
    assert w.shape == (steps, 8) and losses.isfinite().all() and (w > 0).all() and (g > 0).all()


def test_it_reads_cifar10(minimal, tmp_path):
    """Rows of 3072 bytes, first all red ones; five files in the real one, two here."""
    rows = np.random.default_rng(0).integers(256, size=(2, 3, 3072), dtype=np.uint8)
    for i, labels in enumerate(([3, 1, 4], [1, 5, 9])):
        (tmp_path / f"data_batch_{i + 1}").write_bytes(pickle.dumps({b"data": rows[i], b"labels": labels}))
    (tmp_path / "test_batch").write_bytes(b"is not read")
    images, labels = minimal.cifar10(tmp_path)
    assert images.shape == (6, 3, 32, 32) and labels.tolist() == [3, 1, 4, 1, 5, 9]
    expected = (rows[1, 0, 1024 + 33] - rows.mean()) / rows.std()  # green, second row, second column
    assert float(images[3, 1, 1, 1]) == pytest.approx(expected, rel=1e-3)


def test_its_dots_reach_the_line(tmp_path):
    """As a reader runs it: in the last 200 steps each layer's rms is the line's, within 15 %."""
    status, output = gate.run(sys.executable, FILE, cwd=tmp_path, env=os.environ | {"MPLBACKEND": "agg"})
    assert status == 0, output
    low, high = map(float, re.search(r"rms, (.*) to (.*)", output).groups())
    assert 0.85 < low < 1 < high < 1.15
    assert (tmp_path / "minimal.png").stat().st_size > 10_000
