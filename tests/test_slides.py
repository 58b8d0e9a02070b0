"""Slides (book/_slides.py): they are the chapters' own, without answers, and nothing runs over the edge of one."""

import base64
import html
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import gate
import pytest
import teaching
from matplotlib.figure import Figure
from screen import requests

from resnet_dynamics import exercises

sys.path[:0] = [str(gate.ROOT / "book"), str(gate.ROOT / "book" / "_extensions")]
import _markdown as markdown  # noqa: E402
import _slides as slides  # noqa: E402
import _teach as teach  # noqa: E402
import sharp_figures  # noqa: E402

CHAPTERS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in gate.CHAPTERS}
URL = gate.repository.read()


def png(width, height):
    """Return the beginning of a picture: its size is read, and nothing else."""
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return base64.b64encode(head).decode()


def built(chapter, data=None):
    """Return a built chapter of which every cell shows the same."""
    return {one["id"]: {"source": teaching.source(one), "outputs": [{"data": data or {"image/png": png(511, 331)}}]}
            for one in chapter["cells"] if one["cell_type"] == "code"}


DECKS = {name: (title, made) for name, title, made, _ in slides.decks(
    {name: built(chapter) for name, chapter in CHAPTERS.items()})}
EACH = pytest.mark.parametrize("name", DECKS)


def cell(source="", told=None, kind="slide", **more):
    metadata = {"slideshow": {"slide_type": kind}} | ({"slide": told} if told is not None else {})
    return {"cell_type": "markdown", "id": "a", "metadata": metadata, "source": [source]} | more


def made_of(*cells, data=None):
    cells = [one | {"id": f"c{i}"} for i, one in enumerate(cells)]
    return slides.slides({"cells": cells}, "book/05-equilibrium.ipynb", built({"cells": cells}, data), URL)


# ---------------------------------------------------------------------------------------------
# Markdown

@pytest.mark.parametrize("text, made", [
    ("a *b* **c** `d*e*`", "<p>a <em>b</em> <strong>c</strong> <code>d*e*</code></p>"),
    ("is it $a_*b_*<c$?", r'<p>is it <span class="whole">\(a_*b_*&lt;c\)?</span></p>'),
    ("> **T.** a\n> b", "<p><strong>T.</strong> a\nb</p>"),
    ("- a\n  b\n- c", "<ul><li>a\n  b</li><li>c</li></ul>"),
    ("2. a\n\n3. b", '<ol start="2"><li>a</li><li>b</li></ol>'),
    ("[a](x.md#y)", '<p><a href="x.md#y">a</a></p>'),
    ("| a | b |\n|---|---|\n| $\\lvert c\\rvert$ | d |",
     "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr>"
     r'<td><span class="whole">\(\lvert c\rvert\)</span></td><td>d</td></tr></tbody></table>'),
    ("$$ a < b , $$", r'<div class="formula">\[ a &lt; b \]</div>'),
    ("$$ a . \\tag{2'} $$", r'''<div class="formula">\[ a \tag{$2'$} \]</div>'''),
    ("$$ a\\, $$", r'<div class="formula">\[ a\, \]</div>'),
    ("\\begin{align*} a &= b . \\end{align*}", r'<div class="formula">\begin{align*} a &amp;= b \end{align*}</div>'),
    ("```\na < b\n```", "<pre>a &lt; b</pre>")])
def test_markdown(text, made):
    assert markdown.html(text) == made


# ---------------------------------------------------------------------------------------------
# which cells, and what of them

def test_a_slide_is_a_cell_and_its_notes_are_all_its_words():
    one, two = made_of(
        cell("# T\n\nWhy? $a$\n\n$$ b $$", {"minutes": 2}), cell("left out", kind="skip"), cell("more", kind="notes"),
        cell("## U\n\nLong words.\n\n$$ c $$\n\n$$ d $$", {
            "text": "Short.\n\n[formula 2]", "title": "V", "minutes": 1}),
        cell("### W\n\nLater.", {"minutes": 1}, "fragment"))
    assert (one.title, one.look, one.minutes, two.title, two.look, two.minutes) == ("T", "first", 2, "V", "words", 2)
    assert one.notes == one.body + "<p>more</p>" and r"\[ b \]" in one.body
    assert two.body == ('<p>Short.</p>\n<div class="formula">\\[ d \\]</div>'
                        '<div class="fragment"><p>Later.</p></div>')
    assert "Long words." in two.notes and r"\[ c \]" in two.notes and "Later." in two.notes


