"""The editions of a chapter for a class: what students get, what their teacher gets, and what nbgrader grades.

A chapter has its exercises with the answers folded below them. Here each is taken apart (`parts`), and put together
again without its answer, or with the answer open.

- ``student``: the question with minutes, level and points; in the place of the answer the stub and its check, or room
  for words. In the place of a prediction, cells that keep what is said. Cells to be graded have nbgrader's metadata.
- ``instructor``: the same questions, answers open, with the outputs of the built book where there is one, and the
  mistakes that the checks know.
- ``nbgrader``: a course for nbgrader, whose graded cells raise where the answer is not right. Students get them without
  that, so that ``Run all`` comes to the end.

All else is as in the edition for Colab (book/_colab.py): captions below figures, links as addresses, the release named.
What an exercise is worth stands in the metadata of the cell that asks it, ``exercise``; minutes are estimates.
``python book/_teach.py FOLDER`` writes all. Standard library only; the package is read, and not imported.
"""

import ast
import functools
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import _colab as colab

ROOT = colab.ROOT
PACKAGE = ROOT / "src" / "resnet_dynamics"

ABOUT = {
    "student": """\
*This notebook is a page of [Weight Decay in Motion]({page}), as of {ref}, for a class: exercises without answers.
Write yours in place of the dots; a check says "Right." or has a hint. Minutes are estimates.*""",
    "instructor": """\
*This notebook is a page of [Weight Decay in Motion]({page}), as of {ref}, for who teaches: answers are open, and below
each stand the usual mistakes. What is graded by machine is what a check takes; all else is read. Minutes are estimates
that nobody has measured.*""",
}

# What cannot be written into the metadata of its chapter yet: by number, (points, minutes, level, by hand, checks).
LATER = {
    "10-open-questions": {1: (2, 10, 1, 2, []), 2: (2, 10, 2, 2, []), 3: (1, 5, 1, 1, []), 4: (4, 20, 2, 4, [])},
    "11-todays-optimizers": {1: (4, 20, 2, 4, []), 2: (3, 15, 2, 3, []), 3: (2, 10, 2, 2, []), 4: (6, 30, 3, 6, [])},
}

# Where the hints of a check stand, if not in a function of its name in these modules.
QUESTIONS = ("questions", "further_questions")
HINTS = {"lars": ("optimizer_answers", ("MISTAKES",)),
         "invariant": ("network_answers", ("_HINTS", "_ADDED", "_FOLLOWED"))}  # fmt: skip

CONFIG = '''\
"""nbgrader's settings for the notebooks of source: nbgrader generate_assignment 05-equilibrium, and so on."""

c = get_config()
c.CourseDirectory.course_id = "weight-decay-in-motion"
# The stubs are there already, and say more than "YOUR CODE HERE".
c.ClearSolutions.enabled = False
c.ExecutePreprocessor.timeout = 900
'''


# ---------------------------------------------------------------------------------------------
# a chapter, taken apart

class Exercise(NamedTuple):
    """An exercise, and what a chapter has of it."""

    id: str
    points: int  # in all
    minutes: int  # estimated
    level: int  # 1 to 3
    by_hand: int  # of the points, those that somebody must read an answer for; a check gives the others
    check: list  # names in rd.check, of "number" every number that the exercise asks for
    mistakes: list  # that no check knows
    question: str
    stub: list  # cells: what is to be filled in, with its check
    words: list  # answers, as Markdown
    code: list  # cells: answers, computed


def parts(chapter, name):
    """Return the cells of a chapter, each with its source as one string, and in their places its exercises.

    A cell of Markdown may hold the end of the text, the heading and two questions with their answers: it is cut.
    """
    found, inside = [], False
    for cell in chapter["cells"]:
        cell = cell | {"source": "".join(cell["source"])}
        if cell["cell_type"] != "markdown":
            if not inside or not isinstance(found[-1], Exercise):
                found.append(cell)
            elif "answer" in cell["metadata"].get("tags", []):
                found[-1].code.append(cell)
            else:
                found[-1].stub.append(cell)
            continue
        pieces, inside = cut(cell["source"], inside)
        told = described(cell, name, [text for kind, text in pieces if kind == "question"])
        texts = 0
        for kind, text in pieces:
            if kind == "question":
                found.append(Exercise(**next(told), question=text, stub=[], words=[], code=[]))
            elif kind == "answer":
                found[-1].words.append(text)
            elif kind == "stray":
                raise ValueError(f"{name}, cell {cell['id']}: neither a question nor an answer: {text[:40]!r}")
            else:
                number = f"-{texts}" if (texts := texts + 1) > 1 else ""
                metadata = {key: value for key, value in cell["metadata"].items() if key != "exercise"}
                found.append(cell | {"id": cell["id"] + number, "metadata": metadata, "source": text})
    return found


