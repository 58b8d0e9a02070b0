"""The Markdown of chapters as HTML, as far as slides need it: paragraphs, lists, tables, quotes, code, links, formulas.

Formulas stay as they are, for MathJax to find: ``\\( \\)`` in a line, ``\\[ \\]`` displayed. Standard library only.
"""

import re
from html import escape

# A displayed formula, as chapters have them; the first group is what stands between $$ and $$.
DISPLAYED = re.compile(r"^\$\$(.*?)\$\$$|^(\\begin\{align\*\}.*?\\end\{align\*\})$", re.M | re.S)

# What is not Markdown inside: code, and formulas in a line, with the sign that must not be parted from them.
APART = re.compile(r"(`+)(.+?)\1|\$([^$]+?)\$([,.;:?!)]*)", re.S)

ITEM = re.compile(r"^(?:[-*]|(\d+)\.) +", re.M)


def blocks(markdown):
    """Return the blocks of Markdown, [(kind, text)]: heading, formula, list, table, code, or text.

    A paragraph that a quote, or a formula, interrupts is several blocks; ``>`` is left out.
    """
    markdown = re.sub(r"^> ?", "", markdown, flags=re.M)
    found = []
    for part in re.split(r"(?ms)(^\$\$.*?\$\$$|^\\begin\{align\*\}.*?\\end\{align\*\}$|^```.*?^```$)", markdown):
        if DISPLAYED.fullmatch(part):
            found.append(("formula", part))
        elif part.startswith("```"):
            found.append(("code", re.sub(r"^```.*\n|\n```$", "", part)))
        else:
            for text in filter(None, (one.strip("\n") for one in re.split(r"\n\s*\n", part))):
                if text.strip():
                    found.append((kind(text), text))
    return found


def kind(text):
    if text.startswith("#"):
        return "heading"
    if text.startswith("|"):
        return "table"
    return "list" if ITEM.match(text) else "text"


def html(markdown, address=str):
    """Return Markdown as HTML. `address` says where a link leads."""
    made, lists = [], []
    for name, text in blocks(markdown):
        if name == "list":  # items with an empty line between them are one list
            lists += items(text)
            continue
        made, lists = made + listed(lists, address), []
        if name == "heading":
            made.append(f"<h3>{line(text.lstrip('# '), address)}</h3>")
        elif name == "formula":
            made.append(formula(text))
        elif name == "table":
            made.append(table(text, address))
        elif name == "code":
            made.append(f"<pre>{escape(text)}</pre>")
        else:
            made.append(f"<p>{line(text, address)}</p>")
    return "\n".join(made + listed(lists, address))


def formula(text):
    """Return a displayed formula for MathJax: without the comma or full stop of its sentence, and (1') with a prime."""
    inside, environment = DISPLAYED.fullmatch(text).groups()
    tex = re.sub(r"\\tag\{(\d)'\}", r"\\tag{$\1'$}", environment or rf"\[{inside}\]")
    tex = re.sub(r"(?<!\\)[\s,.:;]+(?=(?:\\tag\{[^}]*\}|\\end\{\w+\*?\}|\\\]|\s)+$)", " ", tex)
    return f'<div class="formula">{escape(tex, quote=False)}</div>'


def items(text):
    """Return [(number or None, Markdown)] of a list."""
    starts = [found.start() for found in ITEM.finditer(text)] + [len(text)]
    parts = [text[start:end] for start, end in zip(starts, starts[1:])]
    return [(ITEM.match(part)[1], ITEM.sub("", part, count=1).strip()) for part in parts]


def listed(parts, address):
    """Return a list as HTML, [HTML]; of no items nothing."""
    if not parts:
        return []
    number, inside = parts[0][0], "".join(f"<li>{line(text, address)}</li>" for _, text in parts)
    start = f' start="{number}"' if number not in (None, "1") else ""
    return [f"<ol{start}>{inside}</ol>" if number else f"<ul>{inside}</ul>"]


def table(text, address):
    rows = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in text.splitlines()]
    head, body = rows[0], rows[2:]

    def made(row, tag):
        return "<tr>" + "".join(f"<{tag}>{line(cell, address)}</{tag}>" for cell in row) + "</tr>"

    top = f"<thead>{made(head, 'th')}</thead>" if any(head) else ""
    return f"<table>{top}<tbody>{''.join(made(row, 'td') for row in body)}</tbody></table>"


def line(text, address=str):
    """Return Markdown within a line: emphasis, links, code, formulas."""
    kept = []

    def keep(found):
        ticks, code, tex, sign = found.groups()
        kept.append(f"<code>{escape(code, quote=False)}</code>" if ticks else
                    rf'<span class="whole">\({escape(tex, quote=False)}\){sign}</span>')
        return f"\0{len(kept) - 1}\0"

    text = escape(APART.sub(keep, text), quote=False)
    text = re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)",
                  lambda found: f'<a href="{escape(address(found[2]))}">{found[1]}</a>', text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text, flags=re.S)
    text = re.sub(r"(?<![*\w])\*([^*]+?)\*(?![*\w])", r"<em>\1</em>", text)
    return re.sub("\0(\\d+)\0", lambda found: kept[int(found[1])], text)
