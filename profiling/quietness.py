"""Whether the machine was quiet enough for what was asked, in sentences to be said first.

Each limit is stated here once. A table, and a second timing, that breaks one says so in the first
line of the terminal, in the JSON, on the page and on the model card.
"""

from collections.abc import Sequence

from ..intervals import FEWEST_PROCESSES, interval_name
from .protocol import MOST_PROCESSES
from .statistics import NoiseReport

FOREIGN_SHARE = 0.10
"""Share of all processors' time that other programs may use while latencies are measured."""

DRIFTED_SHARE = 0.5
"""Share of the rounds that may count although the full model drifted beyond the tolerance."""

DISCARDED_SHARE = 0.5
"""Share of all visits that may be discarded."""


def disturbances(noise: NoiseReport | None, resolved: Sequence[bool]) -> tuple[str, ...]:
    """What forbids to take latencies at their word, one sentence each; none on a quiet machine.

    Args:
        noise: What the noise guards did; None where nothing was measured.
        resolved: For each network whether its interval is as narrow as was asked for.
    """
    if noise is None:
        return ()
    found = []
    wide = len(resolved) - sum(resolved)
    if noise.num_processes < FEWEST_PROCESSES:
        found.append(
            f"Latencies are only a {interval_name(noise.num_processes)}, fewer than the "
            f"{FEWEST_PROCESSES} that a 95 % interval takes."
        )
    elif wide:
        found.append(
            f"Not resolved: {wide} of {len(resolved)} latency intervals are wider than asked."
        )
    if noise.foreign_share is not None and noise.foreign_share > FOREIGN_SHARE:
        found.append(
            f"Other programs used {noise.foreign_share:.0%} of the processors while latencies "
            f"were measured (limit {FOREIGN_SHARE:.0%})."
        )
    if noise.num_drifted_rounds > DRIFTED_SHARE * noise.num_rounds:
        found.append(
            f"The full model's time drifted in {noise.num_drifted_rounds} of {noise.num_rounds} "
            "rounds."
        )
    num_visits = noise.num_visits + noise.num_discarded_visits
    if noise.num_discarded_visits > DISCARDED_SHARE * num_visits:
        found.append(
            f"{noise.num_discarded_visits} of {num_visits} timed visits were too noisy to count."
        )
    return tuple(found)


def remedy(
    noise: NoiseReport,
    resolved: Sequence[bool],
    *,
    command: str,
    time_budget_s: float,
) -> str:
    """What to do about disturbances: measure longer where that helps, else anew.

    Args:
        noise: What the noise guards did.
        resolved: See `disturbances`.
        command: Measures; longer when `--measure-s` is added, anew with `--anew`.
        time_budget_s: Seconds that measuring could take.
    """
    enough = noise.num_processes >= FEWEST_PROCESSES and all(resolved)
    if enough or noise.num_processes >= MOST_PROCESSES:
        return f"Measure anew, with other programs closed: {command} --anew"
    return (
        f"Measure longer, with other programs closed: {command} --measure-s {4 * time_budget_s:g}"
    )