def test_a_cell_that_makes_several_slides_is_cut_where_it_says():
    told = [{"minutes": 1}, {"from": "## B", "text": "[formula 1]", "minutes": 1}]
    one, two = made_of(cell("# A\n\na\n\n$$ 1 $$\n\n## B\n\nb\n\n$$ 2 $$", told))
    assert (one.title, two.title) == ("A", "B") and r"\[ 1 \]" in one.body and r"\[ 2 \]" in two.body
    assert "b" not in one.notes.replace("<div", "") and "<p>b</p>" in two.notes


CODE = dict(cell_type="code", outputs=[], execution_count=None)
FIGURE = {"mystnb": {"figure": {"caption": "What it is. *How to read it:* look."}, "image": {"alt": "<A>"}}}


def test_a_figure_is_the_built_one_with_what_to_look_at():
    one = cell("1", {"title": "T", "minutes": 1}, **CODE)
    one["metadata"] |= FIGURE
    (made,) = made_of(one)
    assert f'src="data:image/png;base64,{png(511, 331)}" alt="&lt;A&gt;" width="830" height="538"' in made.body
    assert '<div class="read"><p>Look.</p></div>' in made.body and "What it is." in made.notes
    one["metadata"]["slide"] |= {"part": [0.5, 1]}
    (made,) = made_of(one, data={"image/png": png(500, 1000)})
    assert 'style="width: 570px; height: 570px"' in made.body
    assert 'height="1140" style="margin: -570px 0 0 -0px"' in made.body


def test_a_widget_is_a_still_picture_and_an_address():
    element = f'<x-y>\n<figure>\n<img src="data:image/png;base64,{png(600, 400)}" alt="A." style="">\n</figure></x-y>'
    made = made_of(cell("# T\n\n### Kick it", {}), cell("1", {"title": "U"}, **CODE), data={"text/html": element})[1]
    address = gate.repository.pages(URL) + "book/05-equilibrium.html#kick-it"
    assert 'alt="A." width="780" height="520"' in made.body and f'<a href="{address}">' in made.body


@pytest.mark.parametrize("cells, said", [
    ([cell("a", {})], "cell c0: a slide needs a title"),
    ([cell("a", kind="notes")], "slide_type 'notes' must be slide, fragment, notes or skip, the first a slide"),
    ([cell("# a", {}), cell("b", kind="subslide")], "slide_type 'subslide' must be"),
    ([cell("# a\n\n" + "b " * 131, {})], "131 words are too many for a slide; write a text for it"),
    ([cell("# a", {"txt": "b"})], "slide has txt; it may have title, minutes, text, from, part"),
    ([cell("# a\n\nb\n\nc", [{}, {"from": "d"}])], "'from' of each slide but the first must be words of the cell"),
    ([cell("# a\n\nb", {"text": "[formula 1]"})], "the text asks for formula 1, and the cell has 0"),
    ([cell("# a\n\n## Exercises\n\n**1.** Why?\n\n<details>\n\nSo.\n\n</details>", exercise={}, metadata={
        "exercise": {"id": "1.1", "points": 1, "minutes": 5, "level": 1, "by_hand": 1, "check": []}}),
      cell("1", {"title": "b"}, **CODE) | {"metadata": {"tags": ["answer"], "slideshow": {"slide_type": "slide"}}}],
     "must be")])
def test_what_cannot_be_a_slide_is_named(cells, said):
    if said == "must be":  # an answer is part of its exercise, so its metadata are never looked at
        assert made_of(*cells) == []
        return
    with pytest.raises(ValueError, match=re.escape(said)):
        made_of(*cells)


def test_a_book_of_another_state_is_named():
    one = cell("1", {"title": "T"}, **CODE) | {"id": "c0"}
    with pytest.raises(ValueError, match="05-equilibrium, cell c0: the book was not built with it; make book does"):
        slides.slides({"cells": [one]}, "book/05-equilibrium.ipynb", {"c0": {"source": "2", "outputs": []}}, URL)


# ---------------------------------------------------------------------------------------------
# the decks

def plain(name):
    """Return all that a deck says, as Markdown has it."""
    title, made = DECKS[name]
    text = re.sub(r"base64,[^\"]*", "", slides.page(title, made, ""))
    return re.sub(r"\\[()]", "$", re.sub(r"\\[\[\]]", "$$", html.unescape(re.sub(r"<[^>]*>", " ", text))))


