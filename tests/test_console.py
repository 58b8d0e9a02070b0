"""What is said cannot end the work, whatever stdout and stderr are."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import small

import resnet_dynamics as rd
from resnet_dynamics import console

HERE = [str(Path(__file__).parent), str(Path(rd.__file__).parents[1])]


def closed(write):
    """A stream whose reader is gone."""

    class Closed(io.StringIO):
        def write(self, text):
            raise write

    return Closed()


@pytest.mark.parametrize("stream", [None, closed(BrokenPipeError()), closed(ValueError("closed file")),
                                    io.TextIOWrapper(io.BytesIO(), "ascii")],
                         ids=("none", "broken pipe", "closed", "ascii"))  # fmt: skip
def test_no_stream_ends_a_training(monkeypatch, tmp_path, stream):
    small.use(monkeypatch)
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path))
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    assert rd.run(small.config(epochs=3), device="cpu").sizes["step"] == 15
    assert rd.sweep(small.config(), seed=[0, 1]).sizes["seed"] == 2
    console.say("√(2λα)")
    other = threading.Thread(target=lambda: list(console.following([1, 2])), daemon=True)
    other.start()
    other.join(30)
    assert not other.is_alive(), "tqdm's lock was not given back"


@pytest.mark.skipif(os.name != "posix", reason="a shell's way to close a stream")
def test_a_closed_stderr_ends_nothing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.path[:0] = {HERE}\nimport small, resnet_dynamics as rd\nsmall.use()\n"
                      "print(len(rd.run(small.config()).step))\n")  # fmt: skip
    environment = {**os.environ, "RESNET_DYNAMICS_CACHE": str(tmp_path)}
    command = f"'{sys.executable}' '{script}' 2>&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout.endswith("10\n")


def test_a_bar_counts_whether_it_is_shown_or_not(capsys):
    for show in (True, False):
        with console.Bar(show=show, total=3) as bar:
            bar.update(2, "so far")
            assert bar.n == 2
    assert "so far" in capsys.readouterr().err
    assert list(console.following([1, 2], desc="two")) == [1, 2]
