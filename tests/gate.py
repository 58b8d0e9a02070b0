"""What guards the book: how it is built and run in the tests, and what a chapter must look like.

Chapters and build get an empty cache and no network; chapters also an empty working directory and
only the installed package: a fresh environment into which the setup cell itself installed it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = [*sorted((ROOT / "book").rglob("[0-9]*.ipynb")), ROOT / "book" / "explorer.ipynb"]
# In which a GPU pays: whole runs of a network train there. Elsewhere a T4 takes about as long as a CPU, by their own
# "What it takes", and who has only so many hours of a GPU should not spend them.
ON_A_GPU = {"01-training-loop", "05-equilibrium", "05b-moving-target", "06-lars", "07-batch-size", "explorer"}
TIMEOUT = 900  # seconds a cell; a cell of the book takes a minute at most on 2 cores

sys.path.insert(0, str(ROOT / "book"))
import _colab as colab  # noqa: E402

repository = colab.repository

# ---------------------------------------------------------------------------------------------
# running

def sources(root=ROOT):
    """Return what belongs to the project, relative to its root: tracked files and new ones."""
    try:
        out = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, capture_output=True, check=True).stdout.decode()
        names = [Path(name) for name in out.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive, not a clone
        skip = {".git", ".venv", "_build", "build", "__pycache__", ".pytest_cache", ".ruff_cache"}
        names = [path.relative_to(root) for path in root.rglob("*")
                 if not skip.intersection(path.relative_to(root).parts)]
    return [name for name in names if (root / name).is_file()]


def copy_project(target):
    """Copy the project to `target`, as a clone would."""
    for name in sources():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def passed():
    """Return the names of what the Makefile lets through of the reader's environment."""
    return re.search(r"^PASSED := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()


def environment(cache, **changes):
    """Return the environment of a child that the Makefile does not start: what the Makefile lets through, no network,
    and an empty cache and home in the folder `cache`. Chapters have one thread, as in the build: several that share the
    cores of a machine wait for one another's threads."""
    keep = {name: os.environ[name] for name in passed() if name in os.environ}
    return {"OMP_NUM_THREADS": "1"} | keep | {
        "HOME": str(cache / "home"),
        "PYTHONPATH": str(ROOT / "tests" / "offline"),
        "PYTHONUTF8": "1",
        "RESNET_DYNAMICS_CACHE": str(cache),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    } | changes


def run(*command, cwd, env, timeout=3600):
    """Run a command; return its exit status and its output, both streams together."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, timeout=timeout,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def build(project, venv, **changes):
    """Build the book of a copy of the project with the command that readers use, in an environment of the tests'.

    `changes` is what differs in the reader's environment; it is handed to make as it is.
    """
    return run("make", "html", f"VENV={venv}", cwd=project, env=os.environ | changes)


def fresh_environment(folder, package=None):
    """Make an environment that has all dependencies, but neither this package nor pip's own files; return its Python.

    The folders are added as plain paths, so that a package which is installed here in place, by a ``.pth`` file, is not
    seen there. With the project `package` that is this package's source in place, and the environment builds books
    without a network: make passes no PYTHONPATH on.
    """
    venv.EnvBuilder(with_pip=False).create(folder)
    python = Path(folder, "bin", "python")
    site = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    lines = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    if package:
        guard = ROOT / "tests" / "offline" / "sitecustomize.py"
        lines = [str(package / "src"), *lines, f"import runpy; runpy.run_path({str(guard)!r})"]
        script = python.with_name("jupyter-book")
        script.write_text(f"#!{python}\nfrom jupyter_book.cli.main import main\nmain()\n")
        script.chmod(0o755)
    Path(site, "dependencies.pth").write_text("\n".join(lines) + "\n")
    return python


def run_setup_cell(python, source, cwd, env):
    """Execute the setup cell with the package's source overridden, as it would run in Colab."""
    script = Path(cwd, "setup.ipy")
    script.write_text(repository.setup_cell(), encoding="utf-8")
    # pip in there: no index, no dependencies, no environment of its own to build in.
    pip = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0",
           "PIP_IGNORE_INSTALLED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return run(python, "-m", "IPython", "--quick", script, cwd=cwd,
               env=env | pip | {"RESNET_DYNAMICS_SOURCE": str(source)})


