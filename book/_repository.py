"""Where the project lives: one URL, one ref of it, and everything that is spelled out from them.

Both are written in pyproject.toml, and nowhere else by hand. The ref is the tag or branch that setup cells install, so
that a notebook runs with the code that it was made with; ``v{version}`` is the tag of the package's version. ``make
repository URL=https://github.com/OWNER/NAME REF=...`` changes them there and in the places that readers and services
copy them from: the setup cell of every chapter, the Colab links, the address of the built site, the citation. What is
not given stays as it is. Standard library only.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The first code cell of every chapter, byte for byte. It does something only where the package is missing, and then
# installs the package alone. ``%pip`` would do the same, but a line that is no Python stops marimo and other readers of
# notebooks.
SETUP_CELL = """\
# Installs the book's package where it is missing, as in Colab. Elsewhere it does nothing.
import importlib.util
import os

if importlib.util.find_spec("resnet_dynamics") is None:
    source = os.environ.get("RESNET_DYNAMICS_SOURCE", "git+{url}@{ref}")
    get_ipython().run_line_magic("pip", f"install -q {{source}}")
    importlib.invalidate_caches()"""


# An owner that GitHub lets nobody register, for its two hyphens: as long as the project lives nowhere, nobody else can
# hand out code under its address.
NOWHERE = "https://github.com/resnet--dynamics/weight-decay-in-motion"

# GitHub's rules. Of an owner: letters and digits with single hyphens between them, 39 at most. Of a name: these
# characters, 100 at most; "." and ".." are folders, .git at the end is no part of it, and - in front makes an option.
OWNER = r"(?=.{1,39}/)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
NAME = r"(?!\.{1,2}$)(?!-)(?!.*\.git$)[\w.-]{1,100}"

# A tag or a branch. Without a slash, as it is one part of an address, and git's rules for dots.
REF = r"(?!.*\.\.)(?!.*\.(?:lock)?$)[A-Za-z0-9][\w.+-]{0,99}"


def read(root=ROOT):
    """Return the URL, such as ``https://github.com/OWNER/NAME``."""
    return project(root)["urls"]["Repository"]


def project(root=ROOT):
    """Return what pyproject.toml says of the project."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def ref(root=ROOT):
    """Return the tag or branch that setup cells install, such as ``v0.1.0``."""
    written = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["book"]["ref"]
    return written.replace("{version}", project(root)["version"])


def setup_cell(root=ROOT):
    """Return the source of the setup cell."""
    return SETUP_CELL.format(url=read(root), ref=ref(root))


def slug(url):
    """Return ``OWNER/NAME``; a URL of another form is an error."""
    plain = url.removesuffix("/").removesuffix(".git")
    found = re.fullmatch(rf"https://github\.com/({OWNER}/{NAME})", plain, re.ASCII)
    if not found and plain != NOWHERE:
        raise SystemExit(f"URL={url!r}: must be of the form https://github.com/OWNER/NAME")
    return plain.removeprefix("https://github.com/")


def pages(url):
    """Return the address of the book that GitHub Pages serves for `url`, with a closing slash."""
    owner, name = slug(url).split("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def colab(url, ref, name):
    """Return the address at which Colab opens the edition of a chapter (_colab.py): a folder of the branch colab has
    the editions of a ref, so that a link to them stays good."""
    return f"https://colab.research.google.com/github/{slug(url)}/blob/colab/{ref}/{name}.ipynb"


def spellings(url):
    """Return the URL and what follows from it, each in full: a bare OWNER/NAME may be anything in a text."""
    return [f"https://github.com/{slug(url)}", f"https://colab.research.google.com/github/{slug(url)}", pages(url)]


def files(root=ROOT):
    """Return the files in which the URL may be spelled out."""
    top = [root / name for name in ("pyproject.toml", "_config.yml", "CITATION.cff", "README.md")]
    return top + [path for end in ("md", "ipynb", "po") for path in sorted((root / "book").rglob(f"*.{end}"))]


def write_ref(tag, root):
    """Write another ref into pyproject.toml; return whether it was another."""
    if not re.fullmatch(REF, tag.replace("{version}", "0"), re.ASCII):
        raise SystemExit(f"REF={tag!r}: must be a tag or a branch, of letters, digits and . _ + -, such as v1.2.3")
    path = root / "pyproject.toml"
    before = path.read_text(encoding="utf-8")
    after = re.sub(r'(?<=^ref = ").*?(?=")', tag, before, flags=re.M)
    path.write_text(after, encoding="utf-8")
    return after != before


def write(url=None, tag=None, root=ROOT):
    """Replace the URL and the ref everywhere; return what changed. What is None stays as it is."""
    new = dict(zip(spellings(read(root)), spellings(read(root) if url is None else url)))
    ends = r"(?![\w-]|\.\w)"  # else it is the URL of a repository whose name goes on
    old = re.compile("|".join(re.escape(one) + ("" if one.endswith("/") else ends) for one in new))
    changed = [root / "pyproject.toml"] if tag is not None and write_ref(tag, root) else []
    for path in files(root):  # pyproject.toml first: setup cells are spelled out from it
        before = path.read_text(encoding="utf-8")
        after = old.sub(lambda found: new[found[0]], before)
        if path.suffix == ".ipynb":
            after = SETUP_STORED.sub(lambda _: stored(setup_cell(root)), after)
        else:
            after = re.sub(r"(?<=/blob/colab/)[\w.+-]+(?=/)", ref(root), after)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return list(dict.fromkeys(changed))


# The setup cell as a notebook stores it: a list of lines in JSON.
SETUP_STORED = re.compile(r'"# Installs the book\'s package (?:.|\n)*?importlib\.invalidate_caches\(\)"')


def stored(source):
    return ",\n    ".join(json.dumps(line, ensure_ascii=False) for line in source.splitlines(keepends=True))


if __name__ == "__main__":
    if sys.argv[1:] == ["--ref"]:
        print(ref())
    elif len(sys.argv) != 3:
        raise SystemExit("usage: make repository URL=https://github.com/OWNER/NAME REF=v1.2.3")
    else:
        for path in write(*(given or None for given in sys.argv[1:])):
            print(path.relative_to(ROOT))
