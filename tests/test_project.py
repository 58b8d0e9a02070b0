"""What is spelled out in several places agrees, and what belongs to one machine is in none."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib

import gate
import pytest
import yaml

ROOT = gate.ROOT
URL = gate.repository.read()
LOCK = (ROOT / "requirements.txt").read_text()
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.M))
REF = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["book"]["ref"]
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
    done = subprocess.run(["make", "-s", "repository", f"URL={new}", "REF=course-2026", f"PYTHON={sys.executable}"],
                          cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (gate.repository.read(copy), gate.repository.ref(copy)) == (new, "course-2026")
    assert f'"git+{new}@course-2026"' in gate.repository.setup_cell(copy)
    colab = re.compile(r"colab\.research\.google\.com/[\w./-]+\.ipynb")
    links = {link for _, text in texts(copy) for link in colab.findall(text)}
    assert links == {"colab.research.google.com/github/some-one/some.where/blob/colab/course-2026/"
                     "01-training-loop.ipynb"}
    old = (gate.repository.slug(URL), gate.repository.pages(URL).split("//")[1])
    here = ("book/_repository.py", "tests/test_project.py")
    assert [name for name, text in texts(copy) if name not in here and any(part in text for part in old)] == []
    assert gate.repository.write(URL, REF, copy)
    changed = [name for name in gate.sources()
               if (ROOT / name).read_bytes() != (copy / name).read_bytes()]
    assert changed == [], "there and back again is the same"


@pytest.mark.parametrize("url", [
    "", "github.com/a/b", "https://github.com/a", "https://example.com/a/b", "https://github.com/a/b/c",
    *(f"https://github.com/{owner}/b" for owner in ("-a", "a-", "a--b", "a_b", "a.b", "ä", "a" * 40, "a b", "..")),
    *(f"https://github.com/a/{name}" for name in ("", ".", "..", ".git", "-rf", "ä", "b c", "b\n", "b@1", "b.git.git")),
    "https://github.com/resnet--dynamics/another"])
def test_a_wrong_url_is_named(url):
    with pytest.raises(SystemExit, match="must be of the form"):
        gate.repository.write(url)


@pytest.mark.parametrize("tag", [
    "", "a/b", "a..b", ".a", "a.", "a.lock", "-a", "a b", 'a"b', "a@b", "ä", "a\n", "a" * 101])
def test_a_wrong_ref_is_named(tag):
    with pytest.raises(SystemExit, match="must be a tag or a branch"):
        gate.repository.write(tag=tag)


@pytest.mark.parametrize("url", [
    "https://github.com/a/b", "https://github.com/a-b-1/b_c.d", "https://github.com/a/b.git",
    "https://github.com/a/.github", "https://github.com/resnet--dynamics/weight-decay-in-motion"])
def test_a_right_url_is_taken(url):
    assert gate.repository.slug(url) == gate.repository.slug(url + "/") == url.split("/", 3)[3].removesuffix(".git")


def test_no_other_text_is_touched(tmp_path):
    """An owner and a name that are words of the book come and go, and so does a repository whose name goes on."""
    copy = gate.copy_project(tmp_path)
    other = "book/about, https://github.com/book/about-us, https://github.com/book/about.us: see https://github.com/{}."
    (copy / "README.md").write_text(other.format("book/about"))
    gate.repository.write("https://github.com/book/about", root=copy)
    gate.repository.write("https://github.com/a/b", root=copy)
    assert (copy / "README.md").read_text() == other.format("a/b")
    gate.repository.write(URL, root=copy)
    changed = [name for name in gate.sources() if (ROOT / name).read_bytes() != (copy / name).read_bytes()]
    assert [name.as_posix() for name in changed] == ["README.md"]


def test_setup_cells_install_the_ref(tmp_path):
    """That is the release of this version, also after the version has changed and the script has run."""
    copy = gate.copy_project(tmp_path)
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{PROJECT["version"]}"', 'version = "3.2.1"'))
    assert REF == "v{version}"
    for root, version in ((ROOT, PROJECT["version"]), (copy, "3.2.1")):
        gate.repository.write(root=copy)
        assert gate.repository.ref(root) == f"v{version}"
        assert f'"git+{URL}@v{version}"' in gate.repository.setup_cell(root)
        for chapter in gate.CHAPTERS:
            text = (root / chapter.relative_to(ROOT)).read_text(encoding="utf-8")
            assert re.findall(r'git\+([^\\"]*)', text) == [f"{URL}@v{version}"]


@pytest.mark.parametrize("given", [
    {"URL": 'https://github.com/a/b"; touch ran; "'}, {"URL": "https://github.com/a/$(shell touch ran)"},
    {"URL": "https://github.com/a/$$(touch ran)"}, {"URL": "https://github.com/a/`touch ran`"},
    {"REF": '"; touch ran; "'}, {"REF": "$(shell touch ran)"}, {"PYTHON": "true; touch ran;"},
    {"PYTHON": "$(shell touch ran)"}, {"VENV": '"; touch ran; "'},
    {"VENV": "$(shell touch ran)"}, {"VENV": "x$$(touch ran)"}, {"DATA": '"; touch ran; "'},
    {"DATA": "$(shell touch ran)"}, {"DATA": "'; touch ran; '"}, {"CHAPTERS": "x; touch ran"},
    {"CHAPTERS": "$(shell touch ran)"}, {"CHAPTERS": "`touch ran`"}])
def test_what_make_is_given_is_never_a_command(given, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(shutil.which("false"))
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    given = {"PYTHON": "false", "VENV": "venv"} | given
    for target in ("repository", "setup", "book", "recordings", "colab", "lowest", "figures"):
        (tmp_path / "venv" / ".installed").touch()
        status, _ = gate.run("make", target, *(f"{k}={v}" for k, v in given.items()), cwd=tmp_path, env=os.environ)
        assert status or target == "setup"
        assert sorted(path.name for path in tmp_path.rglob("ran")) == [], target


def test_make_takes_nothing_of_that_from_the_environment(tmp_path):
    """DATA or VENV may mean something else there."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    other = {name: "elsewhere" for name in ("PYTHON", "VENV", "DATA", "URL", "REF", "CHAPTERS")}
    (tmp_path / "more").write_text("said:\n\t@echo $$PYTHON $$VENV $$DATA $$URL $$REF $$CHAPTERS\n")
    command = ("make", "-s", "-f", "Makefile", "-f", "more", "said")
    status, output = gate.run(*command, cwd=tmp_path, env=os.environ | other)
    assert (status, output) == (0, "python3 .venv\n"), output