def run_chapter(python, chapter, folder, env):
    """Execute a chapter with nbmake, alone in `folder`; return status, output and notebook."""
    copy = Path(folder, Path(chapter).name)
    shutil.copy(chapter, copy)
    ini = Path(folder).parent / f"{Path(folder).name}.ini"  # outside: the folder stays empty
    ini.write_text("[pytest]\n")
    status, output = run(python, "-m", "pytest", "-c", ini, "-p", "no:cacheprovider", "--nbmake",
                         "--overwrite", f"--nbmake-timeout={TIMEOUT}", copy, cwd=folder, env=env)
    return status, output, nbformat.read(copy, as_version=4)


# ---------------------------------------------------------------------------------------------
# rules for a chapter as it is stored

NOT_IN_COLAB = {
    "a directive": r"^\s*(`{3,}|~{3,}|:{3,})\s*\{",
    "a role": r"\{[a-zA-Z][\w:.+-]*\}`",
    "a target": r"^\s*\([\w:.-]+\)=\s*$",
    "a labelled equation": r"\$\$[ \t]*\([\w:.-]+\)[ \t]*$",
    "a block of attributes": r"^\s*\{[.#][\w -]+\}\s*$",
    "a substitution": r"\{\{.*?\}\}",
    "a comment": r"^%\s",
}


def text_of(cell):
    """Return the Markdown of a cell without its code."""
    fenced = re.sub(r"^(`{3,}|~{3,})[ \t]*\w*[ \t]*$.*?^\1[ \t]*$", "", cell.source,
                    flags=re.S | re.M)
    return re.sub(r"(?<![`}])`[^`\n]+`(?!`)", "", fenced)


def complaints(notebook, name):
    """Return what is wrong with a chapter as it is stored, one sentence each."""
    wrong = []
    cells = notebook.cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    text = [cell for cell in cells if cell.cell_type == "markdown"]

    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        wrong.append("the format must be 4.5")
    ids = [cell.get("id") for cell in cells]
    if len(set(ids)) < len(ids) or None in ids:
        wrong.append("every cell needs an id of its own")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        wrong.append("the kernel must be python3")
    wanted = "GPU" if name.removesuffix(".ipynb") in ON_A_GPU else None
    if notebook.metadata.get("accelerator") != wanted:
        wrong.append(f"metadata accelerator must be {wanted}: it is what Colab opens the notebook with")
    if any(cell.outputs or cell.execution_count is not None for cell in code):
        wrong.append("it holds outputs; nbstripout --keep-id removes them")

    if not code or code[0].source != repository.setup_cell():
        wrong.append("the first code cell must be the setup cell of book/_repository.py")
    elif "remove-cell" not in code[0].metadata.get("tags", []):
        wrong.append("the setup cell needs the tag remove-cell")

    number = re.match(r"\d+b?", name)
    first = cells[0].source if cells and cells[0].cell_type == "markdown" else ""
    if number and not re.match(rf"# {number[0].lstrip('0')}\. \S", first):
        wrong.append(f"it must start with the heading '# {number[0].lstrip('0')}. ...'")
    if sum(len(re.findall(r"^# ", text_of(cell), re.M)) for cell in text) != 1:
        wrong.append("it needs exactly one heading of the first level")

    heading = ""
    for cell in text:
        at = f"cell {cell.id}"
        for what, pattern in NOT_IN_COLAB.items():
            if found := re.search(pattern, text_of(cell), re.M):
                wrong.append(f"{at}: {what}, which Colab shows as text: {found[0].strip()!r}")
        for line in cell.source.splitlines():
            if re.match(r"#+ ", line):
                heading = line
            for tag in re.findall(r"\\tag\{(.*?)\}", line):
                plain = tag.replace("'", "′").replace("^\\prime", "′")
                if f"({plain})" not in heading:
                    wrong.append(f"{at}: equation ({plain}) needs a heading that names it")
        if cell.source.count("<details>") != cell.source.count("</details>"):
            wrong.append(f"{at}: <details> is not closed")
        for bad in re.findall(r"</summary>\n(?!\n).*|.*(?<!\n)\n</details>", cell.source):
            wrong.append(f"{at}: no blank line, so no Markdown, at {bad.strip()[:40]!r}")
        if re.search(r"!\[\s*\]\(", cell.source):
            wrong.append(f"{at}: an image without alt text")

    for before, cell in zip(cells, cells[1:]):
        if "answer" in cell.metadata.get("tags", []) and not (
                "answer" in before.metadata.get("tags", []) or before.source.rstrip().endswith("</details>")):
            wrong.append(f"cell {cell.id}: a cell tagged answer must follow a cell that ends with </details>")

    names = []
    for cell in code:
        mystnb = cell.metadata.get("mystnb", {})
        figure, image = mystnb.get("figure"), mystnb.get("image", {})
        if not figure:
            continue
        names.append(figure.get("name"))
        if not (figure.get("name") and figure.get("caption")):
            wrong.append(f"cell {cell.id}: a figure needs a name and a caption")
        if not good_alt(image.get("alt", "")):
            wrong.append(f"cell {cell.id}: mystnb.image.alt must say what there is to see")
    if len(set(names)) < len(names):
        wrong.append(f"two figures have the same name: {sorted(names)}")
    return wrong


