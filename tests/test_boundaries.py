"""The boundaries inside ufm, read from the source: no circle of imports, no private name across packages.

Imports inside functions count, for they are dependencies too, and those of a module by its written name; those for type
checkers alone do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


PACKAGES = ("ufm", "proofs_check")


class Import(NamedTuple):
    """``import target``, or ``from target import name``."""

    target: str
    name: str | None
    line: int


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path, package: str = "ufm") -> dict[str, Path]:
    """Path of every module of a package by its name."""
    return {module_name(path, root): path for path in sorted((root / package).rglob("*.py"))}


def everything() -> dict[str, Path]:
    """The modules of all packages that are installed."""
    return {name: path for package in PACKAGES for name, path in sources(ROOT, package).items()}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(tree: ast.AST) -> Iterator[Import]:
    """Every import of a module, wherever it stands."""
    waiting = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, None, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "relative import"
                yield from (Import(str(node.module), alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.If) and is_type_checking(node.test):
                waiting.append(ast.Module(node.orelse, []))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "import_module" and isinstance(name := node.args[0], ast.Constant):
                    yield Import(str(name.value), None, node.lineno)
                waiting.append(node)
            else:
                waiting.append(node)


def graph(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Which modules each imports. A package that is imported on the way to its module is imported too."""
    edges: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for found in imports(parsed(path)):
            inner = f"{found.target}.{found.name}"
            target = inner if inner in modules else found.target
            edges[name] |= {target} | {p for p in parents(target) if not name.startswith(f"{p}.") and p != name}
    return {name: {t for t in targets if t in modules and t != name} for name, targets in edges.items()}


def parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Sets of two modules or more that all import one another, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(edges[name]):
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            component = [stack.pop()]
            while component[-1] != name:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    for name in sorted(edges):
        if name not in index:
            visit(name)
    return found


def is_private(part: str) -> bool:
    return part.startswith("_") and not part.startswith("__")


def references(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Dotted names of everything imported, and of attributes taken directly from it, with their lines."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                bound[alias.asname or alias.name] = prefix + alias.name
                yield prefix + alias.name, node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (value := ast.unparse(node.value)) in bound:
            yield f"{bound[value]}.{node.attr}", node.lineno


def package_of(name: str, modules: dict[str, Path]) -> str:
    """The package that a name belongs to: a module's private names, and those of its classes, are its package's."""
    while name and (name not in modules or modules[name].name != "__init__.py"):
        name = name.rpartition(".")[0]
    return name


def trespasses(modules: dict[str, Path]) -> list[str]:
    """Private names and private modules that are used outside the package they belong to."""
    found = []
    for name, path in modules.items():
        home = package_of(name, modules)
        for reference, line in references(parsed(path)):
            parts = reference.split(".")
            for i, part in enumerate(parts):
                owner = package_of(".".join(parts[:i]), modules)
                if parts[0] in PACKAGES and is_private(part) and not f"{home}.".startswith(f"{owner}."):
                    found.append(f"{name}, line {line}: {part}")
    return found


def test_no_circle_of_imports():
    assert circles(graph(everything())) == []


def test_no_private_name_across_packages():
    assert trespasses(everything()) == []


def test_the_checker_of_proofs_imports_nothing_of_ufm():
    for path in (ROOT / "proofs_check").rglob("*.py"):
        outside = [i for i in imports(parsed(path)) if i.target.split(".")[0] == "ufm"]
        assert outside == [], path.name


# The checks themselves ------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path):
    """Write a package ``ufm`` of the given modules and return their paths by name."""

    def write(**files: str) -> dict[str, Path]:
        for name, text in {"__init__": "", **files}.items():
            path = tmp_path / "ufm" / f"{name.replace('__', '/') if name != '__init__' else name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.name != "ufm":
                (path.parent / "__init__.py").touch()
            path.write_text(text)
        return sources(tmp_path)

    return write


def test_a_circle_through_a_function_is_found(package):
    modules = package(a="from ufm.b import x", b="def f():\n    with y:\n        from ufm import a", c="import ufm.a")
    assert circles(graph(modules)) == [["ufm.a", "ufm.b"]]


def test_a_circle_through_a_written_name_is_found(package):
    loads = "import importlib\ndef f():\n    return importlib.import_module('ufm.a')"
    assert circles(graph(package(a="import ufm.b", b=loads))) == [["ufm.a", "ufm.b"]]


def test_a_circle_of_three_is_found(package):
    assert circles(graph(package(a="import ufm.b", b="import ufm.c", c="from ufm.a import z"))) == [
        ["ufm.a", "ufm.b", "ufm.c"]
    ]


def test_an_import_for_types_makes_no_circle(package):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ufm.a import x\nelse:\n    import ufm.c"
    modules = package(a="from ufm.b import x", b=text, c="")
    assert circles(graph(modules)) == []
    assert graph(modules)["ufm.b"] == {"ufm.c"}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("from ufm.room import _hidden", "_hidden"),
        ("from ufm.room.wall import _hidden", "_hidden"),
        ("from ufm.room._inner import open", "_inner"),
        ("def f():\n    import ufm.room._inner", "_inner"),
        ("from ufm.room import _inner", "_inner"),
        ("from ufm.room import wall\nprint(wall._hidden)", "_hidden"),
        ("import ufm.room.wall\nufm.room.wall._hidden()", "_hidden"),
    ],
)
def test_a_private_name_from_another_package_is_found(package, text, part):
    modules = package(room__wall="_hidden = 1", room___inner="", other__a=text, a="from ufm import _extras", _extras="")
    assert [found.rpartition(" ")[2] for found in trespasses(modules)] == [part]


@pytest.mark.parametrize(
    "text", ["from ufm.room._inner import _x", "from ufm.room import _inner", "import ufm._extras"]
)
def test_a_package_uses_its_own_private_names(package, text):
    assert trespasses(package(room__wall=text, room___inner="_x = 1", _extras="")) == []
