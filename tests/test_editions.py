"""Editions of chapters, for Colab and wherever a notebook is opened alone, are whole; and a spoiled one is found."""

import copy
import json
import os
import shutil
import subprocess

import editions
import gate
import nbformat
import pytest
import yaml

MADE = dict(gate.colab.editions())
CHAPTERS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in gate.CHAPTERS}
EACH = pytest.mark.parametrize("name", CHAPTERS)
PATH, URL = "book/01-training-loop.ipynb", gate.repository.read()
PAGES = gate.repository.pages(URL)


def test_every_chapter_has_an_edition():
    assert MADE.keys() == CHAPTERS.keys()


@EACH
def test_an_edition_is_the_chapter(name):
    nbformat.validate(MADE[name], version=4)
    assert editions.complaints(MADE[name], CHAPTERS[name]) == []


@EACH
def test_a_chapter_needs_no_name_of_an_answer(name):
    assert editions.needed_later(CHAPTERS[name]) == []


def cell(made, name):
    return next(one for one in made["cells"] if one["id"] == name)


def without(made, name):
    made["cells"].remove(cell(made, name))


@pytest.mark.parametrize("spoil, said", [
    (lambda made: without(made, "ch06-clip-caption"), "the caption of fig-06-lars-spread must stand below it"),
    (lambda made: cell(made, "ch06-clip-caption").update(source=["**Figure.** How"]), "as the chapter has it"),
    (lambda made: cell(made, "ch06-clip-caption").update(cell_type="raw"), "the caption of fig-06-lars-spread"),
    (lambda made: cell(made, "ch06-ex1-answer").update(source=cell(CHAPTERS["06-lars"], "ch06-ex1-answer")["source"]),
     "behind its switch"),
    (lambda made: cell(made, "ch06-ex1-answer")["source"].__setitem__(1, "show_answer = True\n"), "the switch off"),
    (lambda made: cell(made, "ch06-ex1-answer")["source"].append("\nprint(c)"), "behind its switch"),
    (lambda made: cell(made, "ch06-ex1-answer")["source"].append("\n    print(c)"), "must be the chapter's"),
    (lambda made: cell(made, "ch06-title")["source"].append(" See [5](05.html)."), "must be the chapter's"),
    (lambda made: cell(made, "edition")["source"].append(" See [5](05.html)."), "needs the book around"),
    (lambda made: cell(made, "edition")["source"].append(" See [above](#a-prediction)."), "needs the book around"),
    (lambda made: cell(made, "setup").update(source=[gate.repository.setup_cell().replace("@v", "@")]), "the release"),
    (lambda made: without(made, "ch06-title"), "is lost"),
    (lambda made: made["cells"].reverse(), "not in its place"),
    (lambda made: made.update(metadata={}), "the metadata"),
])
def test_a_spoiled_edition_is_found(spoil, said):
    made = copy.deepcopy(MADE["06-lars"])
    spoil(made)
    assert any(said in complaint for complaint in editions.complaints(made, CHAPTERS["06-lars"]))


def test_an_edition_of_another_chapter_is_found():
    assert editions.complaints(MADE["06-lars"], CHAPTERS["05-equilibrium"])


@pytest.mark.parametrize("markdown, made", [
    ("[a](05-equilibrium.ipynb)", f"[a]({PAGES}book/05-equilibrium.html)"),
    ("[a](about/faq.md#does-it-run) b", f"[a]({PAGES}book/about/faq.html#does-it-run) b"),
    ("[a](#the-loop)", f"[a]({PAGES}book/01-training-loop.html#the-loop)"),
    ("[a](05b-moving-target.ipynb#what-ct-adds)", f"[a]({PAGES}book/05b-moving-target.html#what-c-t-adds)"),
    ("[a](https://example.org/x.md) $f[1](x)$".replace("[1]", ""), "[a](https://example.org/x.md) $f(x)$"),
])
def test_links_are_absolute(markdown, made):
    assert gate.colab.absolute(markdown, PATH, URL) == made


