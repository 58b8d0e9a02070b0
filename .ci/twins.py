"""The book in two environments that differ from the pinned one: Colab's, and the oldest that the package promises.

``make colab`` makes a twin of Colab, by .ci/colab.txt, with Colab's Python if there is one, and runs the edition of
every chapter in it as a reader would: alone in an empty folder, the package installed by the setup cell, Run all, then
every switch of an answer. No cell may fail or warn, no answer may show before its switch is on, and the package may
install nothing but itself. Then come the tests of the widgets. ``make lowest`` does the same at the lower bounds of
pyproject.toml, with all tests of the package.

The environments are in .twins, each some 6 GB, and are kept. Making them needs a registry of packages; running the
chapters and tests needs no network. What is no part of a twin: Colab's own kernel and front end, and a GPU.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import freeze

ROOT = freeze.ROOT
TWINS = ROOT / ".twins"
TESTS = ("beartype", "jaxtyping", "packaging", "pytest", "pytest-socket", "pytest-xdist", "pyyaml")
SCIPY = "tests/test_imports.py::test_the_package_loads_nothing_that_few_need"  # older xarrays load it themselves
CHOSEN = {  # of the tests of the package: in Colab, those that depend on its widgets and its kernel
    "colab": [f"tests/test_{name}.py" for name in ("controls", "explorer", "imports", "live", "page_data")],
    "lowest": [f"--ignore=tests/test_{name}.py" for name in ("book", "editions", "project", "site", "twins")],
}


# ---------------------------------------------------------------------------------------------
# what is in a twin

def colab():
    """Return (Python, {package: version}): what Colab ships of what the book meets there."""
    text = freeze.HERE.read_text(encoding="utf-8")
    return freeze.said_python(text), freeze.versions(text)


def lowest():
    """Return the same: the lower bounds; of what has none, what Colab has. Older kernels go with older widgets."""
    project = freeze.project()
    bounds = {freeze.plain(name): version for name, version in
              (re.fullmatch(r"([\w.-]+)>=([\d.]+)", one).groups() for one in project["dependencies"])}  # fmt: skip
    return project["requires-python"].removeprefix(">="), colab()[1] | bounds


def pins():
    """Return {package: version} of what the tests of the package need besides, as requirements.in has them."""
    asked = (ROOT / "requirements.in").read_text(encoding="utf-8")
    return {name: version for name, version in re.findall(r"^([\w.-]+)==(\S+)", asked, re.M) if name in TESTS}


def named():
    """Return the names of what a twin gets; pip adds what these need."""
    return [*map(freeze.plain, (*freeze.depends(), *freeze.CHAPTERS, *freeze.KERNEL, *TESTS))]


# ---------------------------------------------------------------------------------------------
# making it

def suitable(version):
    """Return a Python of this version, or this one, and say so."""
    for python in (sys.executable, f"python{version}"):
        try:
            asked = "import sys; print('{}.{}'.format(*sys.version_info))"
            said = subprocess.run([python, "-c", asked], capture_output=True, text=True).stdout.strip()
        except OSError:
            continue
        if said == version:
            return python
    here = "{}.{}".format(*sys.version_info)
    print(f"Python {version} is wanted, and {here} is taken, as there is no python{version}: name one with PYTHON=")
    return sys.executable


def pip(python, *arguments):
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments], check=True)


def pip_uninstall():
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "-qq", "-y", "resnet-dynamics"], check=True)


def make(name, version, versions):
    """Make the environment, or take the one that was made so before; return its Python."""
    folder = TWINS / name
    python, stamp = folder / "bin" / "python", folder / "made.json"
    asked = json.dumps([version, named(), versions])
    if stamp.exists() and stamp.read_text() == asked:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([suitable(version), "-m", "venv", folder], check=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{one}=={number}\n" for one, number in versions.items()))
    for names in (freeze.INSTALLS, named()):
        pip(python, "-c", constraints, *names)
    stamp.write_text(asked)
    return python


# ---------------------------------------------------------------------------------------------
# inside of it

def wheel(folder):
    """Build the package from what belongs to the project."""
    import gate

    project = gate.copy_project(folder / "project")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, project], check=True)
    return next(folder.glob("*.whl"))


def installed_by(package, folder):
    """Return what pip would install for the package: it alone, if it moves nothing that is there."""
    report = folder / "report.json"
    pip(sys.executable, "--dry-run", "--report", report, package)
    found = [one["metadata"] for one in json.loads(report.read_text())["install"]]
    return [f"{one['name']} {one['version']}" for one in found]


def with_switches_on(edition):
    """Return an edition as a notebook that ends with every answer again, its switch on."""
    import nbformat

    notebook = nbformat.read(edition, as_version=4)
    for cell in [cell for cell in notebook.cells if "answer" in cell.metadata.get("tags", [])]:
        source = cell.source.replace("show_answer = False", "show_answer = True")
        notebook.cells.append(nbformat.v4.new_code_cell(source, id=f"{cell.id}-on"))
    return notebook


def failures(executed):
    """Return what went wrong in such a notebook when it ran."""
    import gate

    wrong = gate.failures(executed, page=False)
    for cell in executed.cells:
        shown = [output.get("data", {}).get("text/plain") for output in cell.get("outputs", [])]
        if cell.id.endswith("-on") and (not shown or "None" in shown):
            wrong.append(f"cell {cell.id}: its switch is on, and it shows nothing")
        if "answer" in cell.metadata.get("tags", []) and shown:
            wrong.append(f"cell {cell.id}: its switch is off, and it shows something")
    return wrong


def run_all(edition, package, folder):
    """Run an edition alone in a folder, then with every switch on; return what went wrong, and the seconds."""
    import gate
    import nbformat

    alone, home = folder / "alone", folder / "home"
    alone.mkdir()
    home.mkdir()
    path = alone / edition.name
    nbformat.write(with_switches_on(edition), path)
    pip_uninstall()
    env = gate.environment(folder / "cache", HOME=str(home), RESNET_DYNAMICS_SOURCE=str(package), PIP_NO_INDEX="1",
                           PIP_DISABLE_PIP_VERSION_CHECK="1")  # fmt: skip
    started = time.monotonic()
    status, output = gate.run(Path(sys.executable).parent / "jupyter-execute", "--allow-errors", "--inplace",
                              f"--timeout={gate.TIMEOUT}", path, cwd=alone, env=env)  # fmt: skip
    seconds = time.monotonic() - started
    return [output[-2000:]] if status else failures(nbformat.read(path, as_version=4)), seconds


def run_tests(chosen, folder):
    """Run tests of the package as it is installed here: not those of the pages, of the pins, or of a GPU.

    Warnings are errors, but for what packages of different age say of one another. In the processes that tests start
    with ``-W error``, the order in which it stands in the variable counts.
    """
    import gate

    quiet = "ignore::DeprecationWarning"
    status, output = gate.run(
        sys.executable, "-P", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "-W", quiet,
        "-m", "not book and not site and not gpu", f"--deselect={SCIPY}", *chosen,
        cwd=ROOT, env=gate.environment(folder / "cache", PYTHONWARNINGS=f"error,{quiet}"))  # fmt: skip
    print(output[-6000:])
    return status == 0


def inside(name, chapters):
    """Run everything in this environment; return whether all is well."""
    sys.path.insert(0, str(ROOT / "tests"))
    import gate

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        package = wheel(folder)
        pip_uninstall()
        would = installed_by(package, folder)
        print("pip would install:", ", ".join(would), flush=True)
        sound = [one.split()[0] for one in would] == ["resnet-dynamics"]
        for edition in gate.colab.write(folder / "editions"):
            if not chapters or edition.stem in chapters:
                with tempfile.TemporaryDirectory() as alone:
                    wrong, seconds = run_all(edition, package, Path(alone))
                sound = sound and not wrong
                print(f"{edition.stem:24} {seconds:5.0f} s  {'ok' if not wrong else 'FAILED'}", flush=True)
                for one in wrong[:4]:  # what follows the first error mostly follows from it
                    print(f"    {one}", flush=True)
        pip(sys.executable, "--no-deps", "--force-reinstall", package)
        if not chapters:
            sound = run_tests(CHOSEN[name], folder) and sound
    return sound


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=("colab", "lowest"))
    parser.add_argument("chapters", nargs="*", help="such as 06-lars; all of them, if none is named")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        sys.exit(not inside(given.name, given.chapters))
    version, versions = {"colab": colab, "lowest": lowest}[given.name]()
    python = make(given.name, version, pins() | versions)
    done = subprocess.run([python, __file__, given.name, *given.chapters, "--inside"])
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
