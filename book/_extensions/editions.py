"""The buttons of a chapter's page lead to its edition (book/_colab.py): the rocket to the one that Colab opens, the
download to the same notebook beside the page.

Colab opens what lies on GitHub, and nothing from another site. So the editions of a release are a folder of the branch
`colab`, where .github/workflows/editions.yml puts them. Jupyter Book's own rocket would open the chapter as it is
written.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _colab  # noqa: E402

FOLDER = "notebooks"  # of the built site


def lead(app, pagename, templatename, context, doctree):
    """Change the addresses of the theme's buttons."""
    if pagename in app.env.found_docs and app.env.doc2path(pagename).endswith(".ipynb"):
        name = pagename.rpartition("/")[2]
        address = {"Colab": _colab.repository.colab(_colab.repository.read(), _colab.repository.ref(), name),
                   ".ipynb": context["pathto"](f"{FOLDER}/{name}.ipynb", 1)}  # fmt: skip
        for group in context["header_buttons"]:
            for button in group.get("buttons", []):
                if button["text"] in address:
                    button["url"] = address[button["text"]]


def write(app, error):
    if not error and app.builder.name == "html":
        _colab.write(Path(app.outdir, FOLDER))


def setup(app):
    app.connect("html-page-context", lead, priority=600)  # the theme adds them at 501
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
