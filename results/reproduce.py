"""Makes kept results again: ``python results/reproduce.py NAME ... [--finished-only]``.

Names are those of the folders here; it runs each folder's ``run.py``, see :mod:`kept`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: Names that jobs had before each had a folder's.
FORMER = {
    "nonlinear": "nonlinear-digits",
    "hysteresis": "hysteresis-digits",
    "balanced": "balanced-fashion-mnist",
    "balanced_conv": "balanced-conv-fashion-mnist",
    "p4": "p4-fashion-mnist",
    "p4_conv": "p4-conv-fashion-mnist",
}


def main(arguments: list[str]) -> int:
    """Run the scripts one after the other; the status is that of the first that fails."""
    known = sorted(path.parent.name for path in HERE.glob("*/run.py"))
    options = [a for a in arguments if a == "--finished-only"]
    names = [FORMER.get(a, a) for a in arguments if a not in options]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        print(f"usage: python results/reproduce.py {'|'.join(known)} ... [--finished-only]", file=sys.stderr)
        if unknown:
            print(f"got {', '.join(map(repr, unknown))}", file=sys.stderr)
        return 2
    for name in names:
        status = subprocess.run([sys.executable, HERE / name / "run.py", *options]).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
