"""A cell that has a caption for a figure shows one picture; else there is a hole in the page, and the build says so.

MyST-NB writes the caption below each display of the cell, and nothing where there is none. An exception is not the only
cause of that: under some backends of matplotlib `show` shows nothing.
"""

from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)


def count(app, document):
    for cell in document.findall(nodes.container):
        metadata = cell.get("cell_metadata", {})
        figure = metadata.get("mystnb", {}).get("figure")
        if figure and not {"remove-cell", "remove-output"}.intersection(metadata.get("tags", [])):
            displays = [node for node in cell.findall(nodes.container) if node.get("nb_element") == "mime_bundle"]
            pictures = sum(any(True for _ in display.findall(nodes.image)) for display in displays)
            if pictures != 1:
                logger.warning("figure %s: its cell must show one picture, and shows %s",
                               figure.get("name"), pictures or "none", location=cell)


def setup(app):
    app.connect("doctree-read", count)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
