"""What the API reference needs of Sphinx: bars in formulas, names documented once, and names of the facade resolved."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

from mdit_py_plugins.anchors.index import slugify
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

LITERAL = re.compile(r"(``.*?``|:\w+:`.*?`)")


def escaped(text: str) -> str:
    """Return a line with its bars escaped and "theory section N" linked, outside of literals."""
    parts = LITERAL.split(text)
    return "".join(p if LITERAL.fullmatch(p) else linked(re.sub(r"(?<!\\)\|", r"\|", p)) for p in parts)


def linked(text: str) -> str:
    """Return a text in which "theory section N" leads to that section."""
    return re.sub(r"(theory,? section) (\d+)", lambda m: f"`{m[0]} <../theory.html#{SECTIONS[m[2]]}>`__", text)


def sections() -> dict[str, str]:
    """Return the anchors of the theory's sections by their numbers."""
    theory = (Path(__file__).parents[1] / "theory.md").read_text(encoding="utf-8")
    return {n: slugify(title) for title, n in re.findall(r"^## (Section (\d+)\..*)$", theory, re.M)}


SECTIONS = sections()


def escape_bars(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars of norms, which reStructuredText takes for substitutions, outside of literals and examples."""
    in_example = in_block = False
    for i, line in enumerate(lines):
        if line.lstrip().startswith(">>>"):
            in_example = True
        if in_block and line.strip() and not line.startswith((" ", "\t")):
            in_block = False
        if not line.strip():
            in_example = False
        if not in_example and not in_block and ("|" in line or "theory" in line):
            lines[i] = escaped(line)
        if line.rstrip().endswith("::"):
            in_block = True


def home(obj: Any) -> str:
    """Return the module that an object says it is from."""
    return str(getattr(obj, "__module__", "") or "")


def documented(obj: Any, room: str, rooms: frozenset[str]) -> bool:
    """Return whether a room documents an object: it is its own, or of no other room that is documented."""
    module = home(obj)
    inside = module == room or module.startswith(room + ".")
    deeper = any(
        other.startswith(room + ".") and (module == other or module.startswith(other + ".")) for other in rooms
    )
    elsewhere = any(module == other or module.startswith(other + ".") for other in rooms)
    return (inside and not deeper) or not elsewhere


def skip_names_of_other_rooms(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out of a module's page what another page documents."""
    room = app.env.temp_data.get("autodoc:module") or app.env.ref_context.get("py:module")
    if what != "module" or not isinstance(room, str) or not callable(obj):
        return None
    return None if documented(obj, room, app.config.reference_rooms) else True


def resolve_facade(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """Resolve a name as it is imported, such as ``ufm.solve``, to where it is documented."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("ufm."):
        return None
    obj = canonical(target)
    if obj is None:
        return None
    last = target.rpartition(".")[2]
    full = f"{home(obj)}.{getattr(obj, '__qualname__', last)}"
    objects = env.get_domain("py").objects
    names = [n for n in objects if n == full or (n.rpartition(".")[2] == last and canonical(n) is obj)]
    if not names:
        return None
    entry = objects[names[0]]
    return make_refnode(app.builder, node.get("refdoc", ""), entry.docname, entry.node_id, contnode, names[0])


def canonical(name: str) -> Any:
    """Return the object of a documented name, or None."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            obj: Any = importlib.import_module(".".join(parts[:cut]))
            for part in parts[cut:]:
                obj = getattr(obj, part)
            return obj
        except (ImportError, AttributeError):
            continue
    return None


class Facade(SphinxDirective):
    """The directive ``facade``: a table of the names of ``ufm`` with the first sentence of each."""

    def run(self) -> list[Any]:
        """Return the table."""
        import ufm

        rows = []
        for name in ufm.__all__:
            first = (inspect.getdoc(getattr(ufm, name)) or "").split("\n\n")[0].replace("\n", " ")
            rows.append(f"   * - :obj:`ufm.{name}`\n     - {escaped(first)}")
        text = ".. list-table::\n   :widths: 30 70\n\n" + "\n".join(rows)
        return self.parse_text_to_nodes(text)


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_config_value("reference_rooms", frozenset(), "env")
    app.connect("autodoc-process-docstring", escape_bars, priority=900)
    app.connect("autodoc-skip-member", skip_names_of_other_rooms)
    app.add_directive("facade", Facade)
    app.connect("missing-reference", resolve_facade)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