def cut(markdown, inside):
    """Return [[kind, Markdown]] of a cell, and whether exercises go on behind it.

    A kind is text, question or answer; or stray, what stands between exercises and is neither.
    """
    pieces = []
    for piece in re.split(r"(?ms)^(?=## |\*\*\d+\.\*\* )|^(<details>$.*?^</details>$)", markdown):
        if not (piece or "").strip():
            continue
        heading = piece.startswith("## ")
        inside = piece.startswith("## Exercises") if heading else inside
        if not inside or heading:
            kind = "text"
        elif piece.startswith("<details>"):
            kind, piece = "answer", re.sub(r"^<details>\s*(<summary>.*?</summary>)?|</details>$", "", piece)
        else:
            kind = "question" if re.match(r"\*\*\d+\.\*\* ", piece) else "stray"
        if pieces and kind == pieces[-1][0] == "text" and not inside:
            pieces[-1][1] += piece
        else:
            pieces.append([kind, piece])
    return [(kind, piece.strip()) for kind, piece in pieces], inside


def described(cell, name, questions):
    """Yield what is told of each exercise that a cell asks: its id, points and so on."""
    chapter, numbers = re.sub(r"^0?(\d*b?).*", r"\1", name), [re.match(r"\*\*(\d+)", one)[1] for one in questions]
    told = cell["metadata"].get("exercise", [])
    told = told if isinstance(told, list) else [told]
    if later := LATER.get(name, {}):
        fields = ("points", "minutes", "level", "by_hand", "check")
        told = [{"id": f"{chapter}.{n}", **dict(zip(fields, later[int(n)]))} for n in numbers if int(n) in later]
    if len(told) != len(questions):
        raise ValueError(f"{name}, cell {cell['id']}: asks {len(questions)} exercises, and tells of {len(told)}: "
                         "each needs id, points, minutes, level, by_hand and check in the metadata, exercise")
    return iter([{"mistakes": [], **one} for one in told])


# ---------------------------------------------------------------------------------------------
# what the package knows

