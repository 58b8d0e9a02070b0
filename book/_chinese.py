"""The Chinese pages: from the English ones and the catalogues in book/locale, through Sphinx's own translation.

    python book/_chinese.py stage FOLDER BUILD    write the sources of a book of these pages; `make html` builds it
    python book/_chinese.py update                bring the catalogues up to date; `make chinese`
    python book/_chinese.py messages              print what is there to translate, as JSON

A page that has a catalogue is translated; links to all others lead to the English pages (_extensions/languages.py).
What a page shows is taken from the English build, so no chapter is executed again, and no number is computed twice.
`update` adds new sentences and drops old ones. A sentence that has changed keeps its old translation, marked *fuzzy*:
translate it again and take the mark away. tests/test_chinese.py names every sentence that is missing.
"""

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
LANGUAGE = "zh_CN"
LOCALE = ROOT / "book" / "locale" / LANGUAGE
CATALOGUES = LOCALE / "LC_MESSAGES"
CONTENTS = CATALOGUES / "contents.po"  # the list of all pages; each other catalogue is of one page
PAGES = sorted(path.relative_to(CATALOGUES).with_suffix("").as_posix() for path in CATALOGUES.rglob("*/*.po"))
TITLE = "运动中的权重衰减"
ENGLISH = ("editions", "performance_page", "recordings_page")  # extensions for pages that are not translated
HEADER = rf"""msgid ""
msgstr ""
"Language: {LANGUAGE}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: nplurals=1; plural=0;\n"

"""
WIDGET = re.compile(r"^```\{live\}\n.*?^```\n", re.S | re.M)
PICTURES = sorted((ROOT / "book" / "_static").glob("triangle-*.svg"))
WORDS = re.compile("(<text[^>]*>)(.*?)(?=</text>)")
BUTTON = re.compile(r"^(```\{button-ref\} .*\n(?::.*\n)*\n)(.*)$", re.M)  # whose words Sphinx does not translate
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/x8AAwMCAO+ip1sAAAAASUVORK5CYII="


def source(page):
    """Return the file of an English page."""
    return next(path for end in (".md", ".ipynb") if (path := ROOT / f"{page}{end}").is_file())


def headline(page):
    """Return the title of an English page, as it is written."""
    path, text = source(page), source(page).read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    return re.search(r"^# (.*)$", text, re.M)[1]


def contents():
    """Return the list of all pages, as it is for the English book."""
    return yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def titles():
    """Return what no page's catalogue has: captions of the list of pages, titles of those that are not translated,
    and the words of buttons and pictures."""
    said = [found[2] for page in PAGES if source(page).suffix == ".md"
            for found in BUTTON.finditer(source(page).read_text(encoding="utf-8"))]  # fmt: skip
    said += dict.fromkeys(found[2] for path in PICTURES for found in WORDS.finditer(path.read_text(encoding="utf-8")))
    for part in contents()["parts"]:
        said.append(part["caption"])
        said += [headline(entry["file"]) for entry in part["chapters"] if entry["file"] not in PAGES]
    return said


def translations(file):
    """Return {English: Chinese} of a catalogue."""
    from babel.messages.pofile import read_po

    with file.open("rb") as stream:
        return {message.id: message.string for message in read_po(stream) if message.id}


# ---------------------------------------------------------------------------------------------
# the sources of the Chinese book

