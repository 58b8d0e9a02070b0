"""The editions of a chapter for a class: what students get, what their teacher gets, and what nbgrader grades.

A chapter has its exercises with the answers folded below them. Each is taken out (book/_exercises.py), and put together
again without its answer, or with the answer open.

- ``student``: the question with minutes, level and points; in the place of the answer the stub and its check, or room
  for words. Cells to be graded have nbgrader's metadata.
- ``instructor``: the same questions, answers open, with the outputs of the built book where there is one, and the
  mistakes that the checks know.
- ``nbgrader``: a course for nbgrader, whose graded cells raise where the answer is not right. Students get them without
  that, so that ``Run all`` comes to the end.

All else is as in the edition for Colab (book/_colab.py): captions below figures, links as addresses, the release named.
``python book/_teach.py FOLDER`` writes all. Standard library only.
"""

import ast
import json
import re
import sys
from pathlib import Path

import _colab as colab
import _slides as slides
from _exercises import Exercise, hints, numbers, parts

ROOT = colab.ROOT

ABOUT = {
    "student": """\
*This notebook is a page of [Weight Decay in Motion]({page}), as of {ref}, for a class: exercises without answers.
Write yours in place of the dots; a check says "Right." or has a hint. Minutes are estimates.*""",
    "instructor": """\
*This notebook is a page of [Weight Decay in Motion]({page}), as of {ref}, for who teaches: answers are open, and below
each stand the usual mistakes. What is graded by machine is what a check takes; all else is read. Minutes are estimates
that nobody has measured.*""",
}

CONFIG = '''\
"""nbgrader's settings for the notebooks of source: nbgrader generate_assignment 05-equilibrium, and so on."""

c = get_config()
c.CourseDirectory.course_id = "weight-decay-in-motion"
# The stubs are there already, and say more than "YOUR CODE HERE".
c.ClearSolutions.enabled = False
c.ExecutePreprocessor.timeout = 900
'''


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

def edition(chapter, path, url, ref, kind, outputs=None):
    """Return the edition of a chapter, a notebook as JSON has it, stored as `path` in the repository.

    Args:
        kind: student, instructor or nbgrader.
        outputs: {id: {"source", "outputs", "execution_count"}}, of the cells of the built chapter.
    """
    name, cells = Path(path).stem, []
    for one in parts(chapter, name):
        if not isinstance(one, Exercise):  # slides are made of the chapter itself
            kept = {key: value for key, value in one["metadata"].items() if key not in ("slide", "slideshow")}
            cells.append(one | {"metadata": kept})
        elif kind == "instructor":
            cells += with_answer(one, outputs or {})
        else:
            cells += without_answer(one, grading=kind == "nbgrader")
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
    """Write all editions below `folder`, nbgrader's settings, and slides if the book is built; return the files."""
    files = {}
    for kind in ("student", "instructor", "nbgrader"):
        for name, made in editions(kind, root):
            file = Path("nbgrader", "source", name) if kind == "nbgrader" else Path(kind)
            files[file / f"{name}.ipynb"] = json.dumps(made, ensure_ascii=False, indent=1) + "\n"
    files[Path("nbgrader", "nbgrader_config.py")] = CONFIG
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    made = []
    if slides.possible(root):
        names = [path.stem for path in (root / "book").glob("*.ipynb")]
        made = slides.write(folder / "slides", {name: built(name, root) for name in names}, root)
    return [*(folder / file for file in files), *made]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python book/_teach.py FOLDER")
    for file in write(Path(sys.argv[1])):
        print(file)
    if not slides.possible():
        print("No slides: their figures are those of the built book, so make book first.")
