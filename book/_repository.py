"""Where the project lives: one URL, and everything that is spelled out from it.

The URL is written in pyproject.toml. ``make repository URL=https://github.com/OWNER/NAME`` changes
it there and in the places that readers and services copy it from: the setup cell of every chapter,
the Colab links, the address of the built site, the citation. Standard library only.
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
    source = os.environ.get("RESNET_DYNAMICS_SOURCE", "git+{url}")
    %pip install -q {{source}}
    importlib.invalidate_caches()"""


def read(root=ROOT):
    """Return the URL, such as ``https://github.com/OWNER/NAME``."""
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]["urls"]["Repository"]


def setup_cell(url):
    """Return the source of the setup cell for the repository at `url`."""
    return SETUP_CELL.format(url=url)


def slug(url):
    """Return ``OWNER/NAME``; a URL of another form is an error."""
    found = re.fullmatch(r"https://github\.com/([\w-]+/[\w.-]+?)(\.git)?/?", url)
    if not found:
        raise SystemExit(f"URL={url!r}: must be of the form https://github.com/OWNER/NAME")
    return found[1]


def pages(url):
    """Return the address of the book that GitHub Pages serves for `url`, with a closing slash."""
    owner, name = slug(url).split("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def files(root=ROOT):
    """Return the files in which the URL may be spelled out."""
    top = [root / name for name in ("pyproject.toml", "_config.yml", "CITATION.cff", "README.md")]
    return top + sorted((root / "book").rglob("*.md")) + sorted((root / "book").rglob("*.ipynb"))


def write(new, root=ROOT):
    """Replace the URL by `new` everywhere; return the files that changed."""
    old = read(root)
    new = f"https://github.com/{slug(new)}"
    changed = []
    for path in files(root):
        before = path.read_text(encoding="utf-8")
        after = before.replace(pages(old), pages(new)).replace(slug(old), slug(new))
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        raise SystemExit("usage: make repository URL=https://github.com/OWNER/NAME")
    for path in write(sys.argv[1]):
        print(path.relative_to(ROOT))
