"""What an edition for students must not have (book/_teach.py): anything of an answer of its chapter."""

import re

FOLDED = re.compile(r"<details>.*?</details>", re.S)
LONG = 6  # words and signs in a row that no other text of the chapter has


def source(cell):
    return "".join(cell["source"])


def strings(value):
    """Yield every text that is anywhere in a notebook, also in metadata and outputs."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        yield "".join(value)
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from strings(one)


def rows(texts):
    """Return all rows of so many words and signs; of a shorter text, the whole."""
    found = set()
    for text in texts:
        words = re.findall(r"\w+|[^\w\s]", text)
        found |= {tuple(words[i:i + LONG]) for i in range(max(len(words) - LONG, 0) + 1)} if words else set()
    return found


def answers(chapter):
    """Return (answers, all else) of a chapter, as lists of texts."""
    hidden, open_ = [], []
    for cell in chapter["cells"]:
        if "answer" in cell["metadata"].get("tags", []):
            hidden.append(source(cell))
        elif cell["cell_type"] == "markdown":
            hidden += [re.sub(r"<summary>.*?</summary>|</?details>", "", one) for one in FOLDED.findall(source(cell))]
            open_.append(FOLDED.sub("\n", source(cell)))
        else:
            open_ += strings(cell)
    return hidden, open_


def leaks(made, chapter, shown=()):
    """Return the rows of words and signs that an edition has of an answer; `shown` is what the package shows anyway."""
    hidden, open_ = answers(chapter)
    return sorted(" ".join(row) for row in (rows(hidden) - rows([*open_, *shown])) & rows(strings(made)))
