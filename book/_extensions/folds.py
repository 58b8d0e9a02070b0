"""Folds: of code that only prints or draws, behind a line that is read out as it reads, and of an exercise's answer.

Cells tagged `hide-input` come from MyST-NB in a box that hides its own words from screen readers. Here they get one
that does not, and a page with such boxes gets a switch for all of them, which folds.js remembers over pages. Without
JavaScript there is no switch, and each box opens by itself.

A code cell tagged `answer` belongs to the answer in words that stands before it, and is moved into its box.
"""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)

SWITCH = ('<div class="show-code" hidden><button type="button" aria-pressed="false">Show code</button></div>'
          "<script>document.currentScript.previousElementSibling.hidden = false</script>")  # fmt: skip


class Answers(SphinxTransform):
    """Move the end of the box behind the cell: it is raw HTML, a node of its own."""

    default_priority = 800  # after the cells are there

    def apply(self):
        cells = [cell for cell in self.document.findall(nodes.container)
                 if "answer" in cell.get("cell_metadata", {}).get("tags", [])]  # fmt: skip
        for cell in cells:
            parent, end = cell.parent, cell.previous_sibling()
            if not (isinstance(end, nodes.raw) and end.astext().strip() == "</details>"):
                logger.warning("a cell tagged answer must follow a cell that ends with </details>", location=cell)
                continue
            parent.remove(end)
            parent.insert(parent.index(cell) + 1, end)


def visit(self, node):
    words = "".join(f'<span class="{when}">{self.encode(node[prompt])}</span>'
                    for when, prompt in (("closed", "prompt_show"), ("opened", "prompt_hide")))  # fmt: skip
    kind = "code" if node.children[0].get("nb_element") == "cell_code_source" and len(node.children) == 1 else "cell"
    self.body.append(f'<details class="fold {kind}">\n<summary>{words}</summary>\n')


def depart(self, node):
    self.body.append("</details>\n")


def add_switch(app, pagename, templatename, context, doctree):
    body = context.get("body", "")
    if '<details class="fold code">' in body:
        context["body"] = body.replace("</h1>", f"</h1>\n{SWITCH}", 1)


def setup(app):
    app.setup_extension("myst_nb")
    app.add_node(HideCodeCellNode, override=True, html=(visit, depart))
    app.add_transform(Answers)
    app.add_js_file("folds.js", loading_method="defer")
    app.connect("html-page-context", add_switch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
