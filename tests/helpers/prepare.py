"""What a first run of the tests would make beside the packages, made at set-up: ``python tests/helpers/prepare.py``.

The loops that Numba compiles, which it keeps beside their source, and what mypy keeps of the installed packages that
are imported.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN = ("ufm", "proofs_check")


def imported(source: str) -> Iterator[str]:
    """Modules that a source imports.

    >>> sorted(imported("import a.b, c\\nfrom d import e\\nfrom .f import g"))
    ['a.b', 'c', 'd']
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def read_types(folder: str) -> subprocess.Popen[bytes]:
    """Start mypy on a file in ``folder`` that imports the installed packages that ours import."""
    sources = (path.read_text(encoding="utf-8") for room in OWN for path in (ROOT / room).rglob("*.py"))
    names = {name for source in sources for name in imported(source)}
    foreign = sorted(name for name in names if name.split(".")[0] not in (*OWN, "__future__"))
    file = Path(folder, "packages.py")
    file.write_text("".join(f"import {name}\n" for name in foreign), encoding="utf-8")
    return subprocess.Popen([sys.executable, "-m", "mypy", file], cwd=ROOT, stdout=subprocess.DEVNULL)


def compile_loops() -> None:
    """Take a step by every loop that Numba compiles."""
    import torch

    import ufm
    from ufm.deq.iteration import Options
    from ufm.deq.solvers import SOLVERS, get_solver

    for sizes in ({"E_W": 1.0, "E_H": 1.0}, {"lambda_W": 1e-3, "lambda_H": 1e-3}):
        ufm.solve_batch(2, 2, [5.0], **sizes, compiled=True)
    for dtype in (torch.float64, torch.float32):
        start = torch.zeros(3, 5, dtype=dtype)
        for solver in SOLVERS:
            get_solver(solver)(lambda z: torch.cos(z) / 2, start, 1e-5, 50, None, Options(compiled=True))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        types = read_types(folder)
        compile_loops()
        types.wait()
