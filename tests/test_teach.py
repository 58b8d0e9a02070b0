"""Editions for a class: students get every question and no answer, their teacher all, nbgrader what it can grade."""

import ast
import copy
import importlib.util
import json
import operator
import os
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock
from urllib.parse import parse_qsl, urlsplit

import gate
import nbformat
import numpy as np
import pytest
import teaching

import resnet_dynamics as rd
from resnet_dynamics import (
    answers,
    cache,
    exercises,
    further_questions,
    grid,
    network_answers,
    optimizer_answers,
    questions,
)

sys.path.insert(0, str(gate.ROOT / "book"))
import _teach as teach  # noqa: E402

MADE = {kind: dict(teach.editions(kind)) for kind in ("student", "instructor", "nbgrader")}
CHAPTERS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in gate.CHAPTERS}
FOUND = {name: [one for one in teach.parts(chapter, name) if isinstance(one, teach.Exercise)]
         for name, chapter in CHAPTERS.items()}
ALL = {one.id: one for found in FOUND.values() for one in found}
WITH = pytest.mark.parametrize("name", [name for name, found in FOUND.items() if found])
EACH = pytest.mark.parametrize("name", CHAPTERS)
SHOWN = [one.asks for one in exercises.EXERCISES.values()]
URL, REF = gate.repository.read(), gate.repository.ref()


def cells(made, start="", kind=None):
    return [one for one in made["cells"] if one["id"].startswith(start) and kind in (None, one["cell_type"])]


def made_of(chapter, name, kind, *more):
    return teach.edition(chapter, f"book/{name}.ipynb", URL, REF, kind, *more)


# ---------------------------------------------------------------------------------------------
# exercises

def test_every_exercise_is_found_and_told_of():
    """As many as there are numbers in bold below the heading, and numbered in their order."""
    for name, chapter in CHAPTERS.items():
        text = "\n\n".join(teaching.source(one) for one in chapter["cells"] if one["cell_type"] == "markdown")
        below = re.split(r"^## Exercises$", text, flags=re.M)[1:]
        assert len(FOUND[name]) == sum(len(re.findall(r"^\*\*\d+\.\*\* ", one, re.M)) for one in below)
        chapter_number = re.match(r"0?(\d*b?)", name)[1]
        assert [one.id for one in FOUND[name]] == [f"{chapter_number}.{i + 1}" for i in range(len(FOUND[name]))]
    assert len(ALL) == sum(map(len, FOUND.values())) > 55


@pytest.mark.parametrize("id", ALL)
def test_what_is_told_of_an_exercise_is_sound(id):
    one = ALL[id]
    assert 5 <= one.minutes <= 60 and one.minutes % 5 == 0 and one.level in (1, 2, 3)
    assert one.points == round(one.minutes / 5) and one.words, "a point is five minutes; every exercise has an answer"
    calls = [check for _, check in teach.checked(one)]
    assert {re.match(r"rd\.check\.(\w+)\(", call)[1] for call in calls} == {*one.check}
    assert {key for key in exercises.EXERCISES if re.fullmatch(rf"{re.escape(id)}[a-z]?", key)} == {
        key for call in calls for key in re.findall(r'number\("(\w+\.\w+)"', call)}
    by_machine = one.points - one.by_hand
    assert by_machine >= len(calls) and (by_machine % len(calls) == 0 if calls else by_machine == 0)


def test_the_hints_are_those_of_the_checks():
    """Read from the source of the package, they are what the package has."""
    tasks = {name: getattr(questions, name, getattr(further_questions, name, None))
             for one in ALL.values() for name in one.check if name not in ("number", "lars", "invariant")}
    more = {name: (True,) for name in ("equilibrium_norm", "time_constant", "equilibrium_lost")} | {
        "rate": ("update", True)}
    for name, task in tasks.items():
        wanted = {hint for question in task(*more.get(name, ())).questions for hint in question.wrong}
        assert len(wanted) > 2 and wanted <= {*teach.hints(name)}, name
    assert {*optimizer_answers.MISTAKES} == {*teach.hints("lars")}
    assert {*network_answers._HINTS.values()} < {*teach.hints("invariant")}
    for key, exercise in exercises.EXERCISES.items():
        assert teach.numbers(key.rstrip("ab"))[key] == (exercise.asks, [*exercise.wrong])


