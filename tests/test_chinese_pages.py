"""The Chinese pages as they are built: what they lead to, and how they look in a browser."""

import json
import re
from html import unescape

import gate
import pytest
from screen import open_page, requests
from test_chinese import chinese
from test_site import BASE, CONTENTS, CONTRAST, CUT, PAGES

pytestmark = [pytest.mark.book, pytest.mark.site]

EACH = pytest.mark.parametrize("page", chinese.PAGES)


# Formulas in sentences that are broken into two lines at one of 20 widths of the page.
BROKEN = r"""
const article = document.querySelector('article'), formulas = [], broken = new Set();
for (const sentence of article.querySelectorAll(':is(p, li, td, figcaption):lang(zh)')) {
  const walker = document.createTreeWalker(sentence, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    if (text.parentElement.closest('.math, code, .wd-explorer')) continue;
    for (const found of text.data.matchAll(/[\w|√λαρ]*[²³⁴′₀-₉√][\w|√λαρ²³⁴′₀-₉()/−+]*/gu)) {
      const range = document.createRange();
      range.setStart(text, found.index), range.setEnd(text, found.index + found[0].length);
      formulas.push([found[0], range]);
    }
  }
}
for (let width = 240; width < 340; width += 5) {
  article.style.width = `${width}px`;
  for (const [formula, range] of formulas)
    if (new Set([...range.getClientRects()].map(one => Math.round(one.top))).size > 1) broken.add(formula);
}
article.style.width = '';
return [...broken];
"""


def article(path):
    return path.read_text(encoding="utf-8").split("<article", 1)[1].split("</article", 1)[0]


@EACH
def test_each_language_leads_to_the_other(page, site):
    for path, other, name in ((site / f"{page}.html", site / "zh" / f"{page}.html", "中文"),
                              (site / "zh" / f"{page}.html", site / f"{page}.html", "English")):
        (link,) = re.findall(r'<p class="language"><a href="([^"]*)"[^>]*>(.*?)</a>', path.read_text(encoding="utf-8"))
        assert (path.parent / link[0]).resolve() == other.resolve() and link[1] == name
        head = path.read_text(encoding="utf-8").split("</head>")[0]
        assert f'hreflang="en" href="{BASE}{page}.html"' in head
        assert f'hreflang="zh-CN" href="{BASE}zh/{page}.html"' in head


def test_pages_that_are_not_translated_have_no_switch(site):
    assert [page for page in PAGES if page not in chinese.PAGES
            and 'class="language"' in (site / f"{page}.html").read_text(encoding="utf-8")] == []


@EACH
def test_a_chinese_page_says_what_its_catalogue_says(page, site):
    html = (site / "zh" / f"{page}.html").read_text(encoding="utf-8")
    assert '<html lang="zh-CN"' in html and f'<link rel="canonical" href="{BASE}zh/{page}.html" />' in html
    assert chinese.TITLE in unescape(re.search("<title>(.*?)</title>", html)[1])
    plain = unescape(re.sub("<[^>]*>", "", article(site / "zh" / f"{page}.html")))
    texts = chinese.translations(chinese.CATALOGUES / f"{page}.po").values()
    simple = [text for text in texts if not re.search(r"[\[*`$\\]", text)]  # no Markdown in them
    images = re.findall('alt="([^"]*)"', html)
    assert len(simple) > 5 and [text for text in simple if text not in plain and text not in images] == []
    assert "english://" not in html
    han = "[\u4e00-\u9fff，。；：？（）]"
    assert not re.search(rf"\*\*|{han}\*|\*{han}", plain), "marks of Markdown"


def test_the_list_of_pages_is_whole_and_leads_to_english_chapters(site):
    """In its order; what is translated stays in the book, the rest leads out of it."""
    root = site / CONTENTS["root"]
    front = (site / "zh" / f"{CONTENTS['root']}.html").read_text(encoding="utf-8")
    links = re.findall(r'<li class="toctree-l1"><a class="reference internal" href="([^"#]*)"', front)
    found = [(site / "zh" / "book" / link).resolve().relative_to(site).with_suffix("").as_posix() for link in links]
    assert found == [f"zh/{page}" if page in chinese.PAGES else page for page in PAGES if page != CONTENTS["root"]]
    assert "阅读第 1 章" in front and root.with_suffix(".html").is_file()


def test_the_numbers_of_the_explorer_are_those_of_the_english_page(site):
    """Tables that a cell made: they were executed once."""
    tables = [re.findall(r'<div class="rd-table.*?</div>', article(site / folder / "book" / "explorer.html"), re.S)
              for folder in ("", "zh")]
    assert tables[0] == tables[1] and len(tables[0]) >= 4


def test_what_both_books_have_is_there_once(site):
    own = [path.name for path in (site / "zh" / "_static").rglob("*") if path.is_file()]
    assert "documentation_options.js" in own and "explorer.js" not in own and len(own) < 10


def test_search_engines_find_the_chinese_pages(site):
    addresses = re.findall("<loc>(.*?)</loc>", (site / "zh" / "sitemap.xml").read_text())
    assert sorted(addresses) == sorted(f"{BASE}zh/{page}.html" for page in chinese.PAGES)
    assert f"Sitemap: {BASE}zh/sitemap.xml" in (site / "robots.txt").read_text()


def test_the_search_knows_pairs_of_characters(site):
    index = json.loads(re.search(r"Search.setIndex\((.*)\)", (site / "zh" / "searchindex.js").read_text("utf-8"))[1])
    assert {"权重", "衰减", "动量", "平衡"} <= index["terms"].keys() | index["titleterms"].keys()


# ---------------------------------------------------------------------------------------------
# in Chromium

@EACH
@pytest.mark.parametrize("width, scheme", [(360, "dark"), (1280, "light")])
def test_a_chinese_page_fits_and_can_be_read(browser, address, page, width, scheme):
    browser.get("about:blank")
    browser.get_log("browser"), requests(browser)
    open_page(browser, f"{address}zh/{page}.html", width=width, scheme=scheme)
    browser.execute_script("document.querySelectorAll('article details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CUT) == [] and browser.execute_script(CONTRAST, 4.5) == []
    assert browser.execute_script(BROKEN) == []
    assert browser.execute_script("return [...document.querySelectorAll('.math')].filter("
                                  "m => !m.querySelector('mjx-container')).length") == 0
    for alt in browser.execute_script("return [...document.querySelectorAll('article img')].map(i => i.alt)"):
        assert len(alt) > 10 and gate.good_alt(f"{alt} . . .")
    assert [url for url in requests(browser) if not url.startswith((address, "data:", "blob:", "about:"))] == []
    assert [one["message"] for one in browser.get_log("browser") if one["level"] in ("SEVERE", "WARNING")] == []


def test_the_search_finds_a_chinese_word(browser, address):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"{address}zh/search.html?q=权重衰减")
    found = "return [...document.querySelectorAll('ul.search li a')].map(a => a.href.split('/').pop().split('?')[0])"
    WebDriverWait(browser, 20).until(lambda b: len(b.execute_script(found)) >= 3)
    assert any(name.startswith("notation.html") for name in browser.execute_script(found))
