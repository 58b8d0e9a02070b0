"""What Colab ships, as constraints for pip: .ci/colab.txt, made from the list that Colab publishes.

``python .ci/freeze.py`` says what has changed since, and exits with 1 if a package of the book has moved; with
``--write`` it takes the new list over, with the day and the commit of it. It needs the network, so no test runs it; a
file in place of the address, ``--list FILE``, needs none. Standard library only.
"""

import argparse
import json
import re
import sys
import tomllib
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / ".ci" / "colab.txt"
LIST = "https://raw.githubusercontent.com/googlecolab/backend-info/{commit}/pip-freeze.txt"
LAST = "https://api.github.com/repos/googlecolab/backend-info/commits?path=pip-freeze.txt&per_page=1"

# What the chapters import besides the package and what it depends on, what runs them, and what installs it.
CHAPTERS = ("sympy",)
KERNEL = ("ipykernel", "ipython", "jupyter_client", "nbclient", "nbformat", "pandas", "pyzmq", "tornado", "traitlets")
INSTALLS = ("pip", "setuptools", "wheel")

HEAD = """\
# What Colab ships: https://github.com/googlecolab/backend-info, pip-freeze.txt of {date}, commit {commit}.
# Python {python}. Made by .ci/freeze.py. Left out: what comes from no registry, and NVIDIA's libraries, which torch
# pins itself.
"""


def project():
    """Return what pyproject.toml says of the package."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def depends():
    """Return the names of the package's dependencies."""
    return [re.match(r"[\w.-]+", one)[0] for one in project()["dependencies"]]


def plain(name):
    """Return a package's name in the one spelling that all of its spellings have in common."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(freeze):
    """Return {package: version}. A file of torch's own index counts as its version: torch-2.11.0%2Bcpu-..."""
    found = {}
    for line in freeze.splitlines():
        named = re.match(r"([\w.-]+)==(\S+)$", line) or re.match(r"(torch\w*) @ \S+/torch\w*-([\d.]+)", line)
        if named and not named[1].startswith("nvidia-"):
            found[plain(named[1])] = named[2]
    return found


def python(freeze):
    """Return Colab's Python, such as 3.13, as the files of its torch are named for."""
    major, minor = re.search(r"^torch @ \S*-cp(\d)(\d+)-", freeze, re.M).groups()
    return f"{major}.{minor}"


def constraints(freeze, commit, date):
    """Return the text of .ci/colab.txt."""
    lines = [f"{name}=={version}\n" for name, version in sorted(versions(freeze).items())]
    return HEAD.format(date=date, commit=commit, python=python(freeze)) + "".join(lines)


def said_python(text):
    """Return the Python that .ci/colab.txt states."""
    return re.search(r"^# Python (\d+\.\d+)\.", text, re.M)[1]


def moved(old, freeze):
    """Return one line for each package that the book meets in Colab and that is another one now, and for Python."""
    before, after = versions(old), versions(freeze)
    before["python"], after["python"] = said_python(old), python(freeze)
    met = ["python", *map(plain, (*depends(), *CHAPTERS, *KERNEL, *INSTALLS))]
    return [f"{name}: {before.get(name, 'none')} → {after.get(name, 'none')}"
            for name in met if before.get(name) != after.get(name)]  # fmt: skip


def download(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read().decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write .ci/colab.txt")
    parser.add_argument("--list", type=Path, metavar="FILE", help="a pip-freeze.txt that is here already")
    parser.add_argument("--commit", help="the commit of FILE")
    parser.add_argument("--date", help="its day, as 2026-08-19")
    given = parser.parse_args()
    if given.list:
        freeze, commit, date = given.list.read_text(encoding="utf-8"), given.commit, given.date
    else:
        last = json.loads(download(LAST))[0]
        commit, date = last["sha"], last["commit"]["committer"]["date"][:10]
        freeze = download(LIST.format(commit=commit))
    old = HERE.read_text(encoding="utf-8") if HERE.exists() else None
    if old:
        changes = moved(old, freeze)
        print("\n".join(changes) or "Nothing that the book meets in Colab has moved.")
    if given.write:
        HERE.write_text(constraints(freeze, commit, date), encoding="utf-8")
    elif old and changes:
        sys.exit(1)


if __name__ == "__main__":
    main()
