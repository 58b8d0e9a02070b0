"""For who arrives from outside: a first file that leads to the book and says what it is, a page for addresses that do
not exist, and a list of all pages for search engines.
"""

import re
from html import escape
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape as escape_xml

FIRST = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="canonical" href="{address}">
<meta http-equiv="refresh" content="0; url={page}">
{about}
</head>
<body><p><a href="{page}">{title}</a></p></body>
</html>
"""
LOST = """<section><h1>There is no such page</h1>
<p>It may have moved when chapters were divided. Go to <a href="{page}">the front page, with the list of chapters</a>,
or <a href="search.html">search the book</a>.</p></section>"""


def lost(app):
    """Make the page that GitHub shows for an address that does not exist."""
    yield "404", {"title": "There is no such page", "body": LOST.format(page=first_page(app))}, "page.html"


def first_page(app):
    return app.builder.get_target_uri(app.config.root_doc)


def say_it_once(app, pagename, templatename, context, doctree):
    """The front page is called as the book: its title says so once."""
    if pagename == app.config.root_doc:
        context["docstitle"] = ""


def write(app, error):
    if error or app.builder.name != "html":
        return
    out, base, page = Path(app.outdir), app.config.html_baseurl, first_page(app)
    front = (out / page).read_text(encoding="utf-8")
    about = re.findall(r'<meta (?:property="og:|name="(?:description|twitter:))[^>]*>', front)
    title = escape(app.config.html_title or app.config.project)
    text = FIRST.format(title=title, address=escape(base + page), page=page, about="\n".join(about))
    (out / "index.html").write_text(text, encoding="utf-8")
    addresses = sorted(base + app.builder.get_target_uri(name) for name in app.env.found_docs)
    urls = "\n".join(f"<url><loc>{escape_xml(address)}</loc></url>" for address in addresses)
    (out / "sitemap.xml").write_text('<?xml version="1.0" encoding="UTF-8"?>\n'
                                     '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
                                     f"{urls}\n</urlset>\n", encoding="utf-8")  # fmt: skip
    robots = f"User-agent: *\nAllow: /\nSitemap: {base}sitemap.xml\n"
    if (Path(app.srcdir) / "book" / "locale").is_dir():  # the Chinese pages, in a folder, have a list of their own
        robots += f"Sitemap: {base}zh/sitemap.xml\n"
    (out / "robots.txt").write_text(robots, encoding="utf-8")
    # It is shown at any depth, so its links start at the root of the site.
    root, missing = urlsplit(base).path, out / "404.html"
    text = missing.read_text(encoding="utf-8").replace('data-content_root="./"', f'data-content_root="{root}"')
    text = re.sub(r'\b(href|src|action)="(?!#|/|[a-z]+:)([^"]*)"', rf'\1="{root}\2"', text)
    missing.write_text(re.sub(r'<link rel="canonical"[^>]*>', "", text), encoding="utf-8")


def setup(app):
    app.connect("html-collect-pages", lost)
    app.connect("html-page-context", say_it_once)
    app.connect("build-finished", write, priority=900)  # sphinx_external_toc has written a first file before
    return {"parallel_read_safe": True, "parallel_write_safe": True}