def leaks(text, name):
    """Return the rows of words that a text has of an answer; rows of signs are in many formulas."""
    shown = [one.asks for one in exercises.EXERCISES.values()]
    rows = teaching.leaks({"text": text}, CHAPTERS[name], shown)
    return [row for row in rows if len(re.findall("[a-z]{2,}", row)) > 2]


@pytest.mark.parametrize("name", sorted(CHAPTERS.keys() & DECKS.keys()))
def test_no_answer_is_on_a_slide(name):
    assert leaks(plain(name), name) == []


def test_an_answer_on_a_slide_is_found():
    answers, _ = teaching.answers(CHAPTERS["05-equilibrium"])
    assert len(answers) > 5 and all(leaks(plain("05-equilibrium") + one, "05-equilibrium") for one in answers)


@EACH
def test_every_slide_has_a_title_minutes_and_notes(name):
    _, made = DECKS[name]
    assert made[0].look == "first" and len(made) > 7
    assert all(one.title and one.minutes > 0 and one.notes for one in made[1 if name in slides.SHORT else 0:])


PAGE = (gate.ROOT / "book" / "teach" / "index.md").read_text(encoding="utf-8")
SYLLABUS = (gate.ROOT / "book" / "teach" / "syllabus.md").read_text(encoding="utf-8")


def test_every_lecture_of_the_syllabus_has_its_slides():
    """In six weeks a lecture has 50 minutes."""
    weeks = re.findall(r"^\| \d \| .*?chapters? (\[.*?): \d+ min", SYLLABUS, re.M)
    minutes = {re.match(r"0?(\d*b?)", name)[1]: sum(one.minutes for one in made) for name, (_, made) in DECKS.items()}
    assert len(weeks) == 6
    assert all(sum(minutes[n] for n in re.findall(r"\[(\w+)\]", week)) <= 50 for week in weeks)


def test_the_page_says_how_many_slides_and_minutes():
    said = {deck: (int(count), int(minutes)) for deck, count, minutes in
            re.findall(r"^\| `([\w-]+)` \| (\d+) \| (\d+) \|$", PAGE, re.M)}
    assert said == {name: (len(made), sum(one.minutes for one in made)) for name, (_, made) in DECKS.items()}


def test_what_is_not_ours_is_whole_and_says_its_license():
    folder = slides.FILES / "reveal"
    license = (folder / "LICENSE").read_text(encoding="utf-8")
    assert "Hakim El Hattab" in license and "Permission is hereby granted, free of charge" in license
    assert {path.name for path in folder.iterdir()} == {"LICENSE", "notes.js", "reveal.css", "reveal.js"}
    digests = re.findall(r"^([0-9a-f]{64})  (\S+)$", license, re.M)
    assert {(sharp_figures.digest((folder / name).read_bytes()), name) for _, name in digests} == {*digests}
    assert len(digests) == 3


# ---------------------------------------------------------------------------------------------
# larger figures

