"""Imports point one way: leaves, the torch column, runs; what only views never loads torch."""

import ast
import importlib
import subprocess
import sys

import gate
import pytest

PACKAGE = gate.ROOT / "src" / "resnet_dynamics"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

# module -> what it may import, of the package and of other packages; inside a function, too.
ALLOWED = {
    # leaves
    "fields": set(),
    "arms": {"fields"},
    "config": {"arms", "fields"},
    "console": {"tqdm"},
    "arguments": {"numpy"},
    "peaks": {"numpy", "xarray"},
    "synthetic": {"numpy"},
    "tables": {"numpy", "config"},
    # equations
    "schedules": {"numpy", "config"},
    "correlation": {"numpy", "arguments"},
    "recurrence": {"numpy", "arguments", "correlation"},
    "decoupled": {"numpy", "arguments", "correlation", "recurrence"},
    "theory": {"numpy", "arguments", "decoupled", "recurrence"},
    "pairs": {"numpy", "arguments"},
    "random_updates": {"numpy", "torch"},
    # recordings, and what is measured on them
    "cache": {"platformdirs", "filelock", "console"},
    "library": {"config"},
    "recording": {"numpy", "xarray", "h5netcdf", "h5py", "arms", "cache", "config"},
    "series": {"numpy", "xarray", "arms", "recording", "schedules"},
    "seeds": {"numpy", "xarray", "recording", "series"},
    "updates": {"numpy", "xarray", "arms", "correlation", "fields", "recording", "series", "theory"},
    "measure": {"numpy", "xarray", "arms", "recording", "schedules", "series", "theory", "updates"},
    "successive": {"numpy", "xarray", "arms", "measure", "recording", "series", "updates"},
    "compare": {"numpy", "scipy", "xarray", "measure", "seeds", "series"},
    # figures
    "style": {"numpy", "matplotlib"},
    "landscapes": {"numpy", "xarray", "matplotlib", "style"},
    "plots": {"numpy", "xarray", "matplotlib", "arms", "compare", "landscapes", "measure", "recording", "seeds",
              "style", "tables", "theory", "updates"},
    # images
    "archives": {"console"},
    "decode": {"numpy", "PIL", "archives", "synthetic"},
    "folders": {"numpy", "archives", "console", "decode", "synthetic"},
    "image_cache": {"numpy", "cache", "folders"},
    "download": {"cache", "console"},
    "cifar": {"numpy", "cache", "console", "download", "synthetic"},
    "datasets": {"numpy", "torch", "torchvision", "cache", "cifar", "folders", "image_cache", "synthetic"},
    # training
    "machine": {"torch"},
    "data": {"torch", "config", "datasets", "schedules"},
    "models": {"torch", "torchvision", "config", "datasets"},
    "optim": {"torch"},
    "directions": {"torch", "optim"},
    "recorder": {"torch", "recording"},
    "instrument": {"numpy", "torch", "directions", "optim", "recorder"},
    "invariance": {"torch", "models"},
    "transformer": {"torch", "models"},
    "prose": {"numpy", "torch", "xarray", "console", "directions", "machine", "transformer", "watching"},
    "pace": {"numpy"},
    "watching": {"numpy", "torch", "xarray", "console", "instrument", "invariance", "pace", "recording"},
    "starts": {"torch", "arms", "config", "models"},
    "steering": {"numpy", "torch", "arms", "config", "directions", "measure", "models", "optim", "recording",
                 "schedules", "theory"},
    "train": {"numpy", "torch", "config", "console", "data", "machine", "models", "optim", "recorder", "recording",
              "schedules", "starts", "steering"},
    # runs
    "language": {"numpy", "xarray", "fields", "library", "prose", "recording"},
    "runs": {"cache", "config", "console", "datasets", "library", "recording", "train"},
    "page_data": {"numpy", "xarray", "arms", "config", "library", "measure", "recording", "series"},
    "grid": {"numpy", "config"},
    "rows": {"numpy", "xarray", "config", "console", "grid", "library", "recording"},
    "workers": {"torch", "ray"},
    "jobs": {"xarray", "cache", "config", "console", "datasets", "runs", "workers"},
    "sweep": {"numpy", "xarray", "cache", "config", "console", "datasets", "page_data", "grid", "jobs", "library",
              "recording", "rows", "runs"},
    # speed
    "loops": {"numpy", "torch", "cache", "config", "data", "datasets", "machine", "models", "recorder", "schedules",
              "sweep", "train"},
    "bench": {"torch", "config", "console", "datasets", "loops", "machine", "models"},
    # what readers write
    "answers": {"numpy"},
    "questions": {"numpy", "answers", "theory"},
    "further_questions": {"numpy", "xarray", "answers", "peaks", "theory"},
    "exercises": {"numpy", "torch", "xarray", "answers", "compare", "config", "models", "peaks", "questions",
                  "schedules", "sweep", "theory"},
    "optimizer_answers": {"numpy", "torch", "answers", "theory"},
    "network_answers": {"numpy", "xarray", "answers", "arms", "config", "fields", "library", "measure", "models",
                        "recording"},
    "predictions": {"numpy", "answers", "cache", "console", "plots", "questions", "style", "tables", "theory"},
    "check": {"answers", "exercises", "further_questions", "network_answers", "optimizer_answers", "questions"},
    # widgets
    "controls": {"matplotlib", "ipywidgets", "config", "console", "runs"},
    "fallback": {"numpy", "matplotlib", "config", "page_data", "plots", "schedules", "theory"},
    "stories": {"numpy", "matplotlib", "arms", "fallback", "page_data", "plots", "theory"},
    "history": {"numpy", "xarray", "config", "recording", "theory"},
    "element": {"numpy", "traitlets", "anywidget", "config", "controls", "page_data"},
    "explorer": {"traitlets", "cache", "config", "console", "controls", "datasets", "element", "fallback",
                 "page_data", "machine", "measure", "runs", "train"},
    "crossing": {"numpy", "matplotlib", "config", "element", "explorer", "fallback", "page_data", "plots", "theory"},
    "live": {"numpy", "traitlets", "xarray", "arms", "config", "element", "explorer", "history", "stories"},
}  # fmt: skip
# These see everything: the first re-exports lazily, the second is the command line, the third stands in hints alone.
FREE = {"__init__", "__main__", "_shapes"}
# Without torch in the process. `runs` loads the torch column inside the function that trains, `datasets` torch where
# images are read.
TORCH = ["bench", "data", "directions", "instrument", "invariance", "loops", "machine", "models", "optim", "prose",
         "recorder", "starts", "steering", "train", "transformer", "watching"]
VIEW = [name for name in ALLOWED if name not in TORCH]
# What costs seconds and few calls need: not with the package itself.
LATE = ["anywidget", "beartype", "h5netcdf", "h5py", "ipywidgets", "jaxtyping", "scipy", "torch", "torchvision"]


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
    free = set(sys.stdlib_module_names) | {"__version__", "_shapes"}
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


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith("__")])
def test_a_module_says_what_others_may_use(module):
    found = importlib.import_module(f"resnet_dynamics.{module}")
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    made = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    assert {name for name in made if not name.startswith("_")} <= {*found.__all__} <= {*dir(found)}
    assert len({*found.__all__}) == len(found.__all__)
    public = {name: getattr(found, name) for name in found.__all__ if name in made}
    assert [name for name, value in public.items() if not value.__doc__] == []


def test_no_module_is_long():
    assert {path.name for path in PACKAGE.glob("*.py") if len(path.read_text().splitlines()) > 400} == set()


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
