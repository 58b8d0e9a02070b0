"""Pages that can be read before all of the theme has come.

Jupyter Book loads MathJax, 1.2 MB, on every page; here it is loaded by pages with formulas. The theme's tools for
searching hold up a page until they and the index of the book are there; nobody searches in its first second. Its icons,
1.5 MB of script, come before what else is deferred, and so before every picture that is drawn; here they come last.
"""

import re
from pathlib import Path

SEARCH = re.compile(r'<script(?= src="[^"]*(?:searchtools|language_data|searchindex)\.js)')
ICONS = re.compile(r'<script defer src="([^"]*/fontawesome\.js[^"]*)"></script>')
LATER = """<script>addEventListener("DOMContentLoaded", () => document.head.append(
    Object.assign(document.createElement("script"), { src: "%s" })));</script>"""


def only_with_formulas(app, pagename, templatename, context, doctree):
    """Sphinx has MathJax on a page as soon as one of the pages below it has formulas, and so on the first of all."""
    if not app.env.get_domain("math").data["has_equations"].get(pagename):
        files = context["script_files"]
        files[:] = [file for file in files if app.config.mathjax_path not in str(file.filename)
                    and "window.MathJax" not in file.attributes.get("body", "")]


def lighten(app, error):
    if error or app.builder.name != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        lighter = ICONS.sub(lambda found: LATER % found[1], SEARCH.sub("<script defer", text))
        if lighter != text:
            page.write_text(lighter, encoding="utf-8")


def setup(app):
    app.connect("html-page-context", only_with_formulas, priority=900)
    app.connect("build-finished", lighten, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
