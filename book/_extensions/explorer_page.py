"""The explorer on pages: the directive ``{explorer}`` for those that are no notebooks, and no widget state on any.

MyST-NB writes the state of all widgets into the page. Nothing reads it here, as widgets are shown by their HTML, and
the explorer's evidence would travel twice.
"""

from docutils import nodes
from docutils.parsers.rst import Directive

import resnet_dynamics as rd


class Explorer(Directive):
    """Lines of its content are ``name: value``, as keyword arguments of `rd.Explorer`."""

    has_content = True

    def run(self):
        given = {}
        for line in self.content:
            name, _, value = line.partition(":")
            given[name.strip()] = value.replace(",", " ").split() if name == "panels" else read(value.strip())
        return [nodes.raw("", rd.Explorer(**given).static_html(), format="html")]


def read(text):
    """Return a number, a truth value, or a word."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def drop_widget_state(app, pagename, templatename, context, doctree):
    getattr(app.env, "nb_metadata", {}).get(pagename, {}).get("js_files", {}).pop("ipywidgets_state", None)


def setup(app):
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", drop_widget_state, priority=100)  # MyST-NB adds it at 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
