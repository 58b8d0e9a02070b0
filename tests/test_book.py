"""Every chapter runs alone, the book is built without a warning, and broken ones are found."""

import os
import re
import shutil
import subprocess
import sys

import gate
import nbformat
import pytest
import yaml

CHAPTERS = pytest.mark.parametrize("chapter", gate.CHAPTERS, ids=lambda path: path.stem)
FIXTURES = gate.ROOT / "tests" / "fixtures"


@pytest.fixture(scope="module")
def reader(tmp_path_factory, project):
    """(python, env) of somebody who has the dependencies and ran the setup cell."""
    folder = tmp_path_factory.mktemp("reader")
    env = gate.environment(folder / "cache")
    python = gate.fresh_environment(folder / "venv")
    missing = "import importlib.util as u; assert u.find_spec('resnet_dynamics') is None"
    status, output = gate.run(python, "-c", missing, cwd=folder, env=env)
    assert status == 0, "the package is there before the setup cell ran"
    (folder / "empty").mkdir()
    status, output = gate.run_setup_cell(python, project, folder / "empty", env)
    assert status == 0 and "ERROR" not in output, output
    where = "import resnet_dynamics as rd; print(rd.__file__)"
    status, output = gate.run(python, "-c", where, cwd=folder, env=env)
    assert status == 0 and str(folder) in output, output
    return python, env


def test_there_are_chapters_and_the_contents_list_them():
    contents = yaml.safe_load((gate.ROOT / "_toc.yml").read_text())
    listed = re.findall(r"'file': '([^']+)'", str(contents))
    assert {path.relative_to(gate.ROOT).with_suffix("").as_posix() for path in gate.CHAPTERS} == {
        name for name in listed if (gate.ROOT / f"{name}.ipynb").exists()}
    assert gate.CHAPTERS
    for name in [contents["root"], *listed]:
        assert any((gate.ROOT / f"{name}{end}").exists() for end in (".md", ".ipynb")), name


@CHAPTERS
def test_chapter_is_stored_as_it_should(chapter):
    notebook = nbformat.read(chapter, as_version=4)
    nbformat.validate(notebook)
    assert gate.complaints(notebook, chapter.name) == []


def test_each_equation_has_one_home():
    homes = {}
    for chapter in gate.CHAPTERS:
        for tag in re.findall(r"\\tag\{(.*?)\}", "\n".join(
                c.source for c in nbformat.read(chapter, as_version=4).cells)):
            homes.setdefault(tag, []).append(chapter.name)
    assert {tag: names for tag, names in homes.items() if len(names) > 1} == {}


def test_figures_of_the_book_have_names_of_their_own():
    names = [cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
             for chapter in gate.CHAPTERS for cell in nbformat.read(chapter, as_version=4).cells]
    names = [name for name in names if name]
    assert len(set(names)) == len(names)


