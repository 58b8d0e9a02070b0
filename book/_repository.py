"""Where the project lives: one URL, and everything that is spelled out from it.

The URL and the version are written in pyproject.toml. ``make repository URL=https://github.com/OWNER/NAME`` changes the
URL there and in the places that readers and services copy it from: the setup cell of every chapter, the Colab links,
the address of the built site, the citation. It also writes the version into the setup cells: they install the release
of that name, so that a book runs with the code that it was made with. Standard library only.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The first code cell of every chapter, byte for byte. It does something only where the package is
# missing, and then installs the package alone.
SETUP_CELL = """\
# Installs the book's package where it is missing, as in Colab. Elsewhere it does nothing.
import importlib.util
import os

if importlib.util.find_spec("resnet_dynamics") is None:
    source = os.environ.get("RESNET_DYNAMICS_SOURCE", "git+{url}@v{version}")
    %pip install -q {{source}}
    importlib.invalidate_caches()"""


# An owner that GitHub lets nobody register, for its two hyphens: as long as the project lives nowhere, nobody else can
# hand out code under its address.
NOWHERE = "https://github.com/resnet--dynamics/weight-decay-in-motion"

# GitHub's rules. Of an owner: letters and digits with single hyphens between them, 39 at most. Of a name: these
# characters, 100 at most; "." and ".." are folders, .git at the end is no part of it, and - in front makes an option.
OWNER = r"(?=.{1,39}/)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
NAME = r"(?!\.{1,2}$)(?!-)(?!.*\.git$)[\w.-]{1,100}"


def read(root=ROOT):
    """Return the URL, such as ``https://github.com/OWNER/NAME``."""
    return project(root)["urls"]["Repository"]


def project(root=ROOT):
    """Return what pyproject.toml says of the project."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def setup_cell(root=ROOT):
    """Return the source of the setup cell."""
    return SETUP_CELL.format(url=read(root), version=project(root)["version"])


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


def spellings(url):
    """Return the URL and what follows from it, each in full: a bare OWNER/NAME may be anything in a text."""
    return [f"https://github.com/{slug(url)}", f"https://colab.research.google.com/github/{slug(url)}", pages(url)]


def files(root=ROOT):
    """Return the files in which the URL may be spelled out."""
    top = [root / name for name in ("pyproject.toml", "_config.yml", "CITATION.cff", "README.md")]
    return top + sorted((root / "book").rglob("*.md")) + sorted((root / "book").rglob("*.ipynb"))


def write(new, root=ROOT):
    """Replace the URL by `new` everywhere, and the release in setup cells by the version; return what changed."""
    new = dict(zip(spellings(read(root)), spellings(new)))
    ends = r"(?![\w-]|\.\w)"  # else it is the URL of a repository whose name goes on
    old = re.compile("|".join(re.escape(url) + ("" if url.endswith("/") else ends) for url in new))
    release = re.compile(r"git\+(https://[\w./-]+)(?:@[\w.+-]+)?")
    changed = []
    for path in files(root):
        before = path.read_text(encoding="utf-8")
        after = old.sub(lambda found: new[found[0]], before)
        if path.suffix == ".ipynb":
            after = release.sub(rf"git+\1@v{project(root)['version']}", after)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        raise SystemExit("usage: make repository URL=https://github.com/OWNER/NAME")
    for path in write(sys.argv[1]):
        print(path.relative_to(ROOT))
