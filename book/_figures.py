"""Every figure of the chapters as a file for slides of one's own: SVG and PDF, under the name that the book has for it.

A chapter is executed as the build does it, up to its last figure and without the answers to exercises, which no later
cell needs. Matplotlib draws each figure twice in place of once: as SVG, whose text stays text, and as PDF of one page
with its letters inside. Both are white behind. The captions are in README.md beside them.

``python book/_figures.py FOLDER [CHAPTER ...]`` writes the figures of some chapters, or of all, which takes the minutes
of a build. The package and what runs notebooks have to be installed.
"""

import base64
import json
import re
import sys
import tempfile
import time
from pathlib import Path

import _colab as colab
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = colab.ROOT
TIMEOUT = 900  # seconds a cell, as in the build
KINDS = {"svg": "image/svg+xml", "pdf": "application/pdf"}

# The inline backend draws a figure in every format that it is told; no cell of a chapter says another.
FIRST = """\
%matplotlib inline
%config InlineBackend.figure_formats = {"svg", "pdf"}
import matplotlib

matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "figures", "pdf.fonttype": 42})"""

ABOUT = """\
# Figures of Weight Decay in Motion

From the book [Weight Decay in Motion]({page}), as of {ref}, by {authors}. License:
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); a line with the title and the address is enough.

The text of an SVG is text, in DejaVu Sans where that is installed and else in a similar font; change it as you like. A
PDF has its letters inside and looks the same everywhere. *Seen* is what an image says to who does not see it.
"""


def chapters(root=ROOT):
    """Return {name: notebook as JSON has it} of the chapters that have figures."""
    paths = sorted((root / "book").glob("*.ipynb"))
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    return {name: chapter for name, chapter in found.items() if any(map(figure, chapter["cells"]))}


def figure(cell):
    """Return what a cell says of its figure, {"name", "caption"}, or None."""
    return cell["metadata"].get("mystnb", {}).get("figure")


def drawn(chapter, name):
    """Execute a chapter as far as its last figure; return {figure: {"svg": bytes, "pdf": bytes}}, in their order.

    Raises:
        RuntimeError: says which cell of the chapter fails, or draws anything but one picture.
    """
    cells = [cell for cell in chapter["cells"] if cell["cell_type"] == "code"
             and "answer" not in cell["metadata"].get("tags", [])]
    last = max(i for i, cell in enumerate(cells) if figure(cell))
    first = nbformat.v4.new_code_cell(FIRST, id="formats")
    joined = [cell | {"source": "".join(cell["source"])} for cell in cells[:last + 1]]
    notebook = nbformat.from_dict(chapter | {"cells": [first, *joined]})
    with tempfile.TemporaryDirectory() as folder:  # nothing but the package is there, as in the tests
        client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", allow_errors=False,
                                resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            here = next((cell.id for cell in notebook.cells if cell.get("execution_count") is None
                         or any(one.output_type == "error" for one in cell.get("outputs", []))), "?")
            raised = isinstance(error, CellExecutionError)
            said = f"{error.ename}: {error.evalue}" if raised else f"{type(error).__name__}: {error}"
            raise RuntimeError(f"{name}, cell {here}: {said}") from error
    return {figure(cell)["name"]: pictures(cell, name) for cell in notebook.cells if figure(cell)}


def pictures(cell, name):
    """Return {"svg": bytes, "pdf": bytes} of an executed cell that draws one figure."""
    shown = [one.data for one in cell.outputs if any(kind in one.get("data", {}) for kind in KINDS.values())]
    if len(shown) != 1 or not {*KINDS.values()} <= shown[0].keys():
        raise RuntimeError(f"{name}, cell {cell.id}: must show one figure, as SVG and PDF, and shows {len(shown)}")
    return {"svg": shown[0][KINDS["svg"]].encode(), "pdf": base64.b64decode(shown[0][KINDS["pdf"]])}


def listed(folder, root=ROOT):
    """Return README.md of a folder: the figures whose files are there, with their captions, chapter by chapter."""
    url, ref = colab.repository.read(root), colab.repository.ref(root)
    authors = re.search(r"^author: (.*)$", (root / "_config.yml").read_text(encoding="utf-8"), re.M)[1]
    lines = [ABOUT.format(page=colab.repository.pages(url), ref=ref, authors=authors)]
    for name, chapter in chapters(root).items():
        have = [cell for cell in chapter["cells"] if figure(cell)]
        there = [cell for cell in have if (folder / f"{figure(cell)['name']}.svg").is_file()]
        title = "".join(chapter["cells"][0]["source"]).splitlines()[0].removeprefix("# ")
        path = f"book/{name}.ipynb"
        lines += [f"## [{title}]({colab.address(path, url)})\n"] * bool(there)
        for cell in there:
            file, caption = figure(cell)["name"], colab.absolute(figure(cell)["caption"], path, url)
            lines.append(f"**[{file}.svg]({file}.svg), [.pdf]({file}.pdf).** {caption}\n\n"
                         f"*Seen:* {cell['metadata']['mystnb']['image']['alt']}\n")
    return "\n".join(lines)


def write(folder, names=(), root=ROOT):
    """Write the figures of the chapters `names`, or of all, and README.md; say how it goes. Return what went wrong.

    A figure is written when its chapter is done, so what was made stays where a later chapter fails.
    """
    have, wrong = chapters(root), []
    if unknown := [name for name in names if name not in have]:
        raise SystemExit(f"no chapter with figures: {', '.join(unknown)}; there are {', '.join(have)}")
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or have:
        start = time.monotonic()
        print(f"{name}: ", end="", flush=True)
        try:
            made = drawn(have[name], name)
        except RuntimeError as error:
            print(f"failed. {error}", flush=True)
            wrong.append(str(error))
            continue
        for file, kinds in made.items():
            for kind, content in kinds.items():
                (folder / f"{file}.{kind}").write_bytes(content)
        (folder / "README.md").write_text(listed(folder, root), encoding="utf-8")
        print(f"{len(made)} figure{'s' * (len(made) > 1)}, {time.monotonic() - start:.0f} s", flush=True)
    return wrong


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("usage: python book/_figures.py FOLDER [CHAPTER ...]")
    if failed := write(Path(sys.argv[1]), sys.argv[2:]):
        raise SystemExit("Not all figures were drawn:\n" + "\n".join(failed))