def test_pins_are_exact_and_cover_the_package():
    asked = [line.partition("#")[0].strip() for line in (ROOT / "requirements.in").read_text().splitlines()]
    direct = dict(line.split("==") for line in filter(None, asked))
    assert direct.items() <= PINS.items(), "requirements.txt is not that of requirements.in: make lock"
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()  # lower bounds only
        pinned, lowest = (tuple(map(int, re.findall(r"\d+", v)))[:3] for v in (direct[name], bound))
        assert pinned >= lowest, requirement
        assert name not in ("jupyter-book", "sphinx")


def test_every_pin_has_hashes():
    """Each is one version, perhaps with a marker, and the hashes of its files; nothing else is in the file."""
    one = r"([a-z\d][\w.-]*)==[\w.]+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[\da-f]{64})+\n"
    pins = re.sub(r"^ *#.*\n", "", LOCK, flags=re.M)
    assert re.fullmatch(f"(?:{one})+", pins)
    names = re.findall(one, pins)
    assert len(names) == len(set(names)), "no package has two versions"


def test_workflows_run_what_was_read():
    """Each action is one commit, whose version stands beside it, and zizmor finds nothing to attack."""
    for workflow in (ROOT / ".github" / "workflows").iterdir():
        for used in re.findall(r"uses: (.*)", workflow.read_text()):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[\da-f]{40}  # v\d+\.\d+\.\d+", used), used
    zizmor = shutil.which("zizmor", path=sysconfig.get_path("scripts"))
    if not zizmor:
        pytest.skip("needs zizmor, which make setup installs")
    status, output = gate.run(zizmor, "--offline", "--no-progress", "--strict-collection", ".github", cwd=ROOT,
                              env=os.environ)
    assert status == 0, output


def test_workflows_name_files_that_are_there():
    for workflow in (ROOT / ".github" / "workflows").iterdir():
        for name in re.findall(r"\b(?:tests|\.github|src|\.ci)/[\w./-]*\w", workflow.read_text()):
            assert (ROOT / name).exists(), f"{workflow.name}: {name}"


PYTHONS = ("3.11", "3.14")  # the lowest and the highest that are promised


