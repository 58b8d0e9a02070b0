"""The edition of a chapter for places that show the notebook alone: Colab, Kaggle, VS Code.

A chapter is written for the built page. Where only the notebook is opened, three things of it are lost, and one is too
much; the edition, made from the chapter, mends them.

- Captions are in the metadata of cells. Here each stands as text under its figure.
- Links between chapters are relative. Here they lead to the published book.
- What is opened should stay what it is. The setup cell names the release, as in the chapter, and a line under the title
  says which one.
- ``Run all`` would print every computed answer. Here each is behind a switch, ``show_answer = False``.

``python book/_colab.py FOLDER`` writes all editions. Nothing else is needed, so that a release can make them in a
second; the build of the book writes them too (book/_extensions/editions.py). Standard library only.
"""

import ast
import copy
import functools
import inspect
import json
import posixpath
import re
import sys
import textwrap
import unicodedata
from pathlib import Path

import _repository as repository

ROOT = repository.ROOT

ABOUT = """\
*This notebook is a page of [Weight Decay in Motion]({page}), as of {ref}, for where it is opened alone. Each figure has
its caption under it. What computes the answer to an exercise stands behind a switch: Run all leaves it off, and an
answer in words is folded.*"""

# Colab shows these lines as a title and a box to tick, and folds the code behind them.
SWITCH = """\
# @title {title}
show_answer = False  # @param {{type:"boolean"}}
if show_answer:
"""


def edition(chapter, path, url, ref):
    """Return the edition of `chapter`, a notebook as JSON has it, which is stored as `path` in the repository."""
    made = copy.deepcopy(chapter)
    cells = []
    for cell in made["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = absolute(cell["source"], path, url)
        elif "answer" in cell["metadata"].get("tags", []):
            cell["source"] = switched(cell["source"], cell["id"])
            cell["metadata"]["cellView"] = "form"
        cells.append(cell)
        if figure := cell["metadata"].get("mystnb", {}).get("figure"):
            cells.append(text(f"{cell['id']}-caption", "**Figure.** " + absolute(figure["caption"], path, url)))
    cells.insert(1, text("edition", ABOUT.format(page=address(path, url), ref=ref)))
    for cell in cells:
        cell["source"] = cell["source"].splitlines(keepends=True)
    return made | {"cells": cells}


def address(path, url):
    """Return where the page is published that the file `path` of the repository is built to."""
    return repository.pages(url) + re.sub(r"\.\w+$", ".html", path)


def text(name, source):
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def absolute(markdown, path, url):
    """Return Markdown whose links to pages of the book are addresses.

    A link without a page, ``#place``, gets one as well: Colab does not follow it. A relative link to something that is
    no page has no address, and is an error.
    """

    def whole(found):
        place, _, anchor = found[1].partition("#")
        if re.match(r"[a-z]+:", place):
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), place)) if place else path
        if not (target.endswith((".ipynb", ".md")) and (ROOT / target).is_file()):
            raise ValueError(f"{path}: the link {found[1]!r} leads to no page of the book")
        return f"]({address(target, url)}{anchor and '#'}{places(target).get(anchor, anchor)})"

    if local := re.search(r"""(?:href|src)=["'](?![a-z]+:)[^"']*""", markdown):
        raise ValueError(f"{path}: {local[0]}: a relative address in HTML; write the link as Markdown")
    return re.sub(r"\]\(([^)\s]+)\)", whole, markdown)


@functools.cache
def places(path):
    """Return {place: id} of the headings of a file: how a link names them, and how the built page does.

    They differ where signs stand between letters: to "What $c(t)$ adds" leads #what-ct-adds, and its id is
    what-c-t-adds. The first is GitHub's way, the second that of docutils.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    found = {}
    for heading in re.findall(r"^#+ +(.*?) *$", text.lower(), re.M):
        plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
        made = re.sub(r"^[-0-9]+|-+$", "", re.sub(r"[^a-z0-9]+", "-", plain))
        found[re.sub(r"[^\w -]", "", heading).replace(" ", "-")] = made
    return found


def switched(source, name):
    """Return the code of an answer behind its switch.

    A cell shows the value of its last line. Inside of an ``if`` it would not, so it is displayed there.
    """
    title, code = re.fullmatch(r"(?:# ?@title (.*)\n)?((?:.|\n)*)", source).groups()
    lines, statements = code.splitlines(), ast.parse(code).body
    last = statements[-1]
    if isinstance(last, ast.Expr) and not silent(last.value):
        first, *more = lines[last.lineno - 1:last.end_lineno]
        shown = [f"display({first}", *(" " * len("display(") + line for line in more)]
        lines[last.lineno - 1:last.end_lineno] = [*shown[:-1], shown[-1] + ")"]
        last.value = ast.Call(ast.Name("display", ast.Load()), [last.value], [])
    made = SWITCH.format(title=title or "The answer, computed") + textwrap.indent("\n".join(lines), "    ")
    if meaning(ast.parse(made).body[1].body) != meaning(statements):
        raise ValueError(f"cell {name}: a string over several lines cannot be indented; write several")
    return made


def silent(value):
    """Whether the value of an expression is None, as that of print(...) and plt.show() is."""
    called = getattr(value, "func", None)
    return getattr(called, "id", getattr(called, "attr", None)) in ("print", "show")


def meaning(statements):
    """Return the syntax of statements, without places and the indentation of docstrings."""
    for node in ast.walk(ast.Module(statements, [])):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = inspect.cleandoc(node.value.value)
    return [ast.dump(one) for one in statements]


def editions(root=ROOT):
    """Yield (name, edition) of every notebook of the book."""
    url, ref = repository.read(root), repository.ref(root)
    for path in sorted((root / "book").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            chapter = json.loads(path.read_text(encoding="utf-8"))
            yield path.stem, edition(chapter, path.relative_to(root).as_posix(), url, ref)


def write(folder, root=ROOT):
    """Write all editions into `folder`; return their files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, made in editions(root):
        files.append(folder / f"{name}.ipynb")
        files[-1].write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return files


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python book/_colab.py FOLDER")
    for file in write(Path(sys.argv[1])):
        print(file)
