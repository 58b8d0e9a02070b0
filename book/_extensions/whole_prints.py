"""What a cell prints is one text, however often the kernel flushed it on the way; and prose may wrap.

MyST-NB's own merging ends every flush with a line break, also in the middle of a line. That of nbclient joins them as
they are. Lines of words are marked, so that they wrap on a phone; where two spaces stand inside a line there are
columns, which must keep their places.
"""

import functools
import re

from docutils import nodes
from jupyter_cache.executors import utils

COLUMNS = re.compile(r"\S(  |\t)\s*\S")


def mark_prose(app, document):
    for cell in document.findall(nodes.container):
        if cell.get("nb_element") == "cell_code_output":
            for text in cell.findall(nodes.literal_block):
                if not any(map(COLUMNS.search, text.astext().splitlines())):
                    text["classes"].append("prose")


def setup(app):
    utils.executenb = functools.partial(utils.executenb, coalesce_streams=True)
    app.connect("doctree-read", mark_prose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
