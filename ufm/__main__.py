"""The command line ``ufm``, also ``python -m ufm``."""

from __future__ import annotations

import sys

from ufm._extras import MissingExtraError, optional

__all__ = ["main"]


def main() -> None:
    """Run the command line; where a package is missing, name its extra and end with exit status 2."""
    try:
        with optional("cli"):
            from ufm.cli import main as run
        run()
    except MissingExtraError as error:
        sys.exit(_refuse(str(error)))


def _refuse(message: str) -> int:
    print(f"ufm: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