def good_alt(alt):
    """Is it words about the picture, and not a file name?"""
    file_name = re.search(r"\.(png|svg|jpe?g|gif|webp)\b|[0-9a-f]{32}", alt)
    return len(alt.split()) >= 4 and not file_name


# ---------------------------------------------------------------------------------------------
# rules for a chapter that was executed

TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\w*(Error|Exception|Interrupt)\b: ?",
                       re.M)


def failures(notebook, page=True):
    """Return what went wrong in an executed notebook, also where nothing was raised.

    An exception in a widget's callback or under ``with Output():`` ends up in an output or in the
    widget's state; the cell counts as passed. Warnings on stderr are reported too. On a page a widget needs a twin
    in HTML; in Colab it is shown itself.
    """
    wrong = []
    for cell in notebook.cells:
        at, pictures, shown = f"cell {cell.id}", 0, 0
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            words = "\n".join([output.get("text", ""), data.get("text/plain", ""),
                               *output.get("traceback", [])])
            words = re.sub(r"\x1b\[[0-9;]*m", "", words)
            if output.output_type == "error" or TRACEBACK.search(words):
                wrong.append(f"{at}: an exception: {words.strip()[-300:]}")
            elif output.get("name") == "stderr" and "Warning" in words:
                wrong.append(f"{at}: a warning: {words.strip()[-300:]}")
            # A progress bar leaves nothing on the page, and that is right.
            widget = "application/vnd.jupyter.widget-view+json" in data and "%|" not in words
            if page and widget and "text/html" not in data:
                wrong.append(f"{at}: a widget without a static twin: a hole in the page")
            pictures += any(kind.startswith("image/") for kind in data)
            shown += bool(data)
        mystnb = cell.metadata.get("mystnb", {})
        hidden = {"remove-cell", "remove-output"}.intersection(cell.metadata.get("tags", []))
        if pictures and not hidden and not ("figure" in mystnb and "image" in mystnb):
            wrong.append(f"{at}: draws a figure; metadata mystnb.figure and .image are missing")
        if "figure" in mystnb and not hidden and (pictures, shown) != (1, 1):
            wrong.append(f"{at}: a figure must be one picture and no other display, such as a progress "
                         f"bar; it shows {shown}, {pictures} of them pictures")
        elif pictures > 1 and not hidden:
            wrong.append(f"{at}: draws {pictures} figures; one a cell, each with its own alt")
    states = notebook.metadata.get("widgets", {}).get(
        "application/vnd.jupyter.widget-state+json", {}).get("state", {})
    for model in states.values():
        for output in model.get("state", {}).get("outputs", None) or []:
            words = json.dumps(output, ensure_ascii=False)
            if output.get("output_type") == "error" or TRACEBACK.search(words):
                wrong.append(f"an exception inside a widget: {words[-300:]}")
    return wrong