# ---------------------------------------------------------------------------------------------
# students

@pytest.mark.parametrize("kind", ["student", "nbgrader"])
@WITH
def test_students_get_no_answer(name, kind):
    assert teaching.leaks(MADE[kind][name], CHAPTERS[name], SHOWN) == []


@pytest.mark.parametrize("plant", [
    lambda made: cells(made, "exercise-5-1-words")[0]["source"].append("Doubling\nα multiplies both by $\\sqrt2$."),
    lambda made: cells(made, "exercise-5-1-code")[0]["source"].append("\n# lr * c**2 / (2 * weight_decay))**0.25"),
    lambda made: cells(made, "exercise-5-2-room")[0]["source"].append('\n"chord / |w|:", norm(after - w)'),
    lambda made: cells(made, "exercise-5-4")[0]["metadata"].update(note="The recorded run ends at about 5."),
    lambda made: made["metadata"].update(note={"a": ["c in the last quarter: {last_c:.2f}"]}),
    lambda made: cells(made, "exercise-5-3-check")[0].update(outputs=[{"text": ["1151 steps, 12 epochs of 97."]}]),
    *(lambda made, i=i: made["cells"].append(
        [one for one in CHAPTERS["05-equilibrium"]["cells"] if "answer" in one["metadata"].get("tags", [])][i])
      for i in range(7)),
    lambda made: made["cells"].append(
        next(one for one in CHAPTERS["05-equilibrium"]["cells"] if one["id"] == "law-words"))])
def test_a_planted_leak_is_found(plant):
    made = copy.deepcopy(MADE["student"]["05-equilibrium"])
    plant(made)
    assert teaching.leaks(made, CHAPTERS["05-equilibrium"], SHOWN)


@pytest.mark.parametrize("kind", ["student", "nbgrader", "instructor"])
@WITH
def test_every_question_is_there_with_minutes_and_level(name, kind):
    text = "\n".join(teaching.source(one) for one in cells(MADE[kind][name], "exercise-", "markdown"))
    for one in FOUND[name]:
        first = re.sub(r"^\*\*\d+\.\*\* |\]\(\S+\)", "", one.question)
        assert first in re.sub(r"\]\(\S+\)", "", text)
        assert f"### Exercise {one.id}\n\n*{one.minutes} minutes · level {one.level} of 3 · {one.points} point" in text


@EACH
def test_all_else_is_the_chapter_and_runs_as_it_does(name):
    """The code but that of exercises is the chapter's, in its order, and no chapter needs a name of an answer
    (test_editions): so what comes before a stub is there, and what comes after does without."""
    made = MADE["student"][name]
    nbformat.validate(made, version=4)
    mine = {stub["id"] for one in FOUND[name] for stub in one.stub}
    kept = [teaching.source(one) for one in CHAPTERS[name]["cells"] if one["cell_type"] == "code"
            and "answer" not in one["metadata"].get("tags", []) and one["id"] not in mine]
    own = [teaching.source(one) for one in cells(made, kind="code") if not one["id"].startswith("exercise-")]
    assert own == kept
    assert len({one["id"] for one in made["cells"]}) == len(made["cells"])


def run(code, names):
    """Execute code; return the value of its last line, as a notebook shows it."""
    body = ast.parse(code).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None


@WITH
def test_a_stub_runs_and_its_check_says_that_it_is_empty(name):
    names = {"rd": rd, "np": np, "norm": MagicMock()}  # of the chapters, what stubs use
    checks = 0
    for one in cells(MADE["student"][name], "exercise-", "code"):
        said = run(teaching.source(one), names)
        if "-check-" in one["id"]:
            checks += 1
            assert not said and answers.EMPTY in str(said), one["id"]
    assert checks == sum(len(teach.checked(one)) for one in FOUND[name])


# ---------------------------------------------------------------------------------------------
# who teaches

