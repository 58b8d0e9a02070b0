"""Two languages: a link under the title leads to the same page in the other one. It stands on pages with a catalogue in
book/locale, in the English build and in that of the Chinese pages (_chinese.py).

In the Chinese build, besides:

- What leads to a page that is not translated leads to the English page. Such links have addresses english://PAGE until
  all pages are written; if there is no such page, the build says so.
- Files of `_static` that both books have are those of the English one. Most are MathJax and the theme, 30 MB.
- A formula in a sentence stays on one line: in Chinese text a browser would break it before ² or √.
- The search finds Chinese words by pairs of characters. Sphinx's own search would need another package to find words.
"""

import os
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.search import languages as search_languages
from sphinx.search.en import SearchEnglish
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)

ENGLISH = "english://"
CATALOGUES = Path(__file__).parents[1] / "locale" / "zh_CN" / "LC_MESSAGES"
SWITCH = '<p class="language"><a href="{href}" hreflang="{code}" lang="{code}">{name}</a></p>'
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")
UNSPACED = "[^\\s\u2018-\u201d\u2014\u2026\u2e80-\u9fff\uff00-\uffef]*"  # up to a space or a Chinese sign
FORMULA = re.compile(f"({UNSPACED}[²³⁻⁴′₀-₉√]{UNSPACED})")


def chinese(app):
    return app.config.language == "zh_CN"


def translated(page):
    return (CATALOGUES / f"{page}.po").is_file()


def add_switch(app, pagename, templatename, context, doctree):
    """Lead to the other language, for readers and for search engines."""
    if not translated(pagename):
        return
    up = "../" * pagename.count("/")
    other = f"../{up}{pagename}.html" if chinese(app) else f"{up}zh/{pagename}.html"
    code, name = ("en", "English") if chinese(app) else ("zh-CN", "中文")
    switch = SWITCH.format(href=other, code=code, name=name)
    body = context.get("body", "").replace("</h1>", f"</h1>\n{switch}", 1)
    context["body"] = body.replace(">Show code</button>", ">显示代码</button>") if chinese(app) else body
    root = app.config.html_baseurl.removesuffix("zh/")
    context["metatags"] = context.get("metatags", "") + "".join(
        f'<link rel="alternate" hreflang="{code}" href="{root}{folder}{pagename}.html" />\n'
        for code, folder in (("en", ""), ("zh-CN", "zh/")))  # fmt: skip


# ---------------------------------------------------------------------------------------------
# of the Chinese build

class ToEnglish(SphinxTransform):
    """Lead what leads to a page that is not in this book to the English page."""

    default_priority = 400  # after Sphinx has put in the translations

    def apply(self):
        for link in [*self.document.findall(addnodes.pending_xref)]:
            if link["reftype"] not in ("myst", "any") or link.get("refdomain"):
                continue
            target, mark, place = link["reftarget"].partition("#")
            page = os.path.normpath(os.path.join(os.path.dirname(self.env.docname), target))
            page = page.removesuffix(".ipynb").removesuffix(".md")
            if target and page not in self.env.found_docs:
                place = nodes.make_id(place)  # as the heading has it, whose letters may be Greek
                link.replace_self(nodes.reference("", "", *link.children, refuri=f"{ENGLISH}{page}{mark}{place}",
                                                  classes=link.get("classes", []), internal=True))  # fmt: skip


class WholeFormulas(SphinxTransform):
    """Mark the formulas in Chinese sentences that are to stay on one line."""

    default_priority = 410  # after translation, too
    parents = (nodes.paragraph, nodes.strong, nodes.emphasis, nodes.reference, nodes.caption)

    def apply(self):
        for text in [*self.document.findall(nodes.Text)]:
            if isinstance(text.parent, self.parents):  # not a widget's data, long texts without a space
                parts = FORMULA.split(text.astext())  # words and formulas in turn
                text.parent.replace(text, [nodes.inline("", part, classes=["one-line"]) if i % 2 else nodes.Text(part)
                                           for i, part in enumerate(parts) if part])  # fmt: skip


def lead_to_editions(app, pagename, templatename, context, doctree):
    """The button of a notebook loads down the edition that the English page has."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button["text"] == ".ipynb":
                name = pagename.rpartition("/")[2]
                button["url"] = "../" * (pagename.count("/") + 1) + f"notebooks/{name}.ipynb"


class PairsOfCharacters(SearchEnglish):
    """Words of a Chinese text, as the search has them: each pair of neighbouring characters; and English words."""

    lang, language_name = "zh", "Chinese"
    js_splitter_code = """
function splitQuery(query) {
  const han = /([\\u3400-\\u4dbf\\u4e00-\\u9fff]+)/u;
  const parts = query.split(/[^\\p{Letter}\\p{Number}_]+/gu).flatMap((word) => word.split(han)).filter(Boolean);
  const pairs = (part) => [...part].slice(1).map((next, i) => [...part][i] + next);
  return parts.flatMap((part) => (han.test(part) && part.length > 1 ? pairs(part) : [part]));
}
"""

    def split(self, text):
        pairs = [one[i : i + 2] for one in HAN.findall(text) for i in range(max(1, len(one) - 1))]
        return pairs + super().split(HAN.sub(" ", text))


def finish(app, error):
    """Give links to English pages and shared files the addresses that they have in the whole site."""
    if error or app.builder.name != "html":
        return
    out, english = Path(app.outdir), Path(app.config.english_site)
    for name in ("404.html", "robots.txt"):  # are looked for at the root of a site alone
        (out / name).unlink()
    same, missing = set(), set()
    for path in filter(Path.is_file, (out / "_static").rglob("*")):
        twin = english / path.relative_to(out)
        if twin.is_file() and twin.read_bytes() == path.read_bytes():
            same.add(path.relative_to(out).as_posix())

    def to_english(found):
        page, mark, place = found[1].partition("#")
        if not (english / f"{page}.html").is_file():
            missing.add(page)
        return f'href="{up}{page}.html{mark}{place}"'

    def to_shared(found):
        return f'{found[1]}"../{found[2]}"' if found[3] in same else found[0]

    for page in out.rglob("*.html"):
        up = "../" * len(page.relative_to(out).parts)
        text = page.read_text(encoding="utf-8").replace(f'external" href="{ENGLISH}', f'internal" href="{ENGLISH}')
        text = re.sub(rf'href="{ENGLISH}([^"]*)"', to_english, text)
        text = re.sub(r'\b((?:src|href)(?:=|: ))"((?:\.\./)*(_static/[^"?#]*)[^"]*)"', to_shared, text)
        page.write_text(text, encoding="utf-8")
    for name in same:
        (out / name).unlink()
    for page in sorted(missing):
        logger.warning("a link leads to %s, and there is no such English page", page)


def begin(app, config):
    if config.language == "zh_CN":
        search_languages["zh"] = PairsOfCharacters
        app.add_transform(ToEnglish)
        app.add_transform(WholeFormulas)
        app.connect("html-page-context", lead_to_editions, priority=600)  # the theme adds them at 501
        app.connect("build-finished", finish, priority=950)  # after light_pages


def setup(app):
    app.add_config_value("english_site", "", "", [str])  # the folder of the English pages: `zh` in it will have these
    app.connect("config-inited", begin)
    app.connect("html-page-context", add_switch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
