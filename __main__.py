"""`paretobert`, and `python -m paretobert`, which launchers of several processes call."""

import sys

from .cli.app import main as command_line
from .garbage import leave_the_rest


def main() -> int:
    """Run this process's command line; its exit status."""
    status = command_line()
    leave_the_rest()
    return status


if __name__ == "__main__":
    sys.exit(main())
