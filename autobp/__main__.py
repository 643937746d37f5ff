"""`python -m autobp`: the command line."""

import sys

from autobp.cli import main

if __name__ == "__main__":
    sys.exit(main())
