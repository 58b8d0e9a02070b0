"""The built pages, read as a browser does, with the network off.

What a browser is not needed for, links and Colab addresses, is checked in the files. The rest runs
in headless Chromium and is skipped, with the reason, where there is none.
"""

import functools
import http.server
import json
import re
import threading
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import gate
import nbformat
import pytest
import yaml
from screen import Quiet, open_page, requests

import resnet_dynamics as rd

pytestmark = [pytest.mark.book, pytest.mark.site]

CONTENTS = yaml.safe_load((gate.ROOT / "_toc.yml").read_text())
PAGES = [CONTENTS["root"], *re.findall(r"'file': '([^']+)'", str(CONTENTS))]
BASE = gate.repository.pages(gate.repository.read())
ROOT = urlsplit(BASE).path
EACH_PAGE = pytest.mark.parametrize("page", PAGES)


# ---------------------------------------------------------------------------------------------
# without a browser

class Page(HTMLParser):
    """The ids and links of one file."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.parts = {"", "top"}, [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.update(filter(None, (attributes.get("id"), attributes.get("name"))))
        for name in ("href", "src"):
            if attributes.get(name) and tag in ("a", "img", "script", "link"):
                self.links.append(attributes[name])


def test_every_link_inside_the_book_leads_somewhere(site):
    seen = functools.cache(Page)
    broken = []
    pages = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    for path in sorted(pages):
        for link in seen(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            folder, inside = path.parent, unquote(parts.path)
            if path.name == "404.html" and inside.startswith(ROOT):  # it is shown at any depth
                folder, inside = site, inside.removeprefix(ROOT)
            target = (folder / inside).resolve() if inside else path
            if not target.is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif target.suffix == ".html" and parts.fragment:
                if unquote(parts.fragment) not in seen(target).ids:
                    broken.append(f"{path.relative_to(site)}: {link}: no such place on the page")
    assert broken == []


def test_the_first_file_leads_to_the_book(site):
    """For browsers, for search engines, and for who makes a preview of the link."""
    text, page = (site / "index.html").read_text(), f"{CONTENTS['root']}.html"
    assert f'<meta http-equiv="refresh" content="0; url={page}">' in text and f'<a href="{page}">' in text
    assert "<title>Weight Decay in Motion</title>" in text and f'<link rel="canonical" href="{BASE}{page}">' in text
    assert re.search(r'<meta property="og:description" content="[^"]{50,}', text)


@EACH_PAGE
def test_a_link_to_a_page_has_a_title_and_a_picture(page, site):
    head = (site / f"{page}.html").read_text().split("</head>")[0]
    title = unescape(re.search("<title>(.*?)</title>", head)[1])
    assert title.count("Weight Decay in Motion") == 1
    assert f'<link rel="canonical" href="{BASE}{page}.html" />' in head
    picture = re.search(r'<meta property="og:image" content="([^"]*)" />', head)[1]
    assert picture.startswith(BASE) and (site / picture.removeprefix(BASE)).is_file()
    assert head.count('property="og:image:alt"') == head.count('name="twitter:card"') == 1


def test_search_engines_find_every_page(site):
    addresses = re.findall("<loc>(.*?)</loc>", (site / "sitemap.xml").read_text())
    assert sorted(addresses) == sorted(f"{BASE}{page}.html" for page in PAGES)
    assert f"Sitemap: {BASE}sitemap.xml" in (site / "robots.txt").read_text()


@pytest.mark.parametrize("chapter", gate.CHAPTERS, ids=lambda path: path.stem)
def test_chapter_opens_in_colab(chapter, site):
    """And is loaded down: the edition, each time."""
    url = gate.repository.colab(gate.repository.read(), gate.repository.ref(), chapter.stem)
    html = (site / chapter.relative_to(gate.ROOT)).with_suffix(".html").read_text()
    links = re.findall(r'href="([^"]*\.ipynb)"', html)
    assert links == [url, f"../notebooks/{chapter.name}"]


def test_the_editions_beside_the_pages_are_current(site):
    """And their links lead to pages and places that are there."""
    made, seen = dict(gate.colab.editions()), functools.cache(Page)
    files = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (site / "notebooks").iterdir()}
    assert files == made
    links = {link for one in made.values() for cell in one["cells"] if cell["cell_type"] == "markdown"
             for link in re.findall(rf"\]\({re.escape(BASE)}([^)]*)\)", "".join(cell["source"]))}
    assert len(links) > 50
    for page, _, place in (link.partition("#") for link in links):
        assert (site / page).is_file() and (not place or place in seen(site / page).ids), f"{page}#{place}"


@EACH_PAGE
def test_page_shows_no_markup(page, site):
    """The setup cell is hidden, and nothing of MyST, LaTeX or reStructuredText is left as text."""
    html = (site / f"{page}.html").read_text()
    article = html.split("<article", 1)[1].split("</article", 1)[0]
    assert "importlib.util.find_spec" not in article
    apart = (r'<script.*?</script>|<div class="(?:amsmath )?math.*?</div>|<span class="math.*?</span>'
             r"|<pre>.*?</pre>|<code.*?</code>")
    text = re.sub(apart, "", article, flags=re.S)
    for left in ("$$", "\\tag", "\\(", ":::", "```", "{eq}", "{ref}"):
        assert left not in re.sub(r"<[^>]*>", "", text), left


@pytest.mark.parametrize("chapter", gate.CHAPTERS, ids=lambda path: path.stem)
def test_every_figure_is_on_the_page(chapter, site):
    """As many pictures as cells that draw one, each with the alt text and the caption of its cell."""
    cells = nbformat.read(chapter, as_version=4).cells
    drawn = [cell.metadata["mystnb"] for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    article = (site / chapter.relative_to(gate.ROOT)).with_suffix(".html").read_text().split("<article", 1)[1]
    figures = re.findall(r'<figure[^>]*id="([\w-]+)"[^>]*>(.*?)</figure>', article, re.S)
    assert [name for name, _ in figures] == [part["figure"]["name"] for part in drawn]
    for (_, figure), part in zip(figures, drawn):
        assert [unescape(alt) for alt in re.findall(r'<img alt="([^"]*)"', figure)] == [part["image"]["alt"]]
        assert "<figcaption>" in figure and "caption-number" not in figure


@pytest.mark.parametrize("chapter", gate.CHAPTERS, ids=lambda path: path.stem)
def test_what_a_cell_prints_is_one_text(chapter, site):
    """Not one box for every flush of the kernel."""
    executed = nbformat.read(site.parent / "jupyter_execute" / chapter.relative_to(gate.ROOT), as_version=4)
    prints = [sum(output.get("name") == "stdout" for output in cell.get("outputs", [])) for cell in executed.cells]
    assert max(prints) <= 1


class Folds(HTMLParser):
    """What each fold of a page says on its line, and the classes of the elements in it."""

    def __init__(self, text):
        super().__init__()
        self.folds, self.open, self.summary = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "details":
            self.open.append({"words": "", "inside": [], "label": None, "of": attributes.get("class", "")})
            self.folds.append(self.open[-1])
        elif tag == "summary":
            self.summary, self.open[-1]["label"] = True, attributes.get("aria-label")
        for fold in self.open:
            fold["inside"].append(attributes.get("class", ""))

    def handle_endtag(self, tag):
        if tag == "details":
            self.open.pop()
        self.summary = self.summary and tag != "summary"

    def handle_data(self, data):
        if self.summary and self.open:
            self.open[-1]["words"] += data


@EACH_PAGE
def test_a_fold_is_read_out_as_it_reads(page, site):
    """Its line has words, and no label that hides them from who listens."""
    folds = Folds((site / f"{page}.html").read_text()).folds
    assert [fold for fold in folds if fold["label"] or not fold["words"].strip()] == []


@pytest.mark.parametrize("chapter", gate.CHAPTERS, ids=lambda path: path.stem)
def test_an_answer_and_its_check_are_in_one_box(chapter, site):
    cells = nbformat.read(chapter, as_version=4).cells
    checks = sum("answer" in cell.metadata.get("tags", []) for cell in cells)
    html = (site / chapter.relative_to(gate.ROOT)).with_suffix(".html").read_text()
    boxes = [fold for fold in Folds(html).folds if fold["words"].strip() == "Answer"]
    inside = [kind.split() for fold in boxes for kind in fold["inside"]]
    assert sum("tag_answer" in kinds for kinds in inside) == checks == html.count("tag_answer")
    for fold in boxes:
        kinds = [kind.split() for kind in fold["inside"]]
        if any("tag_answer" in kind for kind in kinds):
            assert any("cell_output" in kind for kind in kinds), "the answer shows what its code gives"


# ---------------------------------------------------------------------------------------------
# in Chromium

@EACH_PAGE
def test_page_is_whole_without_a_network(browser, address, page):
    browser.get("about:blank")
    browser.get_log("browser"), requests(browser)
    open_page(browser, f"{address}{page}.html")

    bare = browser.execute_script("""
        return [...document.querySelectorAll('.math')].filter(
            m => !m.querySelector('mjx-container')).map(m => m.textContent)""")
    assert bare == [], "formulas that are not typeset"
    wrong = browser.execute_script("""
        return [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(
            e => e.getAttribute('data-mjx-error') || e.textContent)""")
    assert wrong == [], "formulas with an error"
    unknown = browser.execute_script(r'''
        return [...document.querySelectorAll('mjx-assistive-mml mtext')].map(e => e.textContent)
            .filter(text => text.startsWith('\\'))''')
    assert unknown == [], "commands that MathJax does not know"

    images = browser.execute_script("""
        return [...document.querySelectorAll('img')].map(
            i => [i.alt, i.complete && i.naturalWidth > 0, !!i.closest('article')])""")
    for alt, loaded, ours in images:
        assert loaded, alt
        assert gate.good_alt(alt) if ours else alt.strip(), f"alt text {alt!r}"

    outside = [url for url in requests(browser)
               if not url.startswith((address, "data:", "blob:", "about:"))]
    assert outside == []
    errors = [entry["message"] for entry in browser.get_log("browser")
              if entry["level"] in ("SEVERE", "WARNING")]
    assert errors == []


# Boxes that are narrower than their content, without the shades at the edges that show that they scroll (book.css).
# What is there for screen readers alone, and the strokes that MathJax stretches, are cut on purpose.
CUT = """
    const wide = e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1;
    const marked = e => { const s = getComputedStyle(e);
        return s.overflowX === 'auto' && s.backgroundAttachment.startsWith('local, local'); };
    return [...document.querySelectorAll('article *:not(svg *)')].filter(e => e.getClientRects().length && wide(e)
        && getComputedStyle(e).overflowX !== 'visible' && getComputedStyle(e).clipPath === 'none' && !marked(e)
        && !e.closest('mjx-assistive-mml, mjx-ext, select, input')).map(
        e => [e.tagName, e.className, e.scrollWidth, e.clientWidth, e.textContent.trim().slice(0, 60)].join(' '))
        .slice(0, 10);
"""


@pytest.mark.parametrize("page", [*PAGES, "genindex", "py-modindex", "search"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_page_fits_the_screen(browser, address, page, width):
    open_page(browser, f"{address}{page}.html", width=width)
    # Open what is folded: an answer must fit too.
    wide = browser.execute_script("""
        document.querySelectorAll('article details').forEach(d => d.open = true);
        if (document.documentElement.scrollWidth <= arguments[0]) return [];
        return [...document.querySelectorAll('article *')].filter(
            e => e.getBoundingClientRect().right > arguments[0] + 1).map(
            e => [e.tagName, e.className, e.textContent.trim().slice(0, 60)].join(' ')).slice(0, 10)
            .concat(['the page is ' + document.documentElement.scrollWidth + ' wide'])""", width)
    assert wide == []
    squeezed = browser.execute_script("""
        return [...document.querySelectorAll('article img')].filter(
            i => i.naturalWidth > 40 && Math.abs(
                i.width / i.height - i.naturalWidth / i.naturalHeight) > 0.02).map(i => i.alt)""")
    assert squeezed == [], "pictures with a wrong shape"
    assert browser.execute_script(CUT) == [], "boxes that hide a part of what is in them, and do not show that they do"


@pytest.mark.parametrize("chapter", gate.CHAPTERS, ids=lambda path: path.stem)
def test_a_page_is_not_mostly_code(browser, address, chapter):
    """What is open as the page is opened; what only prints or draws is folded."""
    page = chapter.relative_to(gate.ROOT).with_suffix("").as_posix()
    open_page(browser, f"{address}{page}.html", width=1280)
    code, whole = browser.execute_script("""
        const height = e => e.getBoundingClientRect().height;
        return [[...document.querySelectorAll('article div.cell_input')].filter(
                    e => e.checkVisibility()).map(height).reduce((a, b) => a + b, 0),
                height(document.querySelector('article'))]""")
    assert code <= 0.15 * whole, f"{code / whole:.0%} of {whole:.0f} px"


def test_an_address_that_does_not_exist_leads_back(browser, site):
    """As GitHub Pages serves it: under the name of the repository, the same file at any depth."""
    class Served(Quiet):
        def do_GET(self):
            path = unquote(urlsplit(self.path).path)
            file = site / path.removeprefix(ROOT)
            found = path.startswith(ROOT) and file.is_file()
            self.send_response(200 if found else 404)
            kinds = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
            self.send_header("Content-Type", kinds.get(file.suffix, "text/html; charset=utf-8"))
            self.end_headers()
            self.wfile.write((file if found else site / "404.html").read_bytes())

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_port}"
        try:
            browser.get_log("browser")
            open_page(browser, f"{here}{ROOT}book/deep/er/nothing.html")
            wrong = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
            assert len(wrong) == 1 and "nothing.html" in wrong[0], "the page itself, and nothing on it"
            assert browser.find_element("css selector", "article h1").text.startswith("There is no such page")
            assert len(browser.find_elements("css selector", ".bd-sidebar-primary .toctree-l1")) >= len(PAGES) - 2
            browser.find_element("css selector", "article p a").click()
            assert browser.current_url == f"{here}{ROOT}{CONTENTS['root']}.html"
        finally:
            server.shutdown()


# WCAG contrast of what is read with what is behind it, as the browser computed both colors.
CONTRAST = """
    const part = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
    const color = s => { const c = (s.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
                         return s.startsWith('color(') ? c.slice(-3).map(x => 255 * x) : c; };
    const behind = e => { for (; e; e = e.parentElement) {
        const c = color(getComputedStyle(e).backgroundColor);
        if (c.length < 4 || c[3] > 0.5) return c; } return [255, 255, 255]; };
    const seen = [];
    for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();  // half-way colors
    document.querySelectorAll('article details').forEach(d => d.open = true);
    for (const e of document.querySelectorAll('article p, article li, article td, article th, ' +
            'article h1, article h2, article h3, article a, article summary, article code, ' +
            'article pre, article pre span, article mjx-container, article mjx-mstyle, article dt, ' +
            'article .xr-wrap :is(span, label, div, li)')) {
        if (!e.textContent.trim() || !e.getClientRects().length || e.matches('.headerlink'))
            continue;
        const both = [light(color(getComputedStyle(e).color)), light(behind(e))];
        const [a, b] = both.sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < arguments[0])
            seen.push(ratio.toFixed(1) + ' ' + e.tagName + ' ' + e.textContent.trim().slice(0, 40));
    }
    return [...new Set(seen)].slice(0, 10);
"""


@EACH_PAGE
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_can_be_read_in_the_light_and_in_the_dark(browser, address, page, scheme):
    open_page(browser, f"{address}{page}.html", scheme=scheme)
    assert browser.execute_script("return document.documentElement.dataset.theme") == scheme
    assert browser.execute_script(CONTRAST, 4.5) == []
    backs = browser.execute_script("""
        return [...document.querySelectorAll('article div.cell_output img')].map(
            i => getComputedStyle(i).backgroundColor)""")
    if scheme == "dark":
        assert set(backs) <= {"rgb(255, 255, 255)"}, "figures keep a white back in the dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_printed_on_white_and_no_line_is_cut_off(browser, address, scheme):
    open_page(browser, f"{address}book/04-norms-in-motion.html", scheme=scheme)
    closed = "document.querySelectorAll('article details:not([open], .fold.code)').length"
    before = browser.execute_script(f"return {closed}")
    browser.execute_script("addEventListener('beforeprint', () => { window.printed = "
                           f"[document.documentElement.dataset.theme, {closed}]; }})")
    browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert browser.execute_script("return window.printed") == ["light", 0], "answers are printed open"
    assert browser.execute_script(f"return {closed}") == before > 0
    assert browser.execute_script("return document.documentElement.dataset.theme") == scheme  # and back again
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    wide = """return [...document.querySelectorAll("article pre")].map(e => e.scrollWidth - e.clientWidth)"""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 640, "height": 900, "deviceScaleFactor": 1, "mobile": False})  # a sheet of paper
    cut = browser.execute_script(wide)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert len(cut) > 5 and max(cut) <= 0 < max(browser.execute_script(wide))  # on the screen they are scrolled


def test_the_list_of_recordings_sorts_and_is_whole_without_javascript(browser, address):
    column = "return [...document.querySelectorAll('table.sortable')[0].tBodies[0].rows].map(r => r.cells[2].innerText)"
    page = f"{address}book/about/recordings.html"
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page)
        rows = browser.find_elements("css selector", "table.sortable:first-of-type tbody tr[id^=recording-]")
        assert len(rows) == len(rd.library.planned())
        rows[0].find_element("css selector", "summary").click()
        assert "CIFAR-10" in rows[0].text and "rd.bundled()" in rows[0].text
        assert "diverged at" not in browser.page_source and ": -1" not in browser.page_source
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    open_page(browser, page)
    for press, sign in (1, 1), (2, -1):
        browser.find_elements("css selector", "table.sortable thead button")[2].click()
        shown = [float(text.split()[0]) for text in browser.execute_script(column) if "%" in text]
        assert shown == sorted(shown, reverse=sign < 0) and len(shown) > 10, press
        head = browser.find_elements("css selector", "table.sortable thead th")[2]
        assert head.get_attribute("aria-sort") == ("ascending" if sign > 0 else "descending")


@pytest.fixture
def folded(browser, address, site):
    """The addresses of two pages with folded code, and nothing remembered."""
    pages = [page for page in PAGES if '<details class="fold code">' in (site / f"{page}.html").read_text()]
    if len(pages) < 2:
        pytest.skip("needs two pages with folded code")
    open_page(browser, f"{address}{pages[0]}.html")
    browser.execute_script("localStorage.clear()")
    yield [f"{address}{page}.html" for page in pages[:2]]
    browser.execute_script("localStorage.clear()")


STATE = """return [document.querySelector('.show-code button').getAttribute('aria-pressed'), ...new Set(
           [...document.querySelectorAll('details.fold.code')].map(box => String(box.open)))]"""


def test_a_switch_shows_all_code_and_is_remembered(browser, folded):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, folded[0])
    assert browser.execute_script(STATE) == ["false", "false"]
    switch = browser.find_element("css selector", ".show-code button")
    assert switch.text.startswith("Show code") and switch.is_displayed()
    switch.send_keys(Keys.SPACE)
    assert browser.execute_script(STATE) == ["true", "true"]
    open_page(browser, folded[1])
    assert browser.execute_script(STATE) == ["true", "true"]
    browser.find_element("css selector", ".show-code button").send_keys(Keys.ENTER)
    open_page(browser, folded[0])
    assert browser.execute_script(STATE) == ["false", "false"]
    box = browser.find_element("css selector", "details.fold.code > summary")
    assert box.text == "Show the code"
    box.send_keys(Keys.ENTER)
    assert box.text == "Hide the code"


def test_folds_work_without_javascript(browser, folded):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(folded[0])
        assert not browser.find_element("css selector", ".show-code").is_displayed()
        browser.find_element("css selector", "details.fold.code > summary").click()
        assert browser.find_element("css selector", "details.fold.code pre").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_formulas_are_read_but_are_no_stops_of_the_tab_key(browser, address):
    open_page(browser, f"{address}book/05-equilibrium.html")
    assert browser.execute_script("return document.querySelectorAll('mjx-container[tabindex]').length") == 0
    spoken = browser.execute_script("return document.querySelectorAll('mjx-assistive-mml math').length")
    assert spoken > 50


def test_a_folded_answer_opens_by_keyboard(browser, address):
    from selenium.webdriver.common.keys import Keys

    opened = 0
    for page in PAGES:
        open_page(browser, f"{address}{page}.html")
        outer = "article details:not(.wd-explorer details):not(details details) > summary"
        for summary in browser.find_elements("css selector", outer)[:2]:
            summary.send_keys(Keys.ENTER)
            assert summary.find_element("xpath", "..").get_attribute("open") is not None
            opened += 1
    assert opened
