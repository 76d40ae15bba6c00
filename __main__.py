"""`python -m paretobert`, which launchers of several processes call."""

import sys

from .cli.app import main

if __name__ == "__main__":
    sys.exit(main())
