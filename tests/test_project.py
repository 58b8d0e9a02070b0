"""What is spelled out in several places agrees, and what belongs to one machine is in none."""

import re
import subprocess
import sys
import tomllib

import gate
import pytest
import yaml

ROOT = gate.ROOT
URL = gate.repository.read()
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def texts(root=ROOT):
    """Yield (name, text) of every file of the project that is text."""
    for name in gate.sources(root):
        try:
            yield name.as_posix(), (root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_the_repository_is_the_same_everywhere():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    pages = gate.repository.pages(URL)
    assert config["repository"]["url"] == citation["repository-code"] == URL
    assert config["html"]["baseurl"] == citation["url"] == pages
    assert config["sphinx"]["config"]["ogp_site_url"] == pages
    assert pages in (ROOT / "README.md").read_text()


def test_the_version_is_the_same_everywhere():
    import resnet_dynamics

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == resnet_dynamics.__version__


def test_make_repository_changes_it_everywhere(tmp_path):
    copy = gate.copy_project(tmp_path)
    new = "https://github.com/some-one/some.where"
    done = subprocess.run(["make", "-s", "repository", f"URL={new}", f"PYTHON={sys.executable}"],
                          cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert gate.repository.read(copy) == new
    old = (gate.repository.slug(URL), gate.repository.pages(URL).split("//")[1])
    assert [name for name, text in texts(copy) if any(part in text for part in old)] == []
    assert gate.repository.write(URL, copy)
    changed = [name for name in gate.sources()
               if (ROOT / name).read_bytes() != (copy / name).read_bytes()]
    assert changed == [], "there and back again is the same"


@pytest.mark.parametrize("url", ["", "github.com/a/b", "https://github.com/a", "https://example.com/a/b"])
def test_a_wrong_url_is_named(url):
    with pytest.raises(SystemExit, match="must be of the form"):
        gate.repository.write(url)


def test_pins_are_exact_and_cover_the_package():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines()
             if line and not line.startswith("#")]
    assert len(PINS) == len(lines)
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()  # lower bounds only
        pinned, lowest = (tuple(map(int, re.findall(r"\d+", v)))[:3] for v in (PINS[name], bound))
        assert pinned >= lowest, requirement
        assert name not in ("jupyter-book", "sphinx")


def test_pre_commit_has_the_pinned_versions():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    used = [pin for repo in config["repos"] for hook in repo["hooks"]
            for pin in hook["additional_dependencies"]]
    assert used and set(used) <= {f"{name}=={version}" for name, version in PINS.items()}


def test_ruff():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise"]
    done = subprocess.run([*command, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_api_page_has_every_module():
    page = (ROOT / "book" / "about" / "api.md").read_text()
    modules = {path.stem for path in (ROOT / "src" / "resnet_dynamics").glob("[!_]*.py")}
    assert set(re.findall(r"automodule:: resnet_dynamics\.(\w+)", page)) == modules


def test_nothing_of_one_machine_is_written_down():
    """No absolute path of a home or a mount, no package index."""
    machine = re.compile(r"(?<![\w.])/(?:home|root|Users|mnt|workspace|work)/\w"
                         r"|--(?:extra-)?index-url|\bpypi\.\w+")
    here = "tests/test_project.py"
    assert [(name, found[0]) for name, text in texts()
            if name != here and (found := machine.search(text))] == []


def test_nothing_is_left_to_do():
    marks = re.compile(r"\b(TODO|FIXME|XXX|Placeholder)\b")
    here = "tests/test_project.py"
    assert [(name, found[0]) for name, text in texts()
            if name != here and (found := marks.search(text))] == []
