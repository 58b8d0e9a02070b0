"""Slides of a chapter, from the chapter: its questions, formulas and figures, and its words as notes for the speaker.

Which cells are slides is said in their metadata, as Jupyter does it: ``slideshow.slide_type`` is ``slide``, or
``fragment`` (comes up on the slide before), or ``notes`` (is added to the notes of the slide before). All other cells
are skipped. ``slide`` beside it says the rest:

- ``title``: the heading of the slide, if not that of the cell.
- ``minutes``: how long it takes, an estimate.
- ``text``: Markdown in the place of the words of the cell, where those are too long to be shown. A formula is the
  cell's: the line ``[formula 2]`` stands for its second.
- ``from``: of a cell that makes several slides, ``slide`` is a list; each but the first says with which words of the
  cell it begins. Of a cell of code they may show the same.
- ``part``: of a picture of several panels, what is shown: from and to which share of its height, and then, if need
  be, of its width, as [0, 0.5].

A cell of code shows the picture of the book that was built last, and beside it ``text``, or what its caption says of
how to read it; a widget shows its still picture, and the address where it moves. Notes are the words of the cell in
full; those of a figure the words before it, which no slide has, and its caption. Standard library only; what the pages
need beside them is copied: reveal.js, and MathJax from the built book.
"""

import base64
import hashlib
import json
import re
import shutil
import struct
from html import escape
from pathlib import Path
from typing import NamedTuple

import _colab as colab
import _markdown as markdown
from _exercises import Exercise, parts

ROOT = colab.ROOT
FILES = Path(__file__).with_name("_slides")

KEYS = ("title", "minutes", "text", "from", "part")
LONG = 130  # words; more nobody reads on a slide

# Pixels of a slide, 1280 × 720: a picture beside words, that of a widget, and a flat one above its words.
BESIDE, STILL, ABOVE = (830, 570), (830, 520), (1180, 420)

# For a guest in somebody else's lecture, out of several chapters: name: (title, question, [(chapter, cell, which of its
# slides, minutes)]), and, where that of the chapter needs the chapter, another title.
SHORT = {
    "twenty-minutes": (
        "Twenty minutes on weight decay",
        "Batch norm makes a network blind to the length of its weights. What, then, does weight decay do?",
        [("03-scale-symmetry", "cell-03", 0, 2), ("03-scale-symmetry", "keep-3-next", 1, 2),
         ("03-scale-symmetry", "cell-08", 0, 2), ("03-scale-symmetry", "cell-10", 0, 3),
         ("03-scale-symmetry", "fig-triangle", 0, 2), ("05-equilibrium", "keep-5-next", 1, 3),
         ("05-equilibrium", "fig-crossing", 0, 2),
         ("06-lars", "ch06-fig5", 0, 3, "Measured: eight layers, and one line that knows λ and α alone"),
         ("05-equilibrium", "cell-50", 0, 1)]),
}  # fmt: skip


class Slide(NamedTuple):
    """One slide."""

    cell: str  # the id of its cell
    title: str  # Markdown
    body: str  # HTML
    notes: str  # HTML
    minutes: int
    look: str  # "first", "words" or "picture"


# ---------------------------------------------------------------------------------------------
# a chapter, taken apart

def slides(chapter, path, outputs, url):
    """Return the slides of a chapter.

    Args:
        chapter: the notebook, as JSON has it.
        path: where it is stored in the repository.
        outputs: {id: cell} of the built chapter (_teach.built).
        url: of the repository.
    """
    made, inside, place, before, name = [], False, "", "", Path(path).stem

    def address(link):
        return re.fullmatch(r"\[\]\((.*)\)", colab.absolute(f"[]({link})", path, url))[1]

    for cell in parts(chapter, name):
        if not isinstance(cell, Exercise) and cell["cell_type"] == "markdown":
            for heading in re.findall(r"^#+ +(.*?) *$", cell["source"], re.M):
                place = "#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        inside = inside or isinstance(cell, Exercise)
        kind = {} if isinstance(cell, Exercise) else cell["metadata"].get("slideshow", {})
        kind = kind.get("slide_type", "skip")
        if kind in ("skip", "-", "") or cell["id"].endswith("-2"):  # the second part is the heading of exercises
            before = before if isinstance(cell, Exercise) or cell["cell_type"] == "code" else cell["source"]
            continue
        where = f"{name}, cell {cell['id']}"
        if inside:
            raise ValueError(f"{where}: exercises and their answers are no slides")
        if kind not in ("slide", "fragment", "notes") or (kind != "slide" and not made):
            raise ValueError(f"{where}: slide_type {kind!r} must be slide, fragment, notes or skip, the first a slide")
        if kind == "notes":
            last = made[-1]
            first = re.split(r"(?m)^(?=#+ )", cell["source"])[0]  # what follows is of another section
            before = cell["source"] if first and first != cell["source"] else ""
            made[-1] = last._replace(notes=last.notes + said(cell | {"source": first or cell["source"]}, address))
            continue
        for told, source in spans(cell, where):
            one = slide(cell, told, source, outputs, where, address, address(place))
            if cell["cell_type"] == "code":  # what leads to a figure, if it is not on a slide itself
                lead = said({"cell_type": "markdown", "source": last_part(before)}, address)
                one = one._replace(notes=lead + one.notes)
            before = ""
            if kind == "slide":
                made.append(one._replace(look=one.look if made else "first"))
            else:
                last = made[-1]
                made[-1] = last._replace(body=f'{last.body}<div class="fragment">{one.body}</div>',
                                         notes=last.notes + one.notes, minutes=last.minutes + one.minutes)
    return made


