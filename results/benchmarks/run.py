"""Every benchmark at full effort, a table each.

Arguments name those that are measured; the tables of the others stay as they are. Each states the versions it was
measured with.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import os
import shutil
import subprocess
import tempfile

from kept import FINISHED_ONLY, HERE, finish

FOLDER = Path(__file__).parent
#: Files that this writes, two of each benchmark.
WRITES = (
    "single.json", "single.md",
    "threshold.json", "threshold.md",
    "tailed.json", "tailed.md",
    "grouped.json", "grouped.md",
    "searches.json", "searches.md",
    "points.json", "points.md",
    "compiled.json", "compiled.md",
    "cores.json", "cores.md",
    "descent.json", "descent.md",
    "equilibria.json", "equilibria.md",
    "steps.json", "steps.md",
)  # fmt: skip
NAMES = tuple(name.removesuffix(".md") for name in WRITES if name.endswith(".md"))


def main() -> None:
    """Measure; nothing else should run on the machine."""
    if FINISHED_ONLY:
        sys.exit("a benchmark has nothing that could be written again without measuring")
    chosen = sys.argv[1:] or NAMES
    if unknown := set(chosen) - set(NAMES):
        sys.exit(f"benchmarks must be among {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")
    for name in chosen:
        with tempfile.TemporaryDirectory() as place:
            # From a folder of its own: the command that the table names is the one without --out.
            command = [sys.executable, "-m", "benchmarks", name, "--effort", "full"]
            subprocess.run(command, cwd=place, check=True, env=os.environ | {"PYTHONPATH": str(HERE.parent.resolve())})
            for suffix in (".json", ".md"):
                shutil.copyfile(Path(place) / "out" / "benchmarks" / f"benchmarks{suffix}", FOLDER / f"{name}{suffix}")
    finish(__file__, __doc__ or "", [], {"measured": list(chosen)})


if __name__ == "__main__":
    main()
