"""``python -m ufm`` is the command line ``ufm``."""

from ufm.cli import main

if __name__ == "__main__":
    main()