def stage(folder, build=None):
    """Write the sources to `folder`: pages with their keys, catalogues, configuration, list of contents.

    `build` is the folder of the English build, which has the executed notebooks. Without it there are no widgets, and a
    figure is one pixel: all that a list of messages needs.
    """
    folder, said = Path(folder), translations(CONTENTS)
    for page in PAGES:
        path = source(page)
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            target.write_text(translated(BUTTON, text, said) if build else WIDGET.sub("", text), encoding="utf-8")
        else:
            path = Path(build, "jupyter_execute", f"{page}.ipynb") if build else path
            notebook = json.loads(path.read_text(encoding="utf-8"))
            target.write_text(json.dumps(notebook if build else with_pictures(notebook)), encoding="utf-8")
    shutil.copytree(ROOT / "book" / "_static", folder / "book" / "_static")
    for path in PICTURES:
        text = path.read_text(encoding="utf-8")
        (folder / path.relative_to(ROOT)).write_text(translated(WORDS, text, said), encoding="utf-8")
    (folder / "book" / "about").mkdir(exist_ok=True)
    shutil.copy(ROOT / "book" / "about" / "references.bib", folder / "book" / "about")
    shutil.copytree(CATALOGUES, folder / "locale" / LANGUAGE / "LC_MESSAGES")
    for name, made in (("_config.yml", configuration(build)), ("_toc.yml", chinese_contents())):
        (folder / name).write_text(yaml.safe_dump(made, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def translated(pattern, text, said):
    """Return the text with what the second group of a pattern finds in Chinese."""
    return pattern.sub(lambda found: found[1] + (said.get(found[2]) or found[2]), text)


def with_pictures(notebook):
    """Give each cell that draws a figure one pixel to show: captions come with what is shown."""
    for cell in notebook["cells"]:
        if "figure" in cell["metadata"].get("mystnb", {}):
            cell["outputs"] = [{"output_type": "display_data", "data": {"image/png": PIXEL}, "metadata": {}}]
    return notebook


def add_keys(folder):
    """Put what the English words of a widget mean below the widget."""
    live, explorer = ((LOCALE / f"{name}.md").read_text(encoding="utf-8") for name in ("live", "explorer"))
    for page in ("book/index", "book/live"):
        path = Path(folder, f"{page}.md")
        text, times = WIDGET.subn(lambda found: f"{found[0]}\n{live}", path.read_text(encoding="utf-8"))
        assert times == 1, f"{page}.md: {times} networks that train, and one was expected"
        path.write_text(text, encoding="utf-8")
    path = Path(folder, "book", "explorer.ipynb")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    place = next(i for i, cell in enumerate(notebook["cells"]) if "rd.Explorer(" in "".join(cell["source"]))
    notebook["cells"].insert(place + 1, {"cell_type": "markdown", "id": "key", "metadata": {}, "source": explorer})
    path.write_text(json.dumps(notebook), encoding="utf-8")


def configuration(build):
    """Return the configuration of the English book with what is different."""
    made = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    base, config = made["html"]["baseurl"], made["sphinx"]["config"]
    made["title"] = config["ogp_site_name"] = TITLE
    made["execute"] = {"execute_notebooks": "off"}
    made["launch_buttons"] = {}
    made["html"]["favicon"] = str(ROOT / made["html"]["favicon"])
    made["html"]["baseurl"] = config["ogp_site_url"] = f"{base}zh/"
    made["html"]["extra_footer"] = (
        '代码采用 MIT 许可证，文字与图采用 <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>。')
    extensions = made["sphinx"]["local_extensions"].items()
    made["sphinx"]["local_extensions"] = {name: str(ROOT / path) for name, path in extensions if name not in ENGLISH}
    config["extensions"] = [name for name in config["extensions"] if name not in ENGLISH]
    config |= {
        "language": LANGUAGE,
        "english_site": str(Path(build or ".", "html").resolve()),
        "locale_dirs": ["locale"],
        "gettext_compact": False,  # a catalogue for each page
        "gettext_location": False,
        "gettext_uuid": False,
        "nb_code_prompt_show": "显示代码",
        "nb_code_prompt_hide": "隐藏代码",
        "ogp_image": f"{base}{config['ogp_image']}",
        "ogp_image_alt": "训练中八个层的点沿着直线 √(2λα) 走。",
    }
    return made


def chinese_contents():
    """Return the list of all pages, in Chinese; those that are not translated have addresses of their own kind."""
    made, said = contents(), translations(CONTENTS)

    def entry(page):
        title = headline(page)
        return {"file": page} if page in PAGES else {"url": f"english://{page}", "title": said.get(title) or title}

    for part in made["parts"]:
        part["caption"] = said.get(part["caption"]) or part["caption"]
        part["chapters"] = [entry(one["file"]) for one in part["chapters"]]
    return made


# ---------------------------------------------------------------------------------------------
# the catalogues

def messages():
    """Return {catalogue: [message, ...]}: what is there to translate, from the sources as they are now."""
    from babel.messages.pofile import read_po
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    english = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config = {  # what decides how text is read, and nothing of how a page looks
        "extensions": ["sphinx_design", "myst_nb"],
        "root_doc": "book/index",
        "exclude_patterns": ["_build"],
        "nb_execution_mode": "off",
        "myst_enable_extensions": english["parse"]["myst_enable_extensions"],
        "gettext_compact": False,  # a catalogue for each page
        "gettext_location": False,
        "gettext_uuid": False,
    }
    found = {"contents": titles()}
    with tempfile.TemporaryDirectory() as folder:
        folder = stage(Path(folder).resolve())
        with patch_docutils(folder), docutils_namespace():
            Sphinx(folder, None, folder / "out", folder / "trees", "gettext", config, status=None, warning=None).build()
        for page in PAGES:
            with (folder / "out" / f"{page}.pot").open("rb") as stream:
                found[page] = [message.id for message in read_po(stream) if message.id]
    return found


def merged(catalogue, said):
    """Bring the catalogue of a page to the messages `said`; return it.

    What has changed a little keeps its old translation, and is fuzzy.
    """
    from babel.messages import Catalog

    template = Catalog()
    for message in said:
        template.add(message)
    catalogue.update(template, no_fuzzy_matching=False, update_creation_date=False)
    catalogue.obsolete.clear()
    return catalogue


def update():
    """Bring the catalogues up to date; print what is to be translated."""
    from babel.messages.pofile import read_po, write_po

    left = 0
    for name, said in messages().items():
        path = CATALOGUES / f"{name}.po"
        with path.open("rb") as stream:
            catalogue = merged(read_po(stream, locale=LANGUAGE), said)
        with path.open("wb") as stream:
            stream.write(HEADER.encode())
            write_po(stream, catalogue, width=0, omit_header=True)
        for message in catalogue:
            if message.id and (message.fuzzy or not message.string):
                left += 1
                print(f"{path.relative_to(ROOT)}: {'changed' if message.fuzzy else 'new'}: {message.id}")
    print(f"{left} to translate" if left else "nothing to translate")


if __name__ == "__main__":
    if sys.argv[1:2] == ["stage"] and len(sys.argv) == 4:
        add_keys(stage(sys.argv[2], sys.argv[3]))
    elif sys.argv[1:] == ["messages"]:
        print(json.dumps(messages()))
    elif sys.argv[1:] == ["update"]:
        update()
    else:
        sys.exit(__doc__)
