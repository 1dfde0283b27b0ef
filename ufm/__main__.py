"""The command line ``ufm``, also ``python -m ufm``."""

from __future__ import annotations

import sys

from ufm._extras import MissingExtraError, optional
from ufm._interrupts import exit_status, interruptible, interrupts_held

__all__ = ["main"]


def main() -> None:
    """Run the command line; where a package is missing, name its extra and end with exit status 2.

    From here on Ctrl-C and SIGTERM end a run with what it has found, also while packages are imported.
    """
    try:
        with interruptible(), interrupts_held():
            with optional("cli"):
                from ufm.cli import main as run
            run()
    except MissingExtraError as error:
        sys.exit(_refuse(str(error)))
    except KeyboardInterrupt:
        sys.exit(exit_status())


def _refuse(message: str) -> int:
    print(f"ufm: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