def test_the_pythons_are_the_same_everywhere():
    (lowest, highest), numbers = PYTHONS, [tuple(map(int, version.split("."))) for version in PYTHONS]
    makefile = (ROOT / "Makefile").read_text()
    assert PROJECT["requires-python"] == f">={lowest}"
    assert f"Python {lowest} to {highest}" in (ROOT / "README.md").read_text()
    assert f"Python {lowest} to {highest} is needed" in makefile
    assert f"{numbers[0]} <= sys.version_info[:2] <= {numbers[1]}" in makefile
    assert f"--python-version {lowest} " in makefile
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == [*PYTHONS]


@pytest.mark.parametrize("version, system, machine, said", [
    ((3, 10, 12), "linux", "x86_64", "Python 3.11 to 3.14 is needed, and this is 3.10"),
    ((3, 15, 0), "linux", "x86_64", "Python 3.11 to 3.14 is needed, and this is 3.15"),
    ((3, 13, 1), "darwin", "x86_64", "PyTorch is no longer made for Macs with an Intel processor"),
    ((3, 11, 0), "darwin", "arm64", None), ((3, 14, 9), "linux", "aarch64", None)])
def test_make_says_why_a_python_does_not_do(version, system, machine, said, tmp_path):
    """This Python, which says that it is another one."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    other = tmp_path / "other.py"
    other.write_text(f"import platform, sys\nsys.version_info = {version}\nsys.platform = {system!r}\n"
                     f"platform.machine = lambda: {machine!r}\nsys.argv.pop(0)\n"
                     "if sys.argv[0] == '-c': exec(sys.argv.pop(1))\nelse: sys.exit('the check is passed')\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{other}" "$@"\n')
    python.chmod(0o755)
    status, output = gate.run("make", "install", f"PYTHON={python}", cwd=tmp_path, env=os.environ)
    assert status and output.startswith(said or "the check is passed"), output


def test_set_up_goes_where_it_should(tmp_path):
    """Into VENV, whatever the reader's variables and pip.conf say of where and how; and a second one does nothing."""
    project, elsewhere, home = tmp_path / "project", tmp_path / "elsewhere", tmp_path / "home"
    (project / "src").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", project)
    (project / "requirements.txt").write_text("# nothing\n")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "tiny"\nversion = "1"\n'
        '[tool.setuptools]\npackage-dir = {"" = "src"}\npy-modules = ["tiny"]\n')
    (project / "src" / "tiny.py").touch()
    where = {"user": "yes", "target": elsewhere, "prefix": elsewhere, "root": elsewhere, "no-binary": ":all:",
             "constraint": elsewhere / "none", "require-virtualenv": "yes"}
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text(
        "[install]\n" + "".join(f"{name} = {value}\n" for name, value in where.items()))
    python = gate.fresh_environment(project / ".venv")
    env = os.environ | {f"PIP_{name.upper().replace('-', '_')}": str(value) for name, value in where.items()}
    env |= {"HOME": str(home), "PIP_DRY_RUN": "1", "PYTHONPATH": str(elsewhere), "PYTHONHOME": str(elsewhere)}
    status, output = gate.run("make", "setup", cwd=project, env=env)
    assert status == 0 and "pip install" in output, output
    assert not elsewhere.exists() and not list(home.rglob("*tiny*"))
    plain = {"PATH": os.environ["PATH"]}
    assert gate.run(python, "-P", "-c", "import tiny", cwd=tmp_path, env=plain) == (0, "")
    assert gate.run("make", "setup", cwd=project, env=env) == (0, "")


# What a wheel of each kind of machine may be called, and what environment markers say there.
LINUX = [f"manylinux_2_{i}" for i in range(28, 4, -1)] + ["manylinux2014", "manylinux2010", "manylinux1"]
MACHINES = {
    "Linux": ([f"{name}_x86_64" for name in LINUX], "linux", "x86_64", "posix"),
    "Linux on ARM": ([f"{name}_aarch64" for name in LINUX], "linux", "aarch64", "posix"),
    "Windows": (["win_amd64"], "win32", "AMD64", "nt"),
    "Apple silicon": ([f"macosx_{i}_0_arm64" for i in (14, 13, 12, 11)], "darwin", "arm64", "posix"),
}