def spans(cell, where):
    """Yield (what is told of a slide, the part of the cell that it is of)."""
    told = cell["metadata"].get("slide", {})
    told = told if isinstance(told, list) else [told]
    if cell["cell_type"] == "code":
        yield from ((one, cell["source"]) for one in told)
        return
    starts = [0] + [cell["source"].find(one.get("from", "\0")) for one in told[1:]] + [len(cell["source"])]
    if starts != sorted(starts) or -1 in starts:
        raise ValueError(f"{where}: 'from' of each slide but the first must be words of the cell, in their order")
    for one, start, end in zip(told, starts, starts[1:]):
        yield one, cell["source"][start:end]


def slide(cell, told, source, outputs, where, address, live):
    """Return the slide of a cell, or of a part of it; `live` is the address at which a widget of it moves."""
    if unknown := told.keys() - {*KEYS}:
        raise ValueError(f"{where}: slide has {', '.join(sorted(unknown))}; it may have {', '.join(KEYS)}")
    if cell["cell_type"] == "code":
        body, look = shown(cell, told, outputs, where, address, live)
    else:
        body, look = words(source, told.get("text"), where, address), "words"
    heading = re.search(r"^#+ +(.*)$", source, re.M)
    title = told.get("title", heading and heading[1])
    if not title and cell["metadata"]["slideshow"]["slide_type"] == "slide":
        raise ValueError(f"{where}: a slide needs a title, as the cell has no heading")
    return Slide(cell["id"], title or "", body, said(cell | {"source": source}, address), told.get("minutes", 0), look)


def words(source, text, where, address):
    """Return what a slide shows of a cell of Markdown: its words, or `text` in their place, and its formulas."""
    found = [(kind, block) for kind, block in markdown.blocks(source) if kind != "heading"]
    formulas = [block for kind, block in found if kind == "formula"]
    if text is None:
        count = sum(len(block.split()) for kind, block in found if kind != "formula")
        if count > LONG:
            raise ValueError(f"{where}: {count} words are too many for a slide; write a text for it")
        return markdown.html("\n\n".join(block for _, block in found), address)

    def formula(found):
        if not 1 <= int(found[1]) <= len(formulas):
            raise ValueError(f"{where}: the text asks for formula {found[1]}, and the cell has {len(formulas)}")
        return formulas[int(found[1]) - 1]

    return markdown.html(re.sub(r"(?m)^\[formula (\d+)\]$", formula, text), address)


def said(cell, address):
    """Return the words of a cell as notes: Markdown without its heading, and the caption of a figure."""
    if cell["cell_type"] == "markdown":
        found = [block for kind, block in markdown.blocks(cell["source"]) if kind != "heading"]
        return markdown.html("\n\n".join(found), address)
    return markdown.html(cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", ""), address)


def last_part(source):
    """Return what Markdown says below its last heading."""
    return re.split(r"(?m)^#+ .*$", source)[-1]


# ---------------------------------------------------------------------------------------------
# what a cell of code shows

def shown(cell, told, outputs, where, address, live):
    """Return what a slide shows of a cell of code, words and what the built book shows; and its look."""
    text, part = told.get("text"), told.get("part", [0, 1])
    built = outputs.get(cell["id"])
    if not built or built["source"] != cell["source"]:
        raise ValueError(f"{where}: the book was not built with it; make book does that")
    data = {kind: "".join(value) for output in built["outputs"] for kind, value in output.get("data", {}).items()
            if isinstance(value, str | list)}
    html, figure, below = data.get("text/html", ""), cell["metadata"].get("mystnb", {}), ""
    still = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]*)"', html)
    if "image/png" in data:
        picture, look = image(data["image/png"], escape(figure.get("image", {}).get("alt", "")), BESIDE, part)
        text = to_read(figure.get("figure", {}).get("caption", "")) if text is None else text
    elif still:
        picture, look = image(still[1], still[2], STILL, part)
        below = f'<p class="live">It moves at <a href="{live}">{live.removeprefix("https://")}</a></p>'
    elif table := re.search(r"<table>.*?</table>", html, re.S):
        return markdown.html(text or "", address) + re.sub(r"<caption>.*?</caption>", "", table[0], flags=re.S), "words"
    else:
        printed = "".join("".join(output.get("text", "")) for output in built["outputs"])
        return markdown.html(text or "", address) + f"<pre>{escape(printed.rstrip())}</pre>", "words"
    read = f'<div class="read">{markdown.html(text, address)}</div>' if text else ""
    return f'<div class="shown {look}">{picture}{read}</div>{below}', "picture"


