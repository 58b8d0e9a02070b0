"""Show docstrings on the API page as `help` shows them.

They are plain text with equations such as |w|² in them, which reStructuredText would take for its
own markup. The first paragraph becomes prose, the rest a block of text that keeps its lines.
"""

import inspect
import re


def plain(app, what, name, obj, options, lines):
    text = inspect.cleandoc("\n".join(lines))
    summary, _, rest = text.partition("\n\n")
    lines[:] = re.sub(r"([\\|*_`:])", r"\\\1", summary).splitlines()
    if rest.strip():
        block = [f"   {line}".rstrip() for line in rest.splitlines()]
        lines += ["", ".. code-block:: none", "", *block]
    lines.append("")


def setup(app):
    app.connect("autodoc-process-docstring", plain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