@pytest.mark.book
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_pins_are_there_for(machine, python, tmp_path):
    """pip finds a wheel of every pin, in the oldest release of that Python, and its hash is in the file."""
    from packaging.requirements import Requirement

    tags, platform, processor, name = MACHINES[machine]
    markers = {"python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython",
               "sys_platform": platform, "platform_machine": processor, "os_name": name}
    pins = [Requirement(line) for line in re.findall(r"^([a-z\d][^\\\n]*)", LOCK, re.M)]
    wanted = [f"{pin.name}{pin.specifier}" for pin in pins if pin.marker is None or pin.marker.evaluate(markers)]
    # Without hashes here: with them pip would download the files, and so it reads the index alone.
    (tmp_path / "wanted.txt").write_text("\n".join(wanted))
    status, output = gate.run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:",
        f"--python-version={python}.0", "--implementation=cp", *(f"--platform={tag}" for tag in tags),
        f"--target={tmp_path}", f"--report={tmp_path / 'report.json'}", "-r", tmp_path / "wanted.txt",
        cwd=tmp_path, env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")})
    if re.search("NewConnectionError|ConnectTimeoutError|NameResolutionError|ProxyError", output):
        pytest.skip("needs a registry of packages, and pip reaches none")
    assert status == 0, output[-2000:]
    found = json.loads((tmp_path / "report.json").read_text())["install"]
    assert len(found) == len(wanted)
    hashes = {one["metadata"]["name"]: one["download_info"]["archive_info"]["hashes"]["sha256"] for one in found}
    assert {name: value for name, value in hashes.items() if value not in LOCK} == {}


def test_pre_commit_has_the_pinned_versions():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    used = [pin for repo in config["repos"] for hook in repo["hooks"]
            for pin in hook["additional_dependencies"]]
    assert used and set(used) <= {f"{name}=={version}" for name, version in PINS.items()}


