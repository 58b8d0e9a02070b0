"""Hints checked by machine: in the tests every call of these modules has the types and shapes that its signature says.

An import hook, in force before the package is imported: it wraps each function that has hints, inside of the package's
own decorators, and imports what stands under `if TYPE_CHECKING`. Readers, and processes that a test starts, have the
modules as they are.
"""

import ast
import contextlib
import functools
import sys
from importlib.machinery import PathFinder, SourceFileLoader

from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, config, jaxtyped

MODULES = (
    "arguments", "correlation", "decoupled", "page_data", "pairs", "measure", "recorder", "recurrence", "seeds",
    "series", "theory",
)  # fmt: skip
PACKAGE = "resnet_dynamics"
CHECKER = beartype(conf=BeartypeConf(is_pep484_tower=True))  # a whole number is a number


def install():
    """From now on these modules are imported with their hints checked."""
    assert not [name for name in MODULES if f"{PACKAGE}.{name}" in sys.modules]
    sys.meta_path.insert(0, Finder)


def hinted(function):
    """Check what a function is given and what it returns; what it refuses itself it refuses in its own words."""
    strict = jaxtyped(function, typechecker=CHECKER)

    @functools.wraps(function)
    def called(*args, **kwargs):
        try:
            return strict(*args, **kwargs)
        except TypeCheckError:
            with unchecked():
                function(*args, **kwargs)
            raise

    return called


@contextlib.contextmanager
def unchecked():
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in {f"{PACKAGE}.{module}" for module in MODULES}:
            return None
        spec = super().find_spec(name, path, target)
        spec.loader = Loader(name, spec.origin)
        return spec


class Loader(SourceFileLoader):
    def get_code(self, name):  # not from a cache of plain code, and into none
        tree = Checked().visit(ast.parse(self.get_source(name), self.path))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)

    def exec_module(self, module):
        module.__hinted__ = hinted
        super().exec_module(module)


class Checked(ast.NodeTransformer):
    """Functions inside of functions stay as they are."""

    def visit_FunctionDef(self, node):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        if node.returns or any(argument.annotation for argument in arguments):
            node.decorator_list.append(ast.copy_location(ast.Name("__hinted__", ast.Load()), node))
        return node

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.test = ast.copy_location(ast.Constant(True), node.test)
        return self.generic_visit(node)