@pytest.mark.parametrize("markdown", ["[a](nowhere.ipynb)", "[a](_static/book.css)", '<a href="live.html">a</a>'])
def test_a_link_without_an_address_is_an_error(markdown):
    with pytest.raises(ValueError, match="book/01"):
        gate.colab.absolute(markdown, PATH, URL)


def executed(source, on):
    """Run the code of an answer with its switch on or off; return what it displays, and the names that it defines."""
    made, shown = gate.colab.switched(source, "a"), []
    names = {"display": shown.append, "print": lambda *words: shown.append(words)}
    exec(made.replace("show_answer = False", f"show_answer = {on}"), names)
    return shown, names.keys() - {"display", "print", "__builtins__", "show_answer"}


@pytest.mark.parametrize("source, shown", [
    ("x = 1\nx + 1", [2]), ("print(1)", [(1,)]), ("x = 1", []), ("for x in 1, 2:\n    print(x)", [(1,), (2,)]),
    ("def f():\n    '''One\n    two.'''\n    return 'a' \\\n        'b'\n\n\nf()", ["ab"]),
    ("# @title Answer to 2\nx = [1,\n     2]\n(x\n + x)", [[1, 2, 1, 2]])])
def test_a_switch_hides_all_that_an_answer_does_and_changes_nothing_else(source, shown):
    assert executed(source, on=False) == ([], set())
    seen, names = executed(source, on=True)
    assert seen == shown and names <= {"x", "f"}


def test_a_switch_has_the_title_of_its_answer():
    titles = [gate.colab.switched(source, "a").splitlines()[0] for source in ("# @title Answer to 2\n1", "1")]
    assert titles == ["# @title Answer to 2", "# @title The answer, computed"]


def test_an_answer_that_indenting_would_change_is_an_error():
    with pytest.raises(ValueError, match="cell a: a string over several lines"):
        gate.colab.switched("x = '''one\ntwo'''", "a")


def test_a_name_that_only_an_answer_defines_is_found():
    code = [("x = 1", []), ("x = y = 2", ["answer"]), ("x + y", [])]
    cells = [{"cell_type": "code", "id": f"c{i}", "source": [source], "metadata": {"tags": tags}}
             for i, (source, tags) in enumerate(code)]
    assert editions.needed_later({"cells": cells}) == ["cell c2: y"]


def test_a_release_puts_its_editions_where_the_rocket_looks(tmp_path):
    """The step of the workflow, with a repository of the disk in place of GitHub's: a folder for each release."""
    steps = yaml.safe_load((gate.ROOT / ".github" / "workflows" / "editions.yml").read_text())["jobs"]["write"]["steps"]
    script = tmp_path / "step.sh"
    script.write_text(steps[-1]["run"])
    project, remote = tmp_path / "project", tmp_path / "remote"
    (project / "book").mkdir(parents=True)
    for name in ("pyproject.toml", *(f"book/{one}.py" for one in ("_colab", "_repository")), PATH):
        shutil.copy(gate.ROOT / name, project / name)
    (project / PATH).write_text(json.dumps({"cells": [], "metadata": {}}))
    subprocess.run(["git", "init", "-q", "--bare", remote], check=True)

    def release(ref, pushed=None):
        gate.repository.write_ref(ref, project)
        temporary = tmp_path / f"runner-{ref}-{pushed}"
        env = os.environ | {"GITHUB_REF_NAME": pushed or ref, "RUNNER_TEMP": str(temporary), "REMOTE": str(remote)}
        status, output = gate.run("bash", "-e", script, cwd=project, env=env)
        assert status == 0, output
        listed = subprocess.run(["git", "ls-tree", "-r", "--name-only", "colab"], cwd=remote, stdout=subprocess.PIPE)
        return listed.stdout.decode().split()

    first, second = ([f"v{version}/01-training-loop.ipynb"] for version in (1, 2))
    assert release("v1", pushed="main") == []
    assert release("v1") == first
    assert release("v2") == release("v2", pushed="main") == first + second
    where = gate.repository.colab(URL, "v1", "01-training-loop")
    assert where.endswith(f"/blob/colab/{first[0]}")
