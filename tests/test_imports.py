"""Imports point one way: leaves, the torch column, runs; what only views never loads torch."""

import ast
import subprocess
import sys

import gate
import pytest

PACKAGE = gate.ROOT / "src" / "resnet_dynamics"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

# module -> what it may import, of the package and of other packages.
ALLOWED = {
    "config": set(),
    "console": {"tqdm"},
    "cache": {"platformdirs", "filelock", "console"},
    "machine": {"torch"},
    "schedules": {"numpy", "config"},
    "theory": {"numpy", "schedules"},
    "recording": {"numpy", "xarray", "cache", "config", "schedules"},
    "measure": {"numpy", "xarray", "compare", "config", "schedules", "theory", "recording"},
    "peaks": {"numpy", "xarray"},
    "compare": {"numpy"},
    "tables": {"numpy", "config"},
    "plots": {"numpy", "xarray", "matplotlib", "config", "tables", "schedules", "theory", "recording",
              "measure"},
    "evidence": {"numpy", "xarray", "config", "recording", "measure"},
    "controls": {"matplotlib", "ipywidgets", "config", "runs"},
    "explorer": {"numpy", "matplotlib", "traitlets", "anywidget", "config", "controls", "schedules", "theory",
                 "cache", "evidence", "measure", "plots"},
    "check": {"numpy", "xarray", "config", "schedules", "theory", "recording", "measure"},
    "synthetic": {"numpy"},
    "archives": {"console"},
    "folders": {"numpy", "PIL", "archives", "console", "synthetic"},
    "cifar": {"numpy", "cache", "console", "synthetic"},
    "datasets": {"numpy", "torch", "cache", "cifar", "folders", "synthetic"},
    "data": {"numpy", "torch", "config", "datasets"},
    "models": {"torch", "config"},
    "optim": {"torch"},
    "recorder": {"numpy", "torch", "xarray", "config", "recording", "schedules"},
    "train": {"numpy", "torch", "config", "console", "machine", "schedules", "theory", "data", "datasets",
              "models", "optim", "recorder", "recording"},
    "runs": {"xarray", "cache", "config", "console", "recording"},
    "loops": {"numpy", "torch", "cache", "config", "data", "datasets", "machine", "models", "recorder", "sweep",
              "train"},
    "bench": {"torch", "config", "console", "datasets", "loops", "machine", "models"},
    "sweep": {"numpy", "xarray", "cache", "config", "console", "recording", "evidence", "runs"},
}
# ... and inside a function, when it is called: what the module itself does without.
LATE = {
    "datasets": {"torchvision"},
    "compare": {"scipy"},
    "config": {"recording"},
    "recording": {"h5netcdf", "h5py"},
    "runs": {"train", "datasets"},
    "sweep": {"datasets"},
    "explorer": {"runs", "datasets", "machine", "train"},
    "models": {"datasets", "torchvision"},
}
# These see everything. The first re-exports lazily, the last is the command line.
FREE = {"__init__", "__main__"}
# Without torch in the process. `runs` loads the torch column inside the function that trains, `datasets` torch where
# images are read.
VIEW = ["config", "console", "cache", "schedules", "theory", "recording", "measure", "peaks", "compare", "tables",
        "plots", "evidence", "explorer", "check", "runs", "sweep", "synthetic", "archives", "folders", "cifar",
        "datasets"]


def imported(path, late):
    """Return the names of packages, and of this package's modules, that a file imports.

    late: those inside functions; else all others.
    """
    found, tree = set(), ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree)
                 if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if (id(node) in inside) != late:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ("resnet_dynamics." if node.level else "") + (node.module or "")
            if module.rstrip(".") == "resnet_dynamics":
                found |= {f"resnet_dynamics.{alias.name}" for alias in node.names}
            else:
                found.add(module)
    outer = {name for name in found if not name.startswith("resnet_dynamics.")}
    inner = {name.split(".")[1] for name in found if name.startswith("resnet_dynamics.")}
    free = set(sys.stdlib_module_names) | {"__version__"}
    return ({name.split(".")[0] for name in outer} | inner) - free


def test_every_module_has_its_place():
    assert set(MODULES) <= set(ALLOWED) | FREE


@pytest.mark.parametrize("module", [name for name in MODULES if name not in FREE])
def test_imports_point_one_way(module):
    # A name that is no module, such as one from __init__, counts too: it would be a circle.
    path, allowed = PACKAGE / f"{module}.py", ALLOWED.get(module, set())
    assert imported(path, late=False) <= allowed
    assert imported(path, late=True) <= allowed | LATE.get(module, set())


def test_the_table_has_no_circle():
    inside = {name: allowed & set(ALLOWED) for name, allowed in ALLOWED.items()}
    while free := {name for name, needs in inside.items() if not needs & set(inside)}:
        inside = {name: needs for name, needs in inside.items() if name not in free}
    assert inside == {}


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in VIEW if name in MODULES)])
def test_what_views_never_loads_torch(module, tmp_path):
    code = (f"import sys, resnet_dynamics{module}\n"
            "sys.exit(', '.join({'torch', 'torchvision'} & set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