@WITH
def test_who_teaches_gets_every_answer_open(name):
    made = MADE["instructor"][name]
    nbformat.validate(made, version=4)
    text = "\n".join(teaching.source(one) for one in made["cells"])
    assert "<details>" not in text and "show_answer" not in text
    assert not any({"jupyter", "cellView"} & one["metadata"].keys() for one in cells(made, kind="code")
                   if one["id"] in {code["id"] for exercise in FOUND[name] for code in exercise.code})
    hidden, _ = teaching.answers(CHAPTERS[name])
    plain = re.sub(r"\]\(\S+\)", "", text)
    assert all(re.sub(r"\]\(\S+\)", "", one).strip() in plain for one in hidden)
    for one in FOUND[name]:
        for mistake in [*one.mistakes, *(hint for _, said in teach.numbers(one.id).values() for hint in said)]:
            assert f"- {mistake}" in text


def test_outputs_of_the_built_book_are_kept_where_the_code_is_the_same():
    chapter, name = CHAPTERS["05-equilibrium"], "05-equilibrium"
    output = [{"output_type": "stream", "name": "stdout", "text": ["0.84\n"]}]
    code = {one["id"]: teaching.source(one) for one in chapter["cells"]}
    shown = {"cell-51": {"source": code["cell-51"], "outputs": output, "execution_count": 7},
             "cell-53": {"source": "another", "outputs": output, "execution_count": 8}}
    found = {kind: {one["id"]: one for one in made_of(chapter, name, kind, shown)["cells"]}
             for kind in ("student", "instructor")}
    assert found["instructor"]["cell-51"]["outputs"] == output and found["instructor"]["cell-53"]["outputs"] == []
    assert not any(one.get("outputs") for one in found["student"].values())


def test_the_built_book_is_found(tmp_path):
    (tmp_path / "_build" / "jupyter_execute" / "book").mkdir(parents=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1\n2", id="a", execution_count=3)])
    nbformat.write(notebook, tmp_path / "_build" / "jupyter_execute" / "book" / "x.ipynb")
    assert teach.built("x", tmp_path) == {"a": {"source": "1\n2", "outputs": [], "execution_count": 3}}
    assert teach.built("y", tmp_path) == {}


# ---------------------------------------------------------------------------------------------
# what the pages say

PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (gate.ROOT / "book" / "teach").glob("*.md")}
SYLLABUS, NOTES = PAGES["syllabus"], PAGES["notes"]
MINUTES = {re.match(r"0?(\d*b?)", name)[1]: sum(
    len(one["source"].split()) for one in teach.parts(chapter, name)
    if not isinstance(one, teach.Exercise) and one["cell_type"] == "markdown") / 120
    for name, chapter in CHAPTERS.items()}  # to read


@pytest.mark.parametrize("listed, minutes", re.findall(
    r"\b(\d+b?\.\d+(?:,\s\d+b?\.\d+)*): (\d+) min", SYLLABUS + NOTES))
def test_a_plan_adds_up(listed, minutes):
    assert sum(ALL[one].minutes for one in re.split(r",\s", listed)) == int(minutes)


def test_lessons_are_as_long_as_they_should_be():
    first, day, weeks = ([re.sub(r"^\||\|$", "", line).split("|") for line in part.splitlines() if " min" in line]
                         for part in re.findall(r"^\|.*?(?=\n\n|\Z)", SYLLABUS, re.S | re.M))
    total = {len(table): [sum(int(n) for cell in row for n in re.findall(r"(\d+) min", cell)) for row in table]
             for table in ([row[1:3] for row in first], [row[1:] for row in day])}
    assert total[2] == [50, 50] and sum(total[7]) == 240
    assert len(weeks) == 6 and all(40 <= int(re.search(r"(\d+) min", row[3])[1]) <= 45 for row in weeks)


def test_reading_takes_about_as_long_as_it_says():
    """120 words a minute, to a fifth: chapters grow."""
    said = re.findall(r"chapters? (\[.*?): (\d+) min", SYLLABUS)
    table = re.findall(r"^\| (\d+b?) \| (\d+) min", NOTES, re.M)
    assert len(said) == 6 and [name for name, _ in table] == [name for name in MINUTES if name]
    for chapters, told in [*said, *((f"[{name}]", told) for name, told in table)]:
        assert int(told) == pytest.approx(sum(MINUTES[n] for n in re.findall(r"\[(\w+)\]", chapters)), rel=0.2)


