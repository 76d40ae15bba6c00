"""What networks that a search found gain over the landmarks of their space at equal speed.

Of what was timed in one session (`training.py`), and scored for one seed or several.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gains import SPEEDUPS, best_within, over_seeds

from paretobert.dynabert.options import RECIPES
from paretobert.networks.retention import Retention
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.comparison import compare
from paretobert.tasks.scores import Evaluation

OWN = "own"
"""The series of the landmarks of a run's space."""

SEARCHED = "searched"
"""The series of what a search found beyond them."""

SHAPED = (OWN, SEARCHED, "finished", "bort", *RECIPES)
"""The series whose networks are of the run's space, or of the landmarks of a run beside it."""

OF_ANY_RUN = (OWN, SEARCHED, "finished")
"""Those that a search and finishing make in any run."""

Shape = tuple[tuple[int, ...], tuple[int, ...], Retention | None]
"""The heads and the neurons of each kept layer, and the word-vectors that leave it."""


def shapes_of(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Shape]:
    """What each kept layer computes, by name, whatever the layers' places were."""
    return {
        name: shape_of(SubnetConfig.from_key(row["key"]))
        for name, row in rows.items()
        if row["series"] in SHAPED
    }


def shape_of(config: SubnetConfig) -> Shape:
    """What decides its speed: weights do not, nor do the layers' places."""
    return config.heads, config.neurons, config.tokens


def keeping_every_token(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The rows of the run's space whose networks eliminate no word-vectors."""
    return {name: rows[name] for name, (*_, tokens) in shapes_of(rows).items() if tokens is None}


def of_landmarks(
    landmarks: Iterable[SubnetConfig], rows: Mapping[str, Mapping[str, Any]]
) -> set[str]:
    """The names of the rows whose layers have a landmark's sizes, by whatever recipe."""
    sizes = set(map(shape_of, landmarks))
    return {
        name
        for name, shape in shapes_of(rows).items()
        if rows[name]["series"] in RECIPES or shape in sizes
    }


def _speedups(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How many times as fast as the full model each is, by name."""
    return {name: row["eager"]["speedup"] for name, row in rows.items()}


def against_landmarks(
    landmarks: Iterable[SubnetConfig],
    rows: Mapping[str, Mapping[str, Any]],
    outcomes: Mapping[str, Mapping[str, Evaluation]],
) -> list[dict[str, Any]]:
    """What a search found against the best landmark that is at least as fast, in pairs.

    Args:
        landmarks: Of the run's space.
        rows: Its timed networks' rows by name.
        outcomes: Their evaluations by split.
    """
    grid, speedups = of_landmarks(landmarks, rows), _speedups(rows)
    found = []
    for name, row in rows.items():
        if name in grid or row["series"] not in SHAPED:
            continue
        best = best_within(speedups, grid, outcomes["search"], least=speedups[name])
        if best is not None:
            gain = compare(outcomes["report"][name], outcomes["report"][best])
            found.append(
                {
                    "network": f"{row['series']} {row['name']}",
                    "speedup": speedups[name],
                    "landmark": f"{rows[best]['series']} {rows[best]['name']}",
                    "landmark_speedup": speedups[best],
                    "gain": gain.to_dict(),
                }
            )
    return sorted(found, key=lambda entry: float(entry["speedup"]))


def gains_over_landmarks(
    landmarks: Iterable[SubnetConfig],
    rows: Mapping[str, Mapping[str, Any]],
    outcomes: Sequence[Mapping[str, Mapping[str, Evaluation]]],
) -> list[dict[str, Any]]:
    """What asking among all gains over asking among the landmarks, by speed-up, over seeds.

    Args:
        landmarks: Of the runs' space.
        rows: The timed networks' rows by name.
        outcomes: For each seed evaluations by split and name.
    """
    every = {name for name, row in rows.items() if row["series"] in OF_ANY_RUN}
    grid, speedups = every & of_landmarks(landmarks, rows), _speedups(rows)
    found = []
    for least in SPEEDUPS:
        answers = []
        for known in outcomes:
            search, report = known["search"], known["report"]
            ours, theirs = (
                best_within(speedups, names & search.keys(), search, least=least)
                for names in (every, grid)
            )
            if ours is not None and theirs is not None:
                answers.append(
                    {
                        "all": ours,
                        "landmark": theirs,
                        "gain": compare(report[ours], report[theirs]).to_dict(),
                    }
                )
        if len(answers) == len(outcomes):
            gain = over_seeds([answer["gain"]["value"] for answer in answers])
            found.append({"speedup": least, "gain": gain, "answers": answers})
    return found