def test_a_figure_of_a_slide_is_drawn_larger(tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.subplots()
    made = ({"image/png": base64.b64encode(b"small").decode(), "text/plain": "<Figure>"}, {})
    for asked in (lambda: False, lambda: True):
        assert sharp_figures.also(lambda shown, **more: made, tmp_path / "pictures", asked, figure) is made
        assert (tmp_path / "pictures").is_dir() is asked()
    cells = {"a": {"source": "", "outputs": [{"data": {"image/png": one}} for one in ("c21hbGw=\n", "b3RoZXI=")]}}
    one, two = (output["data"]["image/png"] for output in slides.sharp(cells, tmp_path / "pictures")["a"]["outputs"])
    assert base64.b64decode(one)[:4] == b"\x89PNG" and two == "b3RoZXI="


def test_only_the_home_of_the_build_is_written_to(tmp_path, monkeypatch):
    app = SimpleNamespace(outdir=str(tmp_path / "html"), srcdir=str(gate.ROOT), builder=SimpleNamespace(name="html"))
    start = Path(".ipython", "profile_default", "startup", "sharp_figures.py")
    for home in ("mine", "home"):
        monkeypatch.setenv("HOME", str(tmp_path / home))
        sharp_figures.begin(app)
    assert not (tmp_path / "mine").exists()
    figure = next(one for one in CHAPTERS["05-equilibrium"]["cells"] if one["id"] == "fig-crossing")
    assert sharp_figures.digest(teaching.source(figure).encode()) in (tmp_path / "home" / start).read_text()


# ---------------------------------------------------------------------------------------------
# as a browser shows them

LOOK = """
const found = [];
for (let i = 0; i < Reveal.getTotalSlides(); i++) {
  Reveal.slide(i);
  while (Reveal.availableFragments().next) Reveal.nextFragment();
  const slide = Reveal.getCurrentSlide(), say = (what, one) => found.push(`${slide.id}: ${what}: ${one}`);
  const edge = slide.getBoundingClientRect();
  if (edge.width !== 1280 || edge.height !== 720) say("size", `${edge.width} x ${edge.height}`);
  for (const one of slide.querySelectorAll("h2, p, li, pre, table, .cut, .formula, .whole")) {
    if (one.closest(".notes")) continue;
    const box = one.getBoundingClientRect(), name = `${one.tagName} ${one.textContent.slice(0, 40)}`;
    if (box.left < 20 || box.top < 10 || box.right > 1265 || box.bottom > 712) say("over the edge", name);
    if (one.scrollWidth > one.clientWidth && !one.matches("span")) say("cut", name);
    if (parseFloat(getComputedStyle(one).fontSize) < 20) say("small", name);
  }
  const title = slide.querySelector("h2").getBoundingClientRect(), body = slide.querySelector(".body");
  if (body.scrollHeight > body.clientHeight) say("too much", `${body.scrollHeight} > ${body.clientHeight}`);
  if (title.height > 100) say("long title", title.height);
  for (const one of slide.querySelectorAll("img")) if (!one.complete || !one.naturalWidth) say("no picture", one.alt);
  for (const one of slide.querySelectorAll("mjx-merror, [data-mjx-error]")) say("formula", one.textContent);
  if (/\\$|\\\\[(\\[a-z]|\\*\\*|\\[formula/.test(slide.innerText)) say("markup", slide.innerText);
  if (!slide.querySelector(".notes").textContent.trim()) say("notes", "none");
}
return found;
"""


def look(browser, file):
    """Open a deck; return what is wrong with its slides, and what it has asked for."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 1280, "height": 720, "deviceScaleFactor": 1, "mobile": False})
    browser.get("about:blank")
    requests(browser)
    browser.get(file.as_uri())
    WebDriverWait(browser, 60, 0.1).until(lambda b: b.execute_script(
        "return document.documentElement.classList.contains('ready')"))
    return browser.execute_script(LOOK), requests(browser)


@pytest.fixture(scope="module")
def folder(site, tmp_path_factory):
    """All decks, from the built book."""
    root = tmp_path_factory.mktemp("root")
    for name, there in (("_build", site.parent), ("book", gate.ROOT / "book"),
                        ("pyproject.toml", gate.ROOT / "pyproject.toml")):
        (root / name).symlink_to(there)
    slides.write(root / "slides", {name: teach.built(name, root) for name in CHAPTERS}, root)
    return root / "slides"


@pytest.mark.book
@pytest.mark.site
@EACH
def test_nothing_runs_over_the_edge_of_a_slide(name, browser, folder):
    found, asked = look(browser, folder / f"{name}.html")
    assert found == []
    files = {unquote(urlsplit(one).path) for one in asked if not one.startswith("data:")}
    assert len(files) > 5 and all(Path(one).is_relative_to(folder) and Path(one).is_file() for one in files)
    assert all(one.startswith(("data:", "file:")) for one in asked)
    assert browser.get_log("browser") == []
    browser.execute_async_script("""const done = arguments[0], wait = () =>
        document.documentElement.classList.contains("noted") ? done() : setTimeout(wait, 50); wait();""")
    assert browser.execute_script("""return [...document.querySelectorAll(".notes")].filter((one) =>
        one.querySelector("mjx-assistive-mml") || /\\$|\\\\[([]/.test(one.textContent)).length""") == 0


@pytest.mark.book
@pytest.mark.site
def test_a_slide_that_is_too_full_is_found(browser, folder):
    many = "<p>too much of it</p>" * 40
    wide = r'<div class="formula">\[' + "a + " * 60 + r"b\]</div>"
    made = [slides.Slide(f"c{i}", "T", body, "n", 1, "words") for i, body in enumerate((many, wide, "<p>$ a $</p>"))]
    (folder / "full.html").write_text(slides.page("T", made, ""), encoding="utf-8")
    found, _ = look(browser, folder / "full.html")
    assert {tuple(one.split(": ")[:2]) for one in found} >= {
        ("c0-1", "too much"), ("c0-1", "over the edge"), ("c1-2", "cut"), ("c2-3", "markup")}