def talks():
    """{chapter: [minutes of its talk, as told, and of each part]}"""
    found = {}
    for chapter, text in re.findall(r"^## (\d+b?)\. .*?\n(.*?)(?=^## |\Z)", NOTES, re.S | re.M):
        told, parts = re.search(r"\*\*Talk, (\d+) min\.\*\* (.*?)\n-", text, re.S).groups()
        parts = re.split(r"\.\s", re.sub(r"\s+", " ", parts) + " ")[0]
        found[chapter] = [int(told), *(int(re.search(r" (\d+)$", one)[1]) for one in parts.split(";"))]
    return found


def test_talks_take_what_they_say_and_fill_their_weeks():
    """Those of the chapters that a week reads; the two lessons have the parts that the syllabus names."""
    assert talks().keys() == {name for name in MINUTES if name}
    assert all(told == sum(parts) for told, *parts in talks().values())
    weeks = re.findall(r"^\| \d \| .*? \| (chapters? .*?): \d+ min", SYLLABUS, re.M)
    assert len(weeks) == 6
    assert [sum(talks()[n][0] for n in re.findall(r"\[(\w+)\]", week)) for week in weeks] == [50] * 6
    assert talks()["5"][0] == 30


def test_exercises_figures_and_functions_that_pages_name_are_there():
    figures = {one["metadata"]["mystnb"]["figure"]["name"] for chapter in CHAPTERS.values() for one in chapter["cells"]
               if "figure" in one["metadata"].get("mystnb", {})}
    number = rf"(?<![\w.−])(?:{'|'.join(filter(None, MINUTES))})\.[1-9]\d*(?![\w.%]*\w)"
    for name, page in PAGES.items():
        if name in ("syllabus", "notes", "grading"):  # on others such a number may be another
            assert set(re.findall(number, re.sub(r"\]\(.*?\)", "]", page))) <= ALL.keys(), name
        assert set(re.findall(r"\bfig-[0-9a-z-]*\w", page)) <= figures, name
        for path in re.findall(r"`rd\.([a-z_.]+)", page):
            assert operator.attrgetter(path.rstrip("."))(rd), path
    assert {*re.findall(number, NOTES)} == ALL.keys(), "there is a word on every exercise"


PROJECTS = re.findall(r"^## \d\. (.*?)\n(.*?)(?=^## )", PAGES["projects"], re.S | re.M)


def planned(project):
    """Return the runs of a project: its code, where a sweep does nothing but say which they would be."""
    runs = []

    def sweep(base, workers, **axes):
        runs.extend(grid.configs(base, **axes).flat)

    short, code = (re.findall(r"```python\n(.*?)```", text, re.S)[0] for text in (PAGES["projects"], project))
    names = {"rd": SimpleNamespace(Config=rd.Config, sweep=sweep)}
    exec(short.replace("import resnet_dynamics as rd\n", ""), names)
    exec(code, names)
    return runs


@pytest.mark.parametrize("name, project", PROJECTS)
def test_a_project_is_as_many_runs_as_it_says_and_takes_as_long(name, project):
    plain, *more = map(float, re.search(r"([\d.]+) s an epoch, with group norm\s([\d.]+), with layer norm ([\d.]+)",
                                        PAGES["projects"]).groups())
    seconds = {"batch": plain, "group": more[0], "layer": more[1]}
    runs = planned(project)
    said, minutes = map(int, re.search(r"\*\*(\d+) runs, (\d+) minutes", project).groups())
    assert len(runs) == len({one.digest for one in runs}) == said
    assert sum(one.epochs * seconds[one.normalization] for one in runs) / 60 / 2 == pytest.approx(minutes, abs=0.5)


def test_projects_are_six_not_answered_yet_and_graded_alike():
    known = {one.digest for base, axes in rd.bundled_sweeps().values() for one in grid.configs(base, **axes).flat}
    assert len(PROJECTS) == 6
    for name, project in PROJECTS:
        assert sum(one.digest in known for one in planned(project)) <= len(planned(project)) / 3, name
        assert "*Expected figure.*" in project and "*Trap.*" in project
    assert sum(map(int, re.findall(r"^\| .*? \| (\d+) \|", PAGES["projects"], re.M))) == 100


