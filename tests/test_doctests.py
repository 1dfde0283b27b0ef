"""Every example in a docstring of ufm runs, and every public function has one or stands in the list that shrinks."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
#: Public functions that have no example yet, one a line, sorted. Names are only ever taken from it.
WAITING = Path(__file__).with_name("without_doctest.txt")

#: Rooms whose functions are reached by the names of claims and commands.
BY_NAME = ("ufm.claims", "ufm.cli")

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "ufm").rglob("*.py"))
    if path.name != "__main__.py"
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    output: list[str] = []
    # six digits: what a reader compares, and far from the processor's last bits
    with np.printoptions(precision=6, suppress=True, floatmode="maxprec"):
        for example in doctest.DocTestFinder(exclude_empty=True).find(module, name):
            runner.run(example, out=output.append)
    assert runner.failures == 0, "".join(output)


def public_functions(tree: ast.Module, module: str) -> Iterator[tuple[str, str]]:
    """(name, docstring) of the functions and methods that a module shows: in ``__all__`` where there is one.

    Of a private module, and of claims and commands, which are reached by their names, what the package shows. A name is
    that of the room and of the function, ``ufm.deq.DEQ.forward``: it stays when a function moves to another file of its
    room.
    """
    shown = exported(tree)
    package, _, inner = module.partition("._")
    for room in BY_NAME:
        if module.startswith(f"{room}."):
            package, inner = room, module
    if inner:
        shown = (exported(parse(MODULES[package])) or set()) if package != "ufm" else set()
    module = ".".join(module.split(".")[:2])
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or not is_shown(node.name, shown):
            continue
        doc = ast.get_docstring(node) or ""
        if isinstance(node, ast.FunctionDef):
            yield f"{module}.{node.name}", doc
            continue
        methods = [m for m in node.body if isinstance(m, ast.FunctionDef) and not m.name.startswith("_")]
        for method in methods:
            if not any(ast.unparse(d).endswith(("property", ".setter", "overload")) for d in method.decorator_list):
                # an example of the class shows its methods
                yield f"{module}.{node.name}.{method.name}", doc + (ast.get_docstring(method) or "")


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def exported(tree: ast.Module) -> set[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None


def is_shown(name: str, shown: set[str] | None) -> bool:
    return not name.startswith("_") if shown is None else name in shown


def without_example() -> set[str]:
    return {
        function
        for module, path in MODULES.items()
        for function, doc in public_functions(parse(path), module)
        if ">>>" not in doc
    }


def test_public_functions_have_an_example():
    waiting = set(WAITING.read_text(encoding="utf-8").split())
    assert sorted(without_example() - waiting) == [], "public functions without an example in their docstring"


def test_the_list_is_sorted():
    """So that two who take names from it do not touch the same lines."""
    lines = WAITING.read_text(encoding="utf-8").splitlines()
    assert lines == sorted(set(lines))


def test_an_example_that_fails_is_found():
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    runner = doctest.DocTestRunner()
    runner.run(example, out=lambda text: None)
    assert runner.failures == 1


def test_a_function_without_an_example_is_found():
    source = (
        "__all__ = ['bare', 'shown', 'Thing']\n"
        "def bare(): 'No example.'\n"
        "def shown():\n    '''\n    >>> 1\n    1\n    '''\n"
        "def hidden(): pass\n"
        "class Thing:\n    def method(self): 'None.'\n    @property\n    def x(self): pass\n    def _own(self): pass\n"
    )
    found = {name for name, doc in public_functions(ast.parse(source), "m") if ">>>" not in doc}
    assert found == {"m.bare", "m.Thing.method"}
