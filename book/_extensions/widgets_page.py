"""The widgets on pages: directives for pages that are no notebooks, files that all pages share, and no widget state.

``{crossing}``, ``{explorer}`` and ``{live}`` take lines ``name: value``, the keyword arguments of `rd.Crossing`,
`rd.Explorer` and `rd.Live`. Every element comes with the files that draw it, so that a saved notebook is whole by
itself. On pages these files are taken out: each is written once, into ``_static``, and loaded by the pages that have
such an element. A script from a file works where a page is opened without a server, too; a module, or data that is
fetched, would not.

MyST-NB writes the state of all widgets into the page. Nothing reads it here, as widgets are shown by their HTML, and
the explorer's evidence would travel twice.
"""

import base64
import hashlib
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

import resnet_dynamics as rd
from resnet_dynamics import element

LISTS = {"panels": None, "moves": ";"}  # name → what stands between its parts; None is a comma or a space
PICTURE = re.compile(r'(<figure>\s*)?<img src="data:image/png;base64,([A-Za-z0-9+/=]{2000,})"')
LOADING = {"explorer.js": "defer", "evidence.js": "async"}  # nobody waits for evidence but the elements that need it


def directive(widget):
    """Return the directive that puts a widget of the package onto a page."""

    class Widget(Directive):
        has_content = True

        def run(self):
            try:
                html = getattr(rd, widget)(**arguments(self.content)).static_html()
            except (TypeError, ValueError) as error:
                raise self.error(f"{widget.lower()}: {error}") from None
            return [nodes.raw("", html, format="html")]

    return Widget


def arguments(lines):
    """Return the keyword arguments that lines ``name: value`` say; empty ones say nothing."""
    given = {}
    for line in filter(str.strip, lines):
        name, _, value = (part.strip() for part in line.partition(":"))
        given[name] = several(value, LISTS[name]) if name in LISTS else read(value)
    return given


def several(text, between):
    parts = text.split(between) if between else text.replace(",", " ").split()
    return [part.strip() for part in parts]


def read(text):
    """Return a number, a truth value, or a word."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def write_shared(app):
    if app.builder.format == "html":
        folder = Path(app.outdir, "_static")
        folder.mkdir(parents=True, exist_ok=True)
        for name in LOADING:
            (folder / name).write_text(element.SHARED[name].text(), encoding="utf-8")


def share(app, pagename, templatename, context, doctree):
    """Leave the shared files out of a page, and let it load those that it needs."""
    if "data-shared=" in context.get("body", ""):
        context["body"], names = element.shared(context["body"])
        for name in names:
            app.add_js_file(name, loading_method=LOADING[name])


def part_pictures(app, pagename, templatename, context, doctree):
    """Write the pictures that stand in the HTML of widgets into files: who sees the element need not load them."""

    def file(found):
        picture = base64.b64decode(found[2])
        name = f"_images/{hashlib.sha256(picture).hexdigest()[:16]}.png"
        path = Path(app.outdir, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture)
        lazy = ' loading="lazy"' if found[1] else ""  # in a figure: of an element, which takes its place
        return f'{found[1] or ""}<img{lazy} src="{context["pathto"](name, 1)}"'

    if app.builder.format == "html":
        context["body"] = PICTURE.sub(file, context.get("body", ""))


def drop_widget_state(app, pagename, templatename, context, doctree):
    getattr(app.env, "nb_metadata", {}).get(pagename, {}).get("js_files", {}).pop("ipywidgets_state", None)


def setup(app):
    for widget in ("Crossing", "Explorer", "Live"):
        app.add_directive(widget.lower(), directive(widget))
    app.connect("builder-inited", write_shared)
    app.connect("html-page-context", share)
    app.connect("html-page-context", part_pictures)
    app.connect("html-page-context", drop_widget_state, priority=100)  # MyST-NB adds it at 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
