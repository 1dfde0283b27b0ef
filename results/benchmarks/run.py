"""All benchmarks in one run at full effort, and the one of the cores again, alone."""

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
#: Files that this writes, as patterns.
WRITES = ("benchmarks.json", "benchmarks.md", "cores.json", "cores.md")


def main() -> None:
    """Measure; nothing else should run on the machine."""
    if FINISHED_ONLY:
        sys.exit("a benchmark has nothing that could be written again without measuring")
    for name, only in (("benchmarks", []), ("cores", ["cores"])):
        with tempfile.TemporaryDirectory() as place:
            # From a folder of its own: the command that the table names is the one without --out.
            command = [sys.executable, "-m", "benchmarks", *only, "--effort", "full"]
            subprocess.run(command, cwd=place, check=True, env=os.environ | {"PYTHONPATH": str(HERE.parent.resolve())})
            for suffix in (".json", ".md"):
                shutil.copyfile(Path(place) / "out" / "benchmarks" / f"benchmarks{suffix}", FOLDER / f"{name}{suffix}")
    finish(__file__, __doc__ or "", [])


if __name__ == "__main__":
    main()
