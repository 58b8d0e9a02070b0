"""Imports point one way: leaves, the torch column, runs; what only views never loads torch."""

import ast
import subprocess
import sys

import gate
import pytest

PACKAGE = gate.ROOT / "src" / "resnet_dynamics"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

# module -> what it may import, of the package and of other packages; inside a function, too.
ALLOWED = {
    "config": set(),
    "console": {"tqdm"},
    "cache": {"platformdirs", "filelock", "console"},
    "machine": {"torch"},
    "schedules": {"numpy", "config"},
    "theory": {"numpy", "schedules"},
    "library": {"config"},
    "recording": {"numpy", "xarray", "h5netcdf", "h5py", "cache", "config"},
    "measure": {"numpy", "xarray", "compare", "config", "schedules", "theory", "recording"},
    "peaks": {"numpy", "xarray"},
    "compare": {"numpy", "scipy"},
    "tables": {"numpy", "config"},
    "plots": {"numpy", "xarray", "matplotlib", "config", "tables", "schedules", "theory", "recording",
              "measure"},
    "evidence": {"numpy", "xarray", "config", "library", "recording", "measure"},
    "controls": {"matplotlib", "ipywidgets", "config", "runs"},
    "explorer": {"numpy", "matplotlib", "traitlets", "anywidget", "config", "controls", "schedules", "theory",
                 "cache", "evidence", "measure", "plots", "runs", "datasets", "machine", "train"},
    "synthetic": {"numpy"},
    "archives": {"console"},
    "folders": {"numpy", "PIL", "archives", "console", "synthetic"},
    "cifar": {"numpy", "cache", "console", "synthetic"},
    "datasets": {"numpy", "torch", "torchvision", "cache", "cifar", "folders", "synthetic"},
    "data": {"numpy", "torch", "config", "datasets"},
    "models": {"torch", "torchvision", "config", "datasets"},
    "optim": {"torch"},
    "recorder": {"numpy", "torch", "xarray", "config", "recording", "schedules"},
    "train": {"numpy", "torch", "config", "console", "machine", "schedules", "theory", "data", "datasets",
              "models", "optim", "recorder", "recording"},
    "runs": {"cache", "config", "console", "library", "recording", "datasets", "train"},
    "bench": {"numpy", "torch", "config", "data", "datasets", "machine", "models", "optim", "recorder",
              "schedules", "train"},
    "grid": {"numpy", "config"},
    "rows": {"numpy", "xarray", "config", "console", "grid", "library", "recording"},
    "workers": {"torch", "ray"},
    "jobs": {"xarray", "cache", "config", "console", "datasets", "runs", "workers"},
    "sweep": {"numpy", "xarray", "cache", "config", "console", "library", "recording", "evidence", "runs", "datasets",
              "grid", "jobs", "rows"},
}
# These see everything. The first re-exports lazily, the last is the command line.
FREE = {"__init__", "__main__"}
# Without torch in the process. `runs` loads the torch column inside the function that trains, `datasets` torch where
# images are read.
VIEW = ["cache", "compare", "config", "console", "evidence", "explorer", "library", "measure", "peaks", "plots",
        "recording", "runs", "schedules", "sweep", "synthetic", "tables", "theory", "archives", "cifar", "datasets",
        "folders", "grid", "jobs", "rows", "workers"]
# What costs seconds and few calls need: not with the package itself.
LATE = ["anywidget", "h5netcdf", "h5py", "ipywidgets", "scipy", "torch", "torchvision"]


def imported(path):
    """Return the names of packages, and of this package's modules, that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    assert set(MODULES) == set(ALLOWED) | FREE


@pytest.mark.parametrize("module", [name for name in MODULES if name not in FREE])
def test_imports_point_one_way(module):
    # A name that is no module, such as one from __init__, counts too: it would be a circle.
    assert imported(PACKAGE / f"{module}.py") <= ALLOWED[module]


def test_the_table_has_no_circle():
    inside = {name: allowed & set(ALLOWED) for name, allowed in ALLOWED.items()}
    while free := {name for name, needs in inside.items() if not needs & set(inside)}:
        inside = {name: needs for name, needs in inside.items() if name not in free}
    assert inside == {}


def loaded(code, names, folder):
    """Which of these packages a process has loaded that runs the code."""
    code += f"\nimport sys; sys.exit(', '.join({set(names)} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True)
    return done.stderr.strip()


@pytest.mark.parametrize("module", VIEW)
def test_what_views_never_loads_torch(module, tmp_path):
    assert loaded(f"import resnet_dynamics.{module}", ["torch", "torchvision"], tmp_path) == ""


def test_the_package_loads_nothing_that_few_need(tmp_path):
    assert loaded("import resnet_dynamics", LATE, tmp_path) == ""