def to_read(caption):
    """Return what a caption says of how to read its figure; if it says nothing of that, the caption."""
    read = caption.partition("*How to read it:* ")[2] or caption
    return read[:1].upper() + read[1:]


def image(code, alt, room, part):
    """Return a picture as HTML, as large as a slide has room for it, and where its words are: beside or below.

    Args:
        code: the PNG, in base64.
        alt: what it shows, as HTML.
        room: (width, height) in pixels, if the words stand beside it.
        part: [top, bottom, left, right] of what is shown, as shares of the height and the width.
    """
    picture = base64.b64decode(code)
    width, height = struct.unpack(">II", picture[16:24])  # of the PNG's header
    top, bottom, left, right = [*part, 0, 1][:4]
    wide, tall = width * (right - left), height * (bottom - top)
    look, (most, highest) = ("above", ABOVE) if wide > 2 * tall else ("beside", room)
    scale = min(most / wide, highest / tall)
    place = f"margin: -{scale * height * top:.0f}px 0 0 -{scale * width * left:.0f}px"
    return (f'<div class="cut" style="width: {scale * wide:.0f}px; height: {scale * tall:.0f}px">'
            f'<img src="data:image/png;base64,{base64.b64encode(picture).decode()}" alt="{alt}" '
            f'width="{scale * width:.0f}" height="{scale * height:.0f}" style="{place}"></div>'), look


def sharp(cells, folder):
    """Return the cells of a built chapter with larger pictures, where `folder` has them (sharp_figures.py)."""
    for output in (one for cell in cells.values() for one in cell["outputs"] if "image/png" in one.get("data", {})):
        small = base64.b64decode("".join(output["data"]["image/png"]))
        large = folder / f"{hashlib.sha256(small).hexdigest()}.png"
        if large.is_file():
            output["data"]["image/png"] = base64.b64encode(large.read_bytes()).decode()
    return cells


# ---------------------------------------------------------------------------------------------
# a deck, put together

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="deck.css">
<script defer src="deck.js"></script>
<script defer src="mathjax/tex-svg-full.js"></script>
<script defer src="reveal/reveal.js"></script>
<script defer src="reveal/notes.js"></script>
</head>
<body>
<div class="reveal"><div class="slides">
{slides}
</div></div>
</body>
</html>
"""

SECTION = """\
<section class="{look}" id="{place}">
<h2>{title}</h2>
<div class="body">
{body}
</div>
{foot}<aside class="notes">
<p><strong>{minutes} min, from {begins} to {ends}.</strong></p>
{notes}
</aside>
</section>"""


def page(title, made, foot):
    """Return a deck as HTML. `foot` stands at the foot of its first slide."""
    sections, begins = [], 0
    for i, one in enumerate(made):
        ends = begins + one.minutes
        sections.append(SECTION.format(
            **one._asdict() | {"title": markdown.line(one.title)}, place=f"{one.cell}-{i + 1}",
            begins=begins, ends=ends, foot=f'<p class="foot">{foot}</p>\n' if not i else ""))
        begins = ends
    return PAGE.format(title=escape(title), slides="\n".join(sections))


def decks(outputs, root=ROOT):
    """Yield (name, title, slides, foot) of every deck; `outputs` is {name of a chapter: {id: built cell}}."""
    url, found = colab.repository.read(root), {}
    for path in sorted((root / "book").glob("*.ipynb")):
        chapter = json.loads(path.read_text(encoding="utf-8"))
        where = path.relative_to(root).as_posix()
        if made := slides(chapter, where, outputs.get(path.stem, {}), url):
            found[path.stem] = made
            link = colab.address(where, url)
            yield path.stem, made[0].title, made, f'<a href="{link}">{link.removeprefix("https://")}</a>'
    home = colab.repository.pages(url)
    for name, (title, question, picked) in SHORT.items():
        made = []
        for chapter, cell, which, minutes, *other in picked:
            one = [one for one in found[chapter] if one.cell == cell][which]
            made.append(one._replace(minutes=minutes, title=other[0] if other else one.title))
        first = Slide("title", title, markdown.html(question), "", 0, "first")
        yield name, title, [first, *made], f'<a href="{home}">{home.removeprefix("https://")}</a>'


def mathjax(root):
    return root / "_build" / "html" / "_static" / "mathjax" / "tex-svg-full.js"


def possible(root=ROOT):
    """Whether a book is built, of which slides have their figures, and MathJax."""
    return mathjax(root).is_file() and (root / "_build" / "jupyter_execute").is_dir()


def write(folder, outputs, root=ROOT):
    """Write all decks into `folder`, with all that they load; return their files."""
    shutil.copytree(FILES, folder)
    (folder / "mathjax").mkdir()
    shutil.copy(mathjax(root), folder / "mathjax")
    files = []
    outputs = {name: sharp(cells, root / "_build" / "pictures") for name, cells in outputs.items()}
    for name, title, made, foot in decks(outputs, root):
        files.append(folder / f"{name}.html")
        files[-1].write_text(page(title, made, foot), encoding="utf-8")
    return files
