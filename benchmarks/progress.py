"""What the benchmarks that measure latencies say while they run."""

import sys

from paretobert.profiling.measuring import MeasuringProgress


def say(progress: MeasuringProgress) -> None:
    """Print a line on standard error when a process has made its last visit."""
    if progress.num_visits == progress.visits_per_process:
        print(f"process {progress.num_processes + 1}, {progress.elapsed_s:.0f} s", file=sys.stderr)
