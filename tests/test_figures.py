"""The figures of chapters as files: SVG with its text, PDF of one page, under the names of the book."""

import json
import re
import sys
from xml.etree import ElementTree

import gate
import pytest

sys.path.insert(0, str(gate.ROOT / "book"))
import _figures as figures  # noqa: E402


def code(name, source, *tags, **metadata):
    return {"cell_type": "code", "id": name, "metadata": {"tags": list(tags)} | metadata, "source": [source],
            "outputs": [], "execution_count": None}


def drawing(name, source):
    caption = f"The caption of {name}, from [the loop](01-training-loop.ipynb#the-loop)."
    return code(name, source, mystnb={"figure": {"name": f"fig-{name}", "caption": caption},
                                      "image": {"alt": "A line that goes up."}})


def chapter(*cells):
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": ["# 1. A line\n", "\nSome text."]}
    return {"cells": [title, *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


DRAW = "ax = plt.figure().gca()\nax.plot([1, 2])\nax.set_xlabel('weight decay')\nax.set_ylabel(r'$\\sqrt{2\\alpha}$')"
SMALL = chapter(code("a", "import matplotlib.pyplot as plt"), drawing("one", DRAW), code("b", "1 / 0", "answer"),
                code("c", "print(plt.rcParams['font.family'])"), drawing("two", DRAW), code("d", "1 / 0"))
BROKEN = chapter(code("a", "import matplotlib.pyplot as plt"), drawing("three", DRAW), drawing("four", "1 / 0"))


def project(folder, **chapters):
    """A project whose book has these chapters."""
    (folder / "book").mkdir(parents=True)
    for name in ("_config.yml", "pyproject.toml"):
        (folder / name).write_bytes((gate.ROOT / name).read_bytes())
    for name, notebook in chapters.items():
        (folder / "book" / f"{name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The files of a small chapter, and those of one that fails: up to its last figure, both, and without answers."""
    root = project(tmp_path_factory.mktemp("project"), broken=BROKEN, small=SMALL)
    return root / "drawn", figures.write(root / "drawn", root=root)


def test_every_figure_is_there_under_its_name_and_what_fails_is_named(drawn):
    folder, wrong = drawn
    assert {path.name for path in folder.iterdir()} == {"README.md", *(
        f"fig-{name}.{kind}" for name in ("one", "two") for kind in ("svg", "pdf"))}
    assert wrong == ["broken, cell four: ZeroDivisionError: division by zero"]


def test_an_svg_is_white_and_its_text_is_text(drawn):
    root = ElementTree.fromstring((drawn[0] / "fig-one.svg").read_text(encoding="utf-8"))
    texts = ["".join(one.itertext()).strip() for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "weight decay" in texts and any("α" in one for one in texts)
    background = next(one for one in root.iter() if one.get("id") == "patch_1")
    assert "fill: #ffffff" in background[0].get("style")


def test_a_pdf_is_one_page_with_its_letters(drawn):
    content = (drawn[0] / "fig-two.pdf").read_bytes()
    assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 1 and b"/FontFile2" in content


def test_the_list_has_captions_of_what_is_there(drawn):
    text = (drawn[0] / "README.md").read_text(encoding="utf-8")
    pages = gate.repository.pages(gate.repository.read())
    assert text.count("## [") == 1 and f"## [1. A line]({pages}book/small.html)" in text
    for name in ("one", "two"):
        assert (f"**[fig-{name}.svg](fig-{name}.svg), [.pdf](fig-{name}.pdf).** The caption of {name}, from "
                f"[the loop]({pages}book/01-training-loop.html#the-loop).\n\n*Seen:* A line that goes up.") in text


def test_a_cell_that_draws_nothing_is_named():
    cell = gate.nbformat.from_dict(drawing("one", "") | {"outputs": []})
    with pytest.raises(RuntimeError, match="small, cell one: must show one figure, as SVG and PDF, and shows 0"):
        figures.pictures(cell, "small")


def test_an_unknown_chapter_is_named(tmp_path):
    with pytest.raises(SystemExit, match="no chapter with figures: five; there are 01-training-loop, .*11b"):
        figures.write(tmp_path, ["five"])


def test_names_of_figures_are_names_of_files():
    names = [figures.figure(cell)["name"] for one in figures.chapters().values() for cell in one["cells"]
             if figures.figure(cell)]
    assert len(names) > 80 and all(re.fullmatch(r"fig-[0-9a-z-]+", name) for name in names)