@functools.cache
def tree(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8")).body


def assigned(module, name):
    """Return the syntax of what a module binds to a name."""
    for node in tree(module):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return node.value
    return None


@functools.cache
def numbers(exercise):
    """Return {key: (what is asked, [hints])} of the numbers that an exercise asks for, as 4.2a and 4.2b."""
    table = assigned("exercises", "EXERCISES")
    return {key.value: (asked.args[0].value, [hint.value for hint in asked.args[2].keys])
            for key, asked in zip(table.keys, table.values) if re.fullmatch(rf"{re.escape(exercise)}[a-z]?", key.value)}


@functools.cache
def hints(check):
    """Return what a check says to known mistakes: every sentence of its function, but those that document it."""
    module, names = HINTS.get(check, (None, (check,)))
    found = [node for one in ([module] if module else QUESTIONS) for name in names if (node := assigned(one, name))]
    documents = {ast.get_docstring(node, clean=False) for node in ast.walk(ast.Module(found, []))
                 if isinstance(node, ast.FunctionDef)}
    texts = [node.value for one in found for node in ast.walk(one)
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in dict.fromkeys(texts)
            if text not in documents and " " in text and text.endswith((".", "?", ":"))]


@functools.cache
def predictions(chapter):
    """Return {key: what is asked} of the predictions of a chapter, as {"5.1a": ..., "5.2": ...}."""
    table = assigned("predictions", "PREDICTIONS")
    return {key.value: asked.args[0].value for key, asked in zip(table.keys, table.values)
            if key.value.split(".")[0] == chapter}


# ---------------------------------------------------------------------------------------------
# an exercise, put together

def cell(kind, name, source, **metadata):
    outputs = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": name, "metadata": metadata, "source": source} | outputs


def graded(made, *, solution, points=None):
    """Return a cell with nbgrader's metadata: to be filled in, or worth points, or, if neither, to be left alone."""
    told = {"grade": points is not None, "grade_id": made["id"], "locked": not solution, "schema_version": 3,
            "solution": solution, "task": False, "cell_type": made["cell_type"]}
    if points is not None:
        told["points"] = points
    return made | {"metadata": made["metadata"] | {"nbgrader": told}}


def named(exercise):
    return "exercise-" + exercise.id.replace(".", "-")


def asked(exercise, more=""):
    """Return the cell that asks an exercise."""
    points = f"{exercise.points} point{'s' if exercise.points > 1 else ''}"
    line = f"*{exercise.minutes} minutes · level {exercise.level} of 3 · {points}{more}*"
    question = re.sub(r"^\*\*\d+\.\*\* ", "", exercise.question)
    told = {"id": exercise.id, "points": exercise.points, "minutes": exercise.minutes, "level": exercise.level}
    return cell("markdown", named(exercise), f"### Exercise {exercise.id}\n\n{line}\n\n{question}", exercise=told)


def checked(exercise):
    """Return [(what is to be filled in, what checks it)], as code: the chapter's, and then every number."""
    pairs = [halves(one["source"]) for one in exercise.stub]
    there = "".join(check for _, check in pairs)
    for key, (asks, _) in numbers(exercise.id).items():
        if f'number("{key}"' not in there:
            answer = "answer_" + key.replace(".", "_")
            pairs.append((f"{answer} = ...  # {asks}", f'rd.check.number("{key}", {answer})'))
    return pairs


def halves(source):
    """Return the code of a stub, and its last statement, the check."""
    last = ast.parse(source).body[-1]
    lines = source.splitlines()
    if not ast.unparse(last).startswith("rd.check."):
        raise ValueError(f"the last statement must be a check: {source!r}")
    return "\n".join(lines[:last.lineno - 1]).rstrip(), "\n".join(lines[last.lineno - 1:])


HIDDEN = """\
{check}
### BEGIN HIDDEN TESTS
assert {check}.require()
### END HIDDEN TESTS"""


def without_answer(exercise, grading=False):
    """Return the cells of an exercise for students; with `grading`, for nbgrader's source."""
    name, pairs = named(exercise), checked(exercise)
    cells = [graded(asked(exercise), solution=False)]
    for i, (stub, check) in enumerate(pairs, 1):
        points = (exercise.points - exercise.by_hand) // len(pairs)
        source = HIDDEN.format(check=check) if grading else check
        cells += [graded(cell("code", f"{name}-code-{i}", stub), solution=True),
                  graded(cell("code", f"{name}-check-{i}", source), solution=False, points=points)]
    if exercise.by_hand:
        words = f"*Your answer to {exercise.id}, in words:*\n"
        cells.append(graded(cell("markdown", f"{name}-words", words), solution=True, points=exercise.by_hand))
        if exercise.code:
            cells.append(cell("code", f"{name}-room", "# your code here, if you want to try it"))
    return cells


NUMBERS = """\
# The numbers that the checks take
from resnet_dynamics.exercises import EXERCISES

for key in {keys}:
    print(key, EXERCISES[key].right(), EXERCISES[key].asks)"""


def with_answer(exercise, outputs):
    """Return the cells of an exercise for who teaches; `outputs` is what the built book has, by the id of a cell."""
    name, by_hand = named(exercise), exercise.by_hand
    how = {0: "by machine", exercise.points: "by hand"}.get(by_hand, f"{by_hand} of them by hand")
    cells = [asked(exercise, f", {how}")]
    cells += [bare(one | {"source": halves(one["source"])[0]}) for one in exercise.stub]
    cells += [cell("markdown", f"{name}-answer-{i}", f"**Answer.** {text}") for i, text in enumerate(exercise.words, 1)]
    for one in exercise.code:
        built = outputs.get(one["id"], {})
        cells.append(bare(one) | (built if built.get("source") == one["source"] else {}))
    if keys := [*numbers(exercise.id)]:
        cells.append(cell("code", f"{name}-numbers", NUMBERS.format(keys=repr(tuple(keys)))))
    if mistakes := known(exercise):
        cells.append(cell("markdown", f"{name}-mistakes", f"**Common wrong answers** to {exercise.id}\n\n{mistakes}"))
    return cells


def bare(one):
    """Return a cell of code that is not folded."""
    tags = [tag for tag in one["metadata"].get("tags", []) if tag not in ("answer", "hide-input", "hide-cell")]
    kept = {key: value for key, value in one["metadata"].items() if key not in ("cellView", "jupyter", "tags")}
    return one | {"metadata": kept | ({"tags": tags} if tags else {})}


def known(exercise):
    """Return the mistakes that are known of an exercise, as a list in Markdown."""
    lines = [f"- {mistake}" for mistake in exercise.mistakes]
    for check in exercise.check:
        if check == "number":
            for key, (asks, said) in numbers(exercise.id).items():
                lines.append(f"- `rd.check.number(\"{key}\", ...)`, {asks.removesuffix('.')}:")
                lines += [f"  - {one}" for one in said]
        else:
            lines += [f"- `rd.check.{check}`:", *(f"  - {one}" for one in hints(check))]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------
# a chapter, put together

PREDICT = """\
# Your prediction, before you read on: put it in place of the dots. The first one counts.
import resnet_dynamics as rd

{lines}"""


def with_predictions(cells, chapter):
    """Return the cells with one behind the questions of *A prediction* that keeps what is said."""
    keys, made = predictions(chapter), []
    lines = "\n".join(f'print(rd.predict("{key}", ...))  # {asks}' for key, asks in keys.items())
    for one in cells:
        before, heading, behind = one["source"].partition("## A prediction\n")
        if one["cell_type"] != "markdown" or not heading or not keys:
            made.append(one)
            continue
        questions, *rest = re.split(r"(?m)^(?=## )", behind, maxsplit=1)
        made += [one | {"source": before + heading + questions.rstrip()},
                 cell("code", f"{one['id']}-predict", PREDICT.format(lines=lines))]
        if rest:
            made.append(one | {"id": f"{one['id']}-read-on", "source": rest[0]})
    return made


def edition(chapter, path, url, ref, kind, outputs=None):
    """Return the edition of a chapter, a notebook as JSON has it, stored as `path` in the repository.

    Args:
        kind: student, instructor or nbgrader.
        outputs: {id: {"source", "outputs", "execution_count"}}, of the cells of the built chapter.
    """
    name, cells = Path(path).stem, []
    for one in parts(chapter, name):
        if not isinstance(one, Exercise):
            cells.append(one)
        elif kind == "instructor":
            cells += with_answer(one, outputs or {})
        else:
            cells += without_answer(one, grading=kind == "nbgrader")
    if kind != "instructor":
        cells = with_predictions(cells, re.sub(r"^0?(\d*b?).*", r"\1", name))
    made = colab.edition(chapter | {"cells": cells}, path, url, ref)
    (about,) = [one for one in made["cells"] if one["id"] == "edition"]
    about["source"] = [ABOUT["instructor" if kind == "instructor" else "student"].format(
        page=colab.address(path, url), ref=ref)]
    return made


def built(name, root=ROOT):
    """Return what the book that was built last shows of a chapter, {id: cell}; nothing, if there is none."""
    file = root / "_build" / "jupyter_execute" / "book" / f"{name}.ipynb"
    if not file.is_file():
        return {}
    return {one["id"]: {"source": "".join(one["source"]), "outputs": one["outputs"],
                        "execution_count": one["execution_count"]}
            for one in json.loads(file.read_text(encoding="utf-8"))["cells"] if one["cell_type"] == "code"}


def editions(kind, root=ROOT):
    """Yield (name, edition) of every notebook of the book; for nbgrader, of those that have exercises."""
    url, ref = colab.repository.read(root), colab.repository.ref(root)
    for path in sorted((root / "book").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            chapter = json.loads(path.read_text(encoding="utf-8"))
            where, name = path.relative_to(root).as_posix(), path.stem
            if kind != "nbgrader" or any(isinstance(one, Exercise) for one in parts(chapter, name)):
                yield name, edition(chapter, where, url, ref, kind, built(name, root))


def write(folder, root=ROOT):
    """Write all editions below `folder`, and nbgrader's settings; return the files."""
    files = {}
    for kind in ("student", "instructor", "nbgrader"):
        for name, made in editions(kind, root):
            file = Path("nbgrader", "source", name) if kind == "nbgrader" else Path(kind)
            files[file / f"{name}.ipynb"] = json.dumps(made, ensure_ascii=False, indent=1) + "\n"
    files[Path("nbgrader", "nbgrader_config.py")] = CONFIG
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in files]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python book/_teach.py FOLDER")
    for file in write(Path(sys.argv[1])):
        print(file)
