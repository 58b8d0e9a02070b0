"""The exercises of the book, taken out of its chapters, and what the package knows of them.

An exercise says in the metadata of the cell that asks it what it is worth, how long it takes (an estimate), how hard it
is and what checks it: ``{"exercise": {"id": "5.1", "points": 3, "minutes": 15, "level": 1, "by_hand": 1, "check":
["equilibrium_norm", "number"]}}``; a list of these where a cell asks several. Standard library only; the package is
read, and not imported.
"""

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "resnet_dynamics"

# Of chapters that do not have it in their metadata yet: what an exercise is, by its number.
LATER = {
    "10-open-questions": {
        1: dict(points=2, minutes=10, level=1, by_hand=2, check=[], mistakes=[
            "“Three times as many”: an interval falls as $1/\\sqrt n$."]),
        2: dict(points=2, minutes=10, level=2, by_hand=2, check=[], mistakes=[
            "“Decay adds to the gradient, so λ must be lower”: decay pulls along $w$, and turns nothing."]),
        3: dict(points=1, minutes=5, level=1, by_hand=1, check=[], mistakes=[
            "“One run each is too few”: more seeds do not mend a λ that was tuned for one of the two."]),
        4: dict(points=4, minutes=20, level=2, by_hand=4, check=[], mistakes=[
            "“At equilibrium both turn alike, so the ratio is 1”: the norms are those of the highest λ, and λ is not "
            "there yet."]),
    },
    "11-todays-optimizers": {
        1: dict(points=4, minutes=20, level=2, by_hand=0, check=["adamw"]),
        2: dict(points=4, minutes=20, level=2, by_hand=4, check=[], mistakes=[
            "“The step is λ, so the angle is $\\lambda/|w|$”: an update has $K$ entries of ±1, and the length "
            "$\\lambda\\sqrt K$."]),
        3: dict(points=3, minutes=15, level=2, by_hand=2, check=["number"]),
        4: dict(points=4, minutes=20, level=2, by_hand=1, check=["muon"]),
        5: dict(points=2, minutes=10, level=2, by_hand=2, check=[], mistakes=[
            "“Signs lose the size of the gradient, and decay has to make up for it”: the update of AdamW does not know "
            "it either."]),
        6: dict(points=6, minutes=30, level=3, by_hand=4, check=["number"]),
    },
    "11b-transformer": {
        1: dict(points=5, minutes=25, level=3, by_hand=5, check=[], mistakes=[
            "“$r$ and $1/r$, as with a ReLU”: the square makes $r^2$ of $r$."]),
        2: dict(points=4, minutes=20, level=3, by_hand=4, check=[], mistakes=[
            "“Yes, since a norm reads the stream”: the embedding is the head, too, and the softmax sees its length."]),
    },
}  # fmt: skip

# Where the hints of a check stand, if not in a function of its name in these modules.
QUESTIONS = ("questions", "further_questions")
HINTS = {"lars": ("optimizer_answers", ("MISTAKES",)),
         "invariant": ("network_answers", ("_HINTS", "_ADDED", "_FOLLOWED"))}  # fmt: skip


# ---------------------------------------------------------------------------------------------
# a chapter, taken apart

def number(name):
    """Return the number of a chapter, as a link has it: 5b of 05b-moving-target."""
    return re.match(r"0?(\d*b?)", name)[1]


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
                texts += 1
                more = f"-{texts}" if texts > 1 else ""
                metadata = {key: value for key, value in cell["metadata"].items() if key != "exercise"}
                found.append(cell | {"id": cell["id"] + more, "metadata": metadata, "source": text})
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
    chapter, numbers = number(name), [re.match(r"\*\*(\d+)", one)[1] for one in questions]
    told = cell["metadata"].get("exercise", [])
    told = told if isinstance(told, list) else [told]
    if not told:
        told = [{"id": f"{chapter}.{n}", **LATER[name][int(n)]} for n in numbers if int(n) in LATER.get(name, ())]
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