def test_ruff():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise"]
    done = subprocess.run([*command, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def scripts():
    """JavaScript and CSS that people write: the page's, the explorer's, and its tests."""
    folders = ("book/_slides", "book/_static", "src/explorer", "tests/explorer")
    return [ROOT / name for name in gate.sources()
            if name.parent.as_posix() in folders and name.suffix in (".js", ".mjs", ".css")]


def test_javascript_keeps_to_the_width_of_python():
    """Strings and comments, too, which no formatter breaks."""
    width = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["line-length"]
    assert f'"lineWidth": {width}' in (ROOT / "biome.jsonc").read_text()
    lines = [(path.name, i, line) for path in scripts() for i, line in enumerate(path.read_text().splitlines(), 1)]
    assert len(lines) > 1000 and [one for one in lines if len(one[2]) > width] == []


def test_every_script_parses():
    node = shutil.which("node") or pytest.skip("needs node")
    for path in scripts():
        if path.suffix != ".css":
            status, output = gate.run(node, "--check", path, cwd=ROOT, env=os.environ)
            assert status == 0, output


def test_biome():
    """As make lint runs it, where npm ci has installed it: a test has no network."""
    biome = ROOT / "src" / "explorer" / "node_modules" / ".bin" / "biome"
    if not (biome.exists() and shutil.which("node")):
        pytest.skip("needs biome: npm ci --prefix src/explorer")
    command = re.search(r"biome (check .*)", (ROOT / "Makefile").read_text())[1].split()
    status, output = gate.run(biome, *command, cwd=ROOT, env=os.environ)
    assert status == 0, output


def test_the_api_page_has_every_module():
    page = (ROOT / "book" / "about" / "api.md").read_text()
    modules = {path.stem for path in (ROOT / "src" / "resnet_dynamics").glob("[!_]*.py")}
    shown = re.findall(r"automodule:: resnet_dynamics\.(\w+)", page)
    inside = re.findall(r"^- `(\w+)`: (.+)$", page, re.M)
    assert sorted([*shown, *(name for name, _ in inside)]) == sorted(modules)
    for name, line in inside:
        assert importlib.import_module(f"resnet_dynamics.{name}").__doc__.splitlines()[0] == line


def test_the_examples_of_the_api_page_run(tmp_path, monkeypatch):
    """In one go, as the page says; and each name has a line and an example."""
    from matplotlib import pyplot

    page = (ROOT / "book" / "about" / "api.md").read_text().split("## Everything")[0]
    names = re.findall(r"^`(rd\.[\w.]+)`: .+\n(?:.+\n)*\n```python\n((?:.+\n|\n)*?)```", page, re.M)
    assert 20 <= len(names) <= 32 and page.count("```python") == len(names) + 1
    for name, example in names:
        assert name.replace("measure.rms", "") in example, name
        assert len([line for line in example.splitlines() if line]) <= 3, name
    monkeypatch.chdir(tmp_path)
    program = "\n".join(re.findall(r"```python\n(.*?)```", page, re.S))
    try:
        exec(program, {})
    finally:
        pyplot.close("all")


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


def bibliography():
    """Return (entry, its last names, its years): its own, and that in its key, if it was another."""
    from pybtex.database import parse_file

    entries = parse_file(str(ROOT / "book" / "about" / "references.bib")).entries.values()
    plain = [(entry, [" ".join((*who.prelast_names, *who.last_names)).strip("{}") for who in entry.persons["author"]])
             for entry in entries]
    return [(entry, names, {entry.fields["year"], re.search(r"\d{4}", entry.key)[0]}) for entry, names in plain]


def cited(texts, names, years):
    """Whether a text names these authors with one of these years: A (2020), A and B (2020), A et al., 2020."""
    if len(names) < 3:
        who = [" (?:and|&) ".join(map(re.escape, names))]
    else:
        who = [f"{re.escape(names[0])} et al[.]",
               f"{', '.join(map(re.escape, names[:-1]))},? (?:and|&) {re.escape(names[-1])}"]
    return re.search(rf"\b(?:{'|'.join(who)}),? \(?(?:{'|'.join(years)})\b", texts) is not None


def test_every_reference_is_named_on_a_page():
    """By author and year, in a page or a docstring; and who is named is in the bibliography."""
    named = []
    for name, text in texts():
        if name.startswith("book/") and name.endswith(".ipynb"):
            text = "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
        elif not (name.startswith(("book/", "src/resnet_dynamics/")) and name.endswith((".md", ".py"))):
            continue
        named.append(re.sub(r"\s+", " ", text.replace("’", "'")))
    named = "\n".join(named)
    entries = bibliography()
    assert len(entries) > 30
    assert [entry.key for entry, names, years in entries if not cited(named, names, years)] == []
    known = {(names[0].split()[-1], year) for _, names, years in entries for year in years}
    found = re.findall(r"([A-Z][\w'-]+)(?:(?:,| and| &) [A-Z][\w'-]+)*(?: et al[.]),? \(?((?:19|20)\d\d)\b", named)
    assert [one for one in found if one not in known] == []


@pytest.mark.parametrize("text, found", [
    ("Li, Wang and Yu (2022)", True), ("as in Li, Wang & Yu, 2022", True), ("Li et al. (2022)", True),
    ("Li (2022)", False), ("Li, Wang and Yu (2021)", False), ("Li and Wang (2022)", False)])
def test_a_reference_is_found_by_author_and_year(text, found):
    assert cited(text, ["Li", "Wang", "Yu"], {"2022"}) is found


def test_the_weekly_run_takes_the_newest_of_all_but_two(tmp_path):
    """As the step of the workflow writes it."""
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text())["jobs"]["newest"]["steps"]
    write = next(step["run"] for step in steps if step.get("run", "").startswith("sed"))
    shutil.copy(ROOT / "requirements.in", tmp_path)
    assert subprocess.run(write, shell=True, cwd=tmp_path).returncode == 0
    asked, newest = ([line.partition("#")[0].strip() for line in (tmp_path / name).read_text().splitlines()]
                     for name in ("requirements.in", "newest.txt"))
    kept = [line for line in newest if "==" in line]
    assert [line.partition("==")[0] for line in asked] == [line.partition("==")[0] for line in newest]
    assert [line.partition("==")[0] for line in kept] == ["jupyter-book", "soupsieve"] and set(kept) <= set(asked)


def test_the_design_page_counts_our_extensions():
    words = dict(zip(range(7, 15), ("Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve", "Thirteen", "Fourteen")))
    found = [*(ROOT / "book" / "_extensions").glob("*.py")]
    assert f"| {words[len(found)]} extensions of our own" in (ROOT / "book" / "about" / "design.md").read_text()


def test_the_changelog_is_of_this_version():
    """What is not released yet stands first, what is released has a date, and the package's version is there."""
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.*?)\](.*)$", text, re.M)
    assert versions[0] == ("Unreleased", "")
    assert f"What will be {PROJECT['version']}," in text or PROJECT["version"] in dict(versions)
    assert [one for one in versions[1:] if not re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", " ".join(one))] == []
