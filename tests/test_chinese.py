"""The catalogues of the Chinese pages: of the sentences that are there now, with their numbers and links."""

import io
import json
import os
import re
import sys
from collections import Counter

import gate
import pytest
from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po

sys.path.insert(0, str(gate.ROOT / "book"))
import _chinese as chinese  # noqa: E402

NAMES = ["contents", *chinese.PAGES]
EACH = pytest.mark.parametrize("name", NAMES)
# What a translation must have as its source has it, in whatever order.
KEPT = {
    "numbers": r"[0-9]+(?:[.,][0-9]+)*|[⁰¹²³⁴-⁹₀-₉]+",
    "links": r"\]\(([^)\s]*(?:\([^)]*\)[^)\s]*)*)\)",
    "code": r"`[^`]+`",
    "formulas": r"\$[^$]+\$",
}


def read(text):
    return read_po(io.BytesIO(text), locale=chinese.LANGUAGE)


@pytest.fixture(scope="module")
def said():
    """{catalogue: [message, ...]} of the sources, as Sphinx takes them for translation."""
    env = {name: os.environ[name] for name in gate.passed() if name in os.environ} | {"PYTHONUTF8": "1"}
    status, output = gate.run(sys.executable, "-P", "-B", gate.ROOT / "book" / "_chinese.py", "messages",
                              cwd=gate.ROOT, env=env)
    assert status == 0, output[-3000:]
    return json.loads(output)


def complaints(catalogue, messages):
    """Return what is to be done in a catalogue, so that it is the translation of these messages."""
    wrong = [f"translate anew: {message}" for message in dict.fromkeys(messages) if message not in catalogue]
    for message in filter(lambda message: message.id, catalogue):
        if message.id not in messages:
            wrong.append(f"no longer in the page: {message.id}")
        elif message.fuzzy or not message.string:
            wrong.append(f"{'fuzzy' if message.fuzzy else 'not translated'}: {message.id}")
    return wrong + [f"obsolete: {message}" for message in catalogue.obsolete]


def departures(source, translation):
    """Return what of the source the translation has lost, and what it has added."""
    wrong = []
    for what, pattern in KEPT.items():
        there, here = (Counter(re.findall(pattern, text)) for text in (source, translation))
        if there != here:
            wrong.append(f"{what}: lost {[*(there - here).elements()]}, added {[*(here - there).elements()]}: {source}")
    return wrong


def test_the_pages_of_the_front_door_are_there(said):
    assert {"book/index", "book/live", "book/explorer", "book/about/notation"} < set(chinese.PAGES)
    assert sorted(said) == sorted(NAMES)
    assert sum(map(len, said.values())) > 400
    assert any(message.startswith("One mark per run") for message in said["book/explorer"]), "captions of figures"
    assert any(message.startswith("The weights w as an arrow") for message in said["book/index"]), "alt texts"


@EACH
def test_every_sentence_is_translated_as_it_is_now(name, said):
    """After a change of an English page: `make chinese`, then the translation, without the line that says fuzzy."""
    path = chinese.CATALOGUES / f"{name}.po"
    assert complaints(read(path.read_bytes()), said[name]) == [], path.relative_to(gate.ROOT)


@EACH
def test_a_translation_has_the_numbers_links_code_and_formulas_of_its_source(name):
    found = chinese.translations(chinese.CATALOGUES / f"{name}.po")
    assert [wrong for source, text in found.items() for wrong in departures(source, text)] == []


@EACH
def test_a_translation_is_chinese_where_its_source_has_words(name):
    """Symbols, names and links stay."""
    names = {"Kosson et al. (2024)", "You et al. (2017)", "API", "[6. LARS](06-lars.ipynb)", "nat, u"}
    apart = rf"_\w+|\\[a-z]+|{'|'.join(list(KEPT.values())[1:])}"
    english = [source for source, text in chinese.translations(chinese.CATALOGUES / f"{name}.po").items()
               if re.search("[A-Za-z]{3,}", re.sub(apart, "", source)) and not re.search("[\u4e00-\u9fff]", text)]
    assert set(english) <= names


OLD = [("The norm is 2.", "范数是 2。"), ("Steps grow.", "步变长。"), ("This goes.", "这句没有了。")]
NEW = ["The norm is 3.", "Steps grow.", "Wholly new."]


def catalogue():
    made = Catalog(locale=chinese.LANGUAGE, fuzzy=False)
    for source, text in OLD:
        made.add(source, text)
    return made


def test_a_changed_sentence_is_named():
    assert complaints(catalogue(), [source for source, _ in OLD]) == []
    assert complaints(catalogue(), NEW) == [
        "translate anew: The norm is 3.", "translate anew: Wholly new.",
        "no longer in the page: The norm is 2.", "no longer in the page: This goes."]


def test_an_update_keeps_what_is_right_and_marks_the_rest():
    file = io.BytesIO()
    write_po(file, chinese.merged(catalogue(), NEW), width=0)
    new = read(file.getvalue())
    assert {message.id: (message.string, message.fuzzy) for message in new if message.id} == {
        "The norm is 3.": ("范数是 2。", True), "Steps grow.": ("步变长。", False), "Wholly new.": ("", False)}
    assert complaints(new, NEW) == ["fuzzy: The norm is 3.", "not translated: Wholly new."]


@pytest.mark.parametrize("text, what", [
    ("在 3 % 以内，见[第 5 章](05.ipynb)的 `lr` 和 $w^2$", None),
    ("见[第 5 章](05.ipynb)的 $w^2$ 和 `lr`，在 3 % 以内", None),
    ("在 4 % 以内，见[第 5 章](05.ipynb)的 `lr` 和 $w^2$", "numbers"),
    ("在 3 % 以内，见[第 5 章](6.ipynb)的 `lr` 和 $w^2$", "links"),
    ("在 3 % 以内，见[第 5 章](05.ipynb)的 `wd` 和 $w^2$", "code"),
    ("在 3 % 以内，见[第 5 章](05.ipynb)的 `lr` 和 $v^2$", "formulas")])
def test_what_a_translation_departs_in_is_named(text, what):
    wrong = departures("within 3 %, see [chapter 5](05.ipynb), `lr` and $w^2$", text)
    assert any(one.startswith(what) for one in wrong) if what else wrong == []
