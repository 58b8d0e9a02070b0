"""What an edition of a chapter must be (book/_colab.py): the chapter, with nothing lost and no answer left open."""

import ast
import re

import gate

LINK = re.compile(r"\]\(([^)\s]+)\)")


def source(cell):
    return "".join(cell["source"])


def unlinked(markdown):
    return LINK.sub("]", markdown)


def is_answer(cell):
    return "answer" in cell["metadata"].get("tags", [])


def complaints(made, chapter):
    """Return what is wrong with an edition, one sentence each. Both are JSON, as they are stored."""
    wrong = []
    cells = {cell["id"]: cell for cell in made["cells"]}
    below = dict(zip(cells, [*made["cells"][1:], None]))
    if made["metadata"] != chapter["metadata"]:
        wrong.append("the metadata must be the chapter's, with the accelerator only where the chapter asks for one")

    expected = {cell["id"] for cell in chapter["cells"]}
    if [name for name in cells if name in expected] != [cell["id"] for cell in chapter["cells"]]:
        wrong.append("a cell of the chapter is lost, or not in its place")
    for cell in chapter["cells"]:
        name, before = cell["id"], source(cell)
        after = source(cells.get(name, {"source": ""}))
        if is_answer(cell):
            wrong += [f"cell {name}: {what}" for what in open_answer(before, after)]
        elif cell["cell_type"] == "code" and after != before:
            wrong.append(f"cell {name}: its code must be the chapter's")
        elif unlinked(after) != unlinked(before):
            wrong.append(f"cell {name}: its text must be the chapter's")
        if figure := cell["metadata"].get("mystnb", {}).get("figure"):
            caption = below.get(name) or {"cell_type": "", "source": ""}
            if caption["cell_type"] != "markdown" or unlinked(figure["caption"]) not in unlinked(source(caption)):
                wrong.append(f"cell {name}: the caption of {figure['name']} must stand below it, as the chapter has it")

    setup = next((source(cell) for cell in made["cells"] if cell["cell_type"] == "code"), "")
    if setup != gate.repository.setup_cell():
        wrong.append("the first code cell must install the release that book/_repository.py names")
    for cell in made["cells"]:
        if cell["cell_type"] == "markdown":
            wrong += [f"cell {cell['id']}: a link that needs the book around it: {link}"
                      for link in LINK.findall(source(cell)) if not re.match("https?://", link)]
    return wrong


def open_answer(before, after):
    """Return what is wrong with the switch of an answer: if it is off, nothing may be computed."""
    match ast.parse(after).body:
        case [ast.Assign([ast.Name("show_answer")], ast.Constant(False)), ast.If(ast.Name("show_answer"), body, [])]:
            lines = [re.sub(r"^display\((.*)\)$", r"\1", ast.unparse(line)) for line in body]
            if lines != [ast.unparse(line) for line in ast.parse(before).body]:
                yield "its answer must be the chapter's"
        case _:
            yield "an answer must be behind its switch, and the switch off"


def needed_later(chapter):
    """Return names that only an answer defines and a later cell uses: with the switch off that cell would fail."""
    answered, defined, needed = set(), set(), []
    for cell in chapter["cells"]:
        if cell["cell_type"] == "code":
            nodes = [*ast.walk(ast.parse(source(cell)))]
            new = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            new |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            if is_answer(cell):
                answered |= new
            else:
                defined |= new
                used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
                needed += [f"cell {cell['id']}: {name}" for name in sorted(used & answered - defined)]
    return needed