def test_what_the_page_on_hubs_gives_does_what_it_says(capsys, monkeypatch):
    """The variable has the usual folder, and a shared one; the link has the form that nbgitpuller documents."""
    config, link = re.findall(r"```python\n(.*?)```", PAGES["jupyterhub"], re.S)
    names = {"c": MagicMock()}
    exec(config, names)
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    usual = cache.cache_dir()
    monkeypatch.setenv(cache.VARIABLE, names["c"].Spawner.environment[cache.VARIABLE])
    assert (cache.cache_dir(), cache.shared_dirs()) == (usual, [Path("/srv/weight-decay")])
    exec(link, {})
    address = urlsplit(capsys.readouterr().out.strip())
    assert address.path == "/hub/user-redirect/git-pull"
    assert dict(parse_qsl(address.query)) == {
        "repo": "https://github.com/YOU/COURSE", "branch": "main", "urlpath": "lab/tree/COURSE/03-scale-symmetry.ipynb"}


def test_twenty_minutes_are_twenty():
    rows = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+) to (\d+) \|", PAGES["twenty-minutes"], re.M)]
    assert rows[0][0] == 0 and rows[-1][1] == 20 and all(one[1] == two[0] for one, two in zip(rows, rows[1:]))


def test_there_is_a_word_on_every_answer_that_somebody_must_read():
    alone, *_ = zip(*re.findall(r"^\| (\S+) \| (.+) \| (.+) \|$", PAGES["grading"].split("in order:")[1], re.M))
    assert [*alone] == [id for id, one in ALL.items() if one.by_hand and not one.check]
    beside = re.search(r"in words of (.*?) this is enough", PAGES["grading"], re.S)[1]
    assert re.findall(r"\d+b?\.\d+", beside) == [id for id, one in ALL.items() if one.by_hand and one.check]


def test_grades_come_into_the_table_of_canvas(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grades.csv").write_text("assignment,student_id,score\n04-norms-in-motion,ada,9.0\n"
                                         "05-equilibrium,ada,4.5\n")
    (tmp_path / "canvas.csv").write_text("Student,ID,SIS Login ID,Section\n\"L, Ada\",1,ada,A\n"
                                         "\"B, Bob\",2,bob,A\n", "utf-8-sig")
    exec(re.search(r"```python\n(.*?)```", PAGES["grading"], re.S)[1], {})
    assert (tmp_path / "filled.csv").read_text().splitlines() == [
        "Student,ID,SIS Login ID,Section,05-equilibrium", '"L, Ada",1,ada,A,4.5', '"B, Bob",2,bob,A,']


def test_as_many_points_are_given_by_checks_as_the_page_says():
    total, by_hand = (sum(getattr(one, name) for one in ALL.values()) for name in ("points", "by_hand"))
    assert 0.25 < 1 - by_hand / total < 0.35 and 0.4 < sum(bool(one.check) for one in ALL.values()) / len(ALL) < 0.6


# ---------------------------------------------------------------------------------------------
# a chapter that is not as it should

@pytest.mark.parametrize("change, said", [
    (lambda cell: cell["metadata"].pop("exercise"), "asks 1 exercises, and tells of 0"),
    (lambda cell: cell["source"].insert(0, "**1.** Another?\n\n"), "asks 2 exercises, and tells of 1"),
    (lambda cell: cell["source"].append("\n\nBy the way."), "neither a question nor an answer: 'By the way")])
def test_an_exercise_that_cannot_be_taken_apart_is_named(change, said):
    chapter = copy.deepcopy(CHAPTERS["05-equilibrium"])
    change(next(one for one in chapter["cells"] if one["id"] == "cell-52"))
    with pytest.raises(ValueError, match=f"05-equilibrium, cell cell-52: {said}"):
        teach.parts(chapter, "05-equilibrium")


def test_make_teach_writes_them(tmp_path):
    for name in gate.sources():
        if name.parts[0] in ("book", "Makefile", "pyproject.toml") or name.suffix == ".py":
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(gate.ROOT / name, tmp_path / name)
    status, output = gate.run("make", "-s", "teach", f"PYTHON={sys.executable}", cwd=tmp_path, env=os.environ)
    assert status == 0 and "No slides: their figures are those of the built book, so make book first." in output
    folder = tmp_path / "_build" / "teach"
    for kind, made in MADE.items():
        files = {file.stem: file for file in (folder / kind).rglob("*.ipynb")}
        assert files.keys() == made.keys()
        assert all(json.loads(files[name].read_text(encoding="utf-8")) == made[name] for name in made)
    assert (folder / "nbgrader" / "nbgrader_config.py").is_file()