def test_chapters_hold_nothing_to_strip():
    done = subprocess.run(
        [sys.executable, "-m", "nbstripout", "--keep-id", "--verify", *gate.CHAPTERS],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.book
@CHAPTERS
def test_chapter_runs_alone(chapter, reader, tmp_path):
    python, env = reader
    (tmp_path / "empty").mkdir()
    status, output, executed = gate.run_chapter(python, chapter, tmp_path / "empty", env)
    assert status == 0, output[-3000:]
    assert gate.failures(executed) == []


@pytest.mark.book
def test_book_builds_without_a_warning(build_log):
    status, output = build_log
    assert status == 0, output[-3000:]
    assert "build succeeded." in output and "WARNING" not in output


# ---------------------------------------------------------------------------------------------
# the gate itself can fail

@pytest.mark.book
def test_a_broken_chapter_fails_when_it_is_run(reader, tmp_path):
    python, env = reader
    (tmp_path / "empty").mkdir()
    status, output, _ = gate.run_chapter(python, FIXTURES / "broken.ipynb", tmp_path / "empty", env)
    assert status == 1 and "ZeroDivisionError" in output


@pytest.mark.book
def test_an_exception_that_a_widget_swallows_is_found(reader, tmp_path):
    python, env = reader
    (tmp_path / "empty").mkdir()
    chapter = FIXTURES / "swallowed.ipynb"
    status, output, executed = gate.run_chapter(python, chapter, tmp_path / "empty", env)
    assert status == 0, "nbmake alone does not see it"
    assert any("ZeroDivisionError" in failure for failure in gate.failures(executed))


@pytest.mark.book
def test_a_chapter_cannot_reach_the_network(reader, tmp_path):
    python, env = reader
    (tmp_path / "empty").mkdir()
    status, output, _ = gate.run_chapter(python, FIXTURES / "online.ipynb", tmp_path / "empty", env)
    assert status == 1 and "no network in the tests" in output


@pytest.fixture
def small_book(project, tmp_path):
    """The same configuration and command, with a book of two pages; its chapter is still to be written."""
    book = tmp_path / "project"
    (book / "book" / "about").mkdir(parents=True)
    for name in ("Makefile", "_config.yml", "pyproject.toml", "book/_repository.py", "book/_colab.py",
                 "book/about/references.bib"):
        shutil.copy(project / name, book / name)
    for name in ("_static", "_extensions"):
        shutil.copytree(project / "book" / name, book / "book" / name)
    (book / "book" / "index.md").write_text("# A book\n")
    (book / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters:\n- file: book/chapter\n")
    return book


@pytest.mark.book
@pytest.mark.parametrize("fixture, said", [
    ("sound.ipynb", None), ("broken.ipynb", "ZeroDivisionError"), ("badlink.ipynb", "target not found"),
    ("answer.ipynb", None), ("stray.ipynb", "a cell tagged answer must follow"),
    ("online.ipynb", "no network in the tests"), ("nopicture.ipynb", "its cell must show one picture")])
def test_a_broken_chapter_fails_the_build(fixture, said, small_book, builder):
    shutil.copy(FIXTURES / fixture, small_book / "book" / "chapter.ipynb")
    status, output = gate.build(small_book, builder)
    assert (status != 0 and said in output) if said else status == 0, output[-2000:]
    if fixture == "answer.ipynb":
        page = (small_book / "_build" / "html" / "book" / "chapter.html").read_text()
        box = page.split("<summary>Answer</summary>")[1].split("</details>")[0]
        assert "in words" in box and "machine says 42" in box and "This is outside" not in box


@pytest.mark.book
def test_nothing_of_the_readers_settings_reaches_the_page(small_book, builder, tmp_path):
    """The same page, byte for byte, whatever the reader has exported and written into the files of his home."""
    shutil.copy(FIXTURES / "settings.ipynb", small_book / "book" / "chapter.ipynb")
    (small_book / "book" / "index.md").write_text("# A book\n\n```{explorer}\n```\n")  # Sphinx draws it

    def built(**changes):
        status, output = gate.build(small_book, builder, **changes)
        assert status == 0, output[-3000:]
        html = small_book / "_build" / "html"
        assert not {path.stat().st_mode & 0o777 for path in html.rglob("*")} - {0o644, 0o755}
        return {path.relative_to(html): path.read_bytes() for path in html.rglob("*")
                if path.suffix in (".html", ".png", ".css", ".js")}

    before = built()
    home, poison = tmp_path / "home", tmp_path / "poison"
    tiny = "figure.figsize: 1, 1\nlines.linewidth: 9\nfont.family: serif\n"
    files = {
        "home/.config/matplotlib/matplotlibrc": tiny,
        "home/.matplotlib/matplotlibrc": tiny,
        "home/.ipython/profile_default/startup/00.py": "print('from the startup file')",
        "home/.ipython/profile_default/ipython_kernel_config.py": "c.InlineBackend.figure_formats = {'svg'}",
        "home/.local/share/jupyter/kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "no kernel"}',
        "home/.jupyter/jupyter_config.json": '{"KernelManager": {"kernel_cmd": ["false"]}}',
        "poison/matplotlibrc": tiny,
        "poison/sitecustomize.py": "print('from PYTHONPATH')",
        "poison/numpy.py": "raise ImportError('from PYTHONPATH')",
        "poison/startup.py": "print('from PYTHONSTARTUP')",
        "poison/elsewhere/book/chapter.ipynb": "",
        "project/matplotlibrc": tiny,
        "project/numpy.py": "raise ImportError('from the working directory')",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    mask = os.umask(0o077)
    try:
        after = built(
            HOME=str(home), XDG_CONFIG_HOME=str(home / ".config"), XDG_CACHE_HOME="/dev/null", LANG="C", LC_ALL="C",
            MPLBACKEND="agg", MATPLOTLIBRC=str(poison / "matplotlibrc"), MPLCONFIGDIR=str(poison),
            PYTHONPATH=str(poison), PYTHONHOME=str(poison), PYTHONSTARTUP=str(poison / "startup.py"),
            PYTHONOPTIMIZE="2", PYTHONWARNINGS="error", PYTHONDONTWRITEBYTECODE="1", PYTHONINSPECT="1",
            PYTHONIOENCODING="ascii", PYTHONUTF8="0", PYTHONFAULTHANDLER="1", PYTHONDEVMODE="1",
            JUPYTER_PATH=str(home / ".local/share/jupyter"), JUPYTER_CONFIG_DIR=str(home / ".jupyter"),
            JUPYTER_DATA_DIR=str(home / ".local/share/jupyter"), JUPYTER_PREFER_ENV_PATH="0",
            IPYTHONDIR=str(home / ".ipython"), SPHINXOPTS="-b text", SPHINXBUILD="false", FORCE_COLOR="1",
            RESNET_DYNAMICS_CACHE="/dev/null", RESNET_DYNAMICS_CIFAR10="/dev/null", OMP_DYNAMIC="true",
            VIRTUAL_ENV=str(poison), CONDA_PREFIX=str(poison), CDPATH=str(poison / "elsewhere"), MAKEFLAGS="-k",
            VENV=str(poison), BIN=str(poison), PYTHON="false", CLEAN="false", PASSED="PYTHONPATH MPLBACKEND")
    finally:
        os.umask(mask)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def chapter(*cells, **metadata):
    """A chapter that keeps all rules, with more cells: Markdown strings or code cells."""
    new = nbformat.v4.new_notebook()
    new.nbformat_minor = 5
    new.metadata = {"kernelspec": {"name": "python3"}} | metadata
    setup = nbformat.v4.new_code_cell(gate.repository.setup_cell())
    setup.metadata["tags"] = ["remove-cell"]
    new.cells = [nbformat.v4.new_markdown_cell("# 1. A title"), setup, *(
        nbformat.v4.new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells)]
    return new


def test_a_sound_chapter_has_no_complaint():
    sound = chapter("## Equation (2′): growth\n\n$$ a \\tag{2'} $$",
                    "`{code}` and ```{not a role}```",
                    "<details>\n<summary>Answer</summary>\n\n$1$\n\n</details>",
                    "```python\n(1)=\n```\nset $\\{1\\}$ and $\\frac{1}{2}$ `x`")
    assert gate.complaints(sound, "01-a.ipynb") == []


@pytest.mark.parametrize("cell, said", [
    ("```{note}\nx\n```", "a directive"),
    (":::{note}\nx\n:::", "a directive"),
    ("see {eq}`one`", "a role"),
    ("(here)=\n## A heading", "a target"),
    ("$$ x $$ (one)", "a labelled equation"),
    ("$$ x \\tag{3} $$", "needs a heading"),
    ("<details>\n<summary>A</summary>\n$x$\n\n</details>", "no blank line"),
    ("<details>\n<summary>A</summary>\n\n$x$\n</details>", "no blank line"),
    ("# Another title", "exactly one heading"),
    ("![](a.png)", "alt text"),
    (nbformat.v4.new_code_cell("1", execution_count=1), "outputs"),
    (nbformat.v4.new_code_cell("1", metadata={"tags": ["answer"]}), "must follow a cell that ends"),
    (nbformat.v4.new_code_cell("1", metadata={"mystnb": {
        "figure": {"name": "fig-a", "caption": "A."}, "image": {"alt": "a.png"}}}), "alt must say"),
    (nbformat.v4.new_code_cell("1", metadata={"mystnb": {
        "figure": {"name": "fig-a"}, "image": {"alt": "Two curves that meet."}}}), "a caption"),
])
def test_a_rule_that_is_broken_is_named(cell, said):
    assert any(said in complaint for complaint in gate.complaints(chapter(cell), "01-a.ipynb"))


PICTURE = nbformat.v4.new_output("display_data", {"image/png": "", "text/plain": "<Figure>"})
BAR = nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "9%| |"})
SAID = nbformat.v4.new_output("stream", text="said")


@pytest.mark.parametrize("outputs, right", [
    ([PICTURE], True), ([SAID, PICTURE, SAID], True),
    ([], False), ([SAID], False), ([PICTURE, PICTURE], False), ([SAID, BAR, PICTURE], False), ([BAR], False)])
def test_a_cell_with_a_figure_shows_one_picture_and_nothing_else(outputs, right):
    """No picture: a hole in the page. A second display: a second figure of the same name."""
    cell = nbformat.v4.new_code_cell("plt.show()", outputs=outputs, metadata={"mystnb": {
        "figure": {"name": "fig-a", "caption": "A."}, "image": {"alt": "Two curves that meet."}}})
    assert (gate.failures(chapter(cell)) == []) == right


@pytest.mark.parametrize("name, accelerator", [("06-lars", None), ("08-momentum", "GPU"), ("explorer", "TPU")])
def test_a_gpu_is_asked_for_where_it_pays(name, accelerator):
    asked = chapter(**({"accelerator": accelerator} if accelerator else {}))
    assert any("accelerator must be" in complaint for complaint in gate.complaints(asked, f"{name}.ipynb"))


def test_a_changed_setup_cell_is_named():
    changed = chapter()
    changed.cells[1].source += "\n"
    assert "setup cell" in gate.complaints(changed, "01-a.ipynb")[0]


@pytest.mark.book
def test_readme_example_runs(tmp_path):
    readme = (gate.ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.S | re.M)
    assert blocks, "README.md has an example"
    (tmp_path / "empty").mkdir()
    for block in blocks:
        status, output = gate.run(sys.executable, "-c", block, cwd=tmp_path / "empty",
                                  env=gate.environment(tmp_path / "cache", MPLBACKEND="agg"))
        assert status == 0 and "Warning" not in output, output
