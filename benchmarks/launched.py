"""Commands of the package in processes of their own."""

import os
import subprocess
import sys


def printed(*words: str, **environment: str) -> str:
    """What `paretobert` prints.

    Args:
        words: What follows its name.
        environment: Variables beside those of this process.

    Raises:
        SystemExit: When it fails, with its last words.
    """
    done = subprocess.run(
        [sys.executable, "-m", "paretobert", *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout
