"""What is checked in Colab's twin and at the lower bounds, as far as it needs neither: the lists, and what counts as
a failure. The twins themselves: make colab, make lowest."""

import json
import re
import shutil
import subprocess
import sys

import gate
import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

CI = gate.ROOT / ".ci"
sys.path.insert(0, str(CI))
import freeze  # noqa: E402
import twins  # noqa: E402

FREEZE = """\
# generated
numpy==2.1.3
Jupyter_Client==7.4.9
google-colab @ file:///colabtools/dist/google_colab-1.0.0.tar.gz
torch @ https://example.org/whl/cpu/torch-2.11.0%2Bcpu-cp313-cp313-manylinux_2_28_x86_64.whl
torchvision @ https://example.org/whl/cpu/torchvision-0.26.0%2Bcpu-cp313-cp313-manylinux_2_28_x86_64.whl
nvidia-nccl-cu13==2.31.2
"""


def numbers(version):
    return tuple(map(int, re.findall(r"\d+", version)))[:3]


def test_a_freeze_is_read():
    assert freeze.versions(FREEZE) == {
        "numpy": "2.1.3", "jupyter-client": "7.4.9", "torch": "2.11.0", "torchvision": "0.26.0"}
    assert freeze.python(FREEZE) == "3.13"


def test_what_is_written_says_the_same_and_when_it_was(tmp_path):
    text = freeze.constraints(FREEZE, "a72407924822ea", "2026-08-19")
    assert freeze.versions(text) == freeze.versions(FREEZE) and freeze.said_python(text) == "3.13"
    assert "2026-08-19, commit a72407924822ea." in text.replace("\n# ", " ")
    assert freeze.moved(text, FREEZE) == []


@pytest.mark.parametrize("old, new, said", [
    ("numpy==2.1.3", "numpy==2.3.0", ["numpy: 2.1.3 → 2.3.0"]),
    ("torch-2.11.0", "torch-2.12.1", ["torch: 2.11.0 → 2.12.1"]),
    ("cp313", "cp314", ["python: 3.13 → 3.14"]), ("numpy==2.1.3\n", "", ["numpy: 2.1.3 → none"]),
    ("# generated", "absl-py==2.0", []), ("nccl-cu13==2.31.2", "nccl-cu13==2.32.0", [])])
def test_a_freeze_that_moved_is_told(old, new, said):
    """If it is of something that the book meets."""
    assert freeze.moved(freeze.constraints(FREEZE, "a", "b"), FREEZE.replace(old, new)) == said


def test_the_script_exits_with_the_news(tmp_path):
    project = tmp_path / "project"
    (project / ".ci").mkdir(parents=True)
    for name in ("pyproject.toml", ".ci/freeze.py"):
        shutil.copy(gate.ROOT / name, project / name)
    listed = tmp_path / "pip-freeze.txt"
    script = project / ".ci" / "freeze.py"
    command = [sys.executable, script, "--list", listed, "--commit", "abc", "--date", "2026-08-19"]

    def run(*more):
        done = subprocess.run([*command, *more], stdout=subprocess.PIPE, encoding="utf-8")
        return done.returncode, done.stdout

    listed.write_text(FREEZE)
    assert run("--write") == (0, "")
    assert run() == (0, "Nothing that the book meets in Colab has moved.\n")
    listed.write_text(FREEZE.replace("2.1.3", "2.3.0"))
    assert run() == (1, "numpy: 2.1.3 → 2.3.0\n")
    assert run("--write")[0] == 0 and run()[0] == 0


def test_colab_has_all_that_the_book_needs_and_pip_would_move_none_of_it():
    text = freeze.HERE.read_text(encoding="utf-8")
    assert re.search(r"of 20\d\d-\d\d-\d\d, commit [\da-f]{40}\.\n# Python 3\.\d+\. ", text)
    version, shipped = twins.colab()
    assert shipped.keys() >= {freeze.plain(name) for name in (*freeze.CHAPTERS, *freeze.KERNEL, *freeze.INSTALLS)}
    _, lowest = twins.lowest()
    names = [freeze.plain(name) for name in freeze.depends()]
    assert [name for name in names if numbers(shipped[name]) < numbers(lowest[name])] == []


def test_the_workflow_has_the_pythons_of_the_twins():
    jobs = yaml.safe_load((gate.ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    for name in ("colab", "lowest"):
        *_, python, make = jobs[name]["steps"]
        assert (python["with"]["python-version"], make["run"]) == (getattr(twins, name)()[0], f"make {name}")


def test_the_lowest_are_those_of_the_package():
    project = freeze.project()
    version, versions = twins.lowest()
    assert project["requires-python"] == f">={version}" and len(project["dependencies"]) > 10
    assert [one for one in project["dependencies"] if one.split(">=")[1] != versions[one.split(">=")[0]]] == []


def test_a_twin_gets_what_chapters_and_tests_import():
    code = "\n".join("".join(cell["source"]) for _, made in gate.colab.editions() for cell in made["cells"]
                     if cell["cell_type"] == "code")
    imported = {name.lower() for name in re.findall(r"^ *(?:import|from) (\w+)", code, re.M)}
    others = imported - set(sys.stdlib_module_names) - {"resnet_dynamics"}
    assert "torch" in others and others <= {name.replace("-", "_") for name in twins.named()}
    assert twins.pins().keys() == {*twins.TESTS}


def edition(tmp_path):
    path = tmp_path / "06-lars.ipynb"
    path.write_text(json.dumps(dict(gate.colab.editions())["06-lars"]))
    return twins.with_switches_on(path)


def test_every_answer_is_run_with_its_switch_on_at_the_end(tmp_path):
    cells = edition(tmp_path).cells
    answers = [cell for cell in cells if "answer" in cell.metadata.get("tags", [])]
    on = cells[-len(answers):]
    assert len(answers) > 1 and [cell.id for cell in on] == [f"{cell.id}-on" for cell in answers]
    for cell, again in zip(answers, on):
        assert "show_answer = False" in cell.source and "show_answer = True" in again.source
    nbformat.validate(edition(tmp_path))


SAID, NOTHING = new_output("stream", text="said"), new_output("execute_result", {"text/plain": "None"})
FAILED = new_output("error", ename="ValueError", evalue="inhomogeneous", traceback=["ValueError: inhomogeneous"])
WARNED = new_output("stream", name="stderr", text="a.py:1: FutureWarning: soon")
WIDGET = new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Explorer()"})


@pytest.mark.parametrize("off, on, other, said", [
    ([], [SAID], [SAID], None), ([], [SAID], [WIDGET], None),
    ([SAID], [SAID], [], "off, and it shows something"), ([], [], [], "on, and it shows nothing"),
    ([], [NOTHING], [], "on, and it shows nothing"), ([], [FAILED], [], "inhomogeneous"),
    ([], [SAID], [FAILED], "inhomogeneous"), ([], [SAID], [WARNED], "a warning")])
def test_what_fails_in_a_twin_is_found(off, on, other, said):
    wrong = twins.failures(new_notebook(cells=[
        new_code_cell("x", outputs=other), new_code_cell("x", id="one", outputs=off, metadata={"tags": ["answer"]}),
        new_code_cell("x", id="one-on", outputs=on)]))
    assert [] == wrong if said is None else len(wrong) == 1 and said in wrong[0]
