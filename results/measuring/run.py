"""All measures of features in one call, against the passes of the package neural-collapse, in CPU seconds."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))  # the benchmarks are not installed

from importlib.util import find_spec

from kept import FINISHED_ONLY, finish, write, write_json

from benchmarks.__main__ import cells, environment, markdown
from benchmarks.measuring import measuring

FOLDER = Path(__file__).parent
#: Files that this writes, as patterns.
WRITES = ("measuring.json", "measuring.md")
#: (K, d, N) and samples of each time.
SIZES, SAMPLES = [((100, 512, 20_000), 7), ((1000, 2048, 20_000), 1)], "7 and 1"


def main() -> None:
    """Measure, with one thread; the peer is github.com/rhubarbwu/neural-collapse, on the path."""
    if FINISHED_ONLY:
        sys.exit("a benchmark has nothing that could be written again without measuring")
    if find_spec("neural_collapse") is None:
        sys.exit("this needs the package neural-collapse, from github.com/rhubarbwu/neural-collapse")
    rows = []
    for size, samples in SIZES:
        for row in measuring([size], samples):
            rows.append(row)
            print("  ".join(cell for cell in cells(row) if cell), flush=True)
    about = environment()
    text = markdown(rows, about, "python results/measuring/run.py")
    write(FOLDER / "measuring.md", text.replace("median time", "median CPU time", 1))
    write_json(FOLDER / "measuring.json", {"environment": about, "rows": [row.to_dict() for row in rows]})
    finish(__file__, __doc__ or "", [0], {"sizes": [size for size, _ in SIZES], "samples": SAMPLES})


if __name__ == "__main__":
    main()