# ---------------------------------------------------------------------------------------------
# nbgrader

@WITH
def test_points_add_up_and_every_cell_has_an_id_of_its_own(name):
    told = [one["metadata"]["nbgrader"] for one in MADE["nbgrader"][name]["cells"] if "nbgrader" in one["metadata"]]
    assert len({one["grade_id"] for one in told}) == len(told)
    assert all(one["schema_version"] == 3 and one["locked"] != one["solution"] for one in told)
    assert sum(one.get("points", 0) for one in told) == sum(one.points for one in FOUND[name])
    for one, student in zip(MADE["nbgrader"][name]["cells"], MADE["student"][name]["cells"], strict=True):
        visible = re.sub(r"\n### BEGIN HIDDEN TESTS\n.*### END HIDDEN TESTS", "", teaching.source(one), flags=re.S)
        assert visible == teaching.source(student) and one["metadata"] == student["metadata"]


RIGHT = {"exercise-8-1-code-1": "def my_update(lr, weight_decay, momentum):\n"
                                "    return (2 * lr * weight_decay / (1 + momentum))**0.5",
         "exercise-8-1-code-2": "answer_8_1 = 10", "exercise-8-5-words": "Only w·g = 0 is used."}
WRONG = {"exercise-8-1-code-2": "answer_8_1 = 0.1"}


@pytest.mark.skipif(not importlib.util.find_spec("nbgrader"), reason="needs nbgrader, which the book does not")
def test_nbgrader_grades(tmp_path, monkeypatch):
    """From the source to the points: of the exercises of chapter 8, without the chapter, which would take a minute."""
    chapter, name = CHAPTERS["08-momentum"], "08-momentum"
    start = next(i for i, one in enumerate(chapter["cells"]) if "## Exercises" in teaching.source(one))
    first = {"cell_type": "code", "id": "imports", "metadata": {}, "source": ["import resnet_dynamics as rd"],
             "outputs": [], "execution_count": None}
    made = made_of(chapter | {"cells": [chapter["cells"][0], first, *chapter["cells"][start:]]}, name, "nbgrader")
    source = tmp_path / "source" / name / f"{name}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(json.dumps(made))
    (tmp_path / "nbgrader_config.py").write_text(teach.CONFIG)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # nbgrader calls alembic by name
    env = gate.environment(tmp_path / "cache")

    def nbgrader(*words):
        status, output = gate.run(sys.executable, "-m", "nbgrader", *words, cwd=tmp_path, env=env)
        assert status == 0, output[-2000:]

    nbgrader("generate_assignment", name)
    release = json.loads((tmp_path / "release" / name / f"{name}.ipynb").read_text())
    assert "HIDDEN" not in json.dumps(release) and "YOUR CODE HERE" not in json.dumps(release)
    for student, said in (("ada", RIGHT), ("bob", WRONG), ("eve", {})):
        handed = copy.deepcopy(release)
        for one in handed["cells"]:
            one["source"] = said.get(one["id"], one["source"])
        file = tmp_path / "submitted" / student / name / f"{name}.ipynb"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(handed))
    nbgrader("autograde", name)
    nbgrader("generate_feedback", name)
    with importlib.import_module("nbgrader.api").Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as book:
        grades = {student: {one.name: (one.auto_score, one.needs_manual_grade)
                            for one in book.find_submission_notebook(name, name, student).grades}
                  for student in ("ada", "bob", "eve")}
        assert book.find_assignment(name).max_score == sum(one.points for one in FOUND[name])
    assert [grades["ada"][f"exercise-8-1-check-{i}"][0] for i in (1, 2)] == [1, 1]
    assert [grades["bob"][f"exercise-8-1-check-{i}"][0] for i in (1, 2)] == [0, 0]
    feedback = (tmp_path / "feedback" / "bob" / name / f"{name}.html").read_text(encoding="utf-8")
    assert "Upside down: the largest over the smallest." in feedback
    assert all(score == 0 and not by_hand for score, by_hand in grades["eve"].values()), "an empty answer is 0"
    assert grades["ada"]["exercise-8-5-words"] == (None, True) and grades["ada"]["exercise-8-4-check-1"][0] == 0
