"""How many networks each engine scores to reach what scoring all of them would give.

Every network of a coarse layerwise space was really scored (`search_outcomes.py`). Each engine
searches the space by looking scores up, from several seeds; after every network that it asks for,
the hypervolume of what it found, scores on the search split against FLOPs, is divided by that of
all networks. `random` is the control. The reference point is a tenth of the range of the front of
all networks beyond its ends; one at the worst network would give most of the volume to any three
networks. Means over seeds with 95 % intervals by Student's t; how many evaluations a share takes
is the first number at which the mean over seeds reaches it, of all networks' hypervolume and of
what the engine itself ends with; and how many an engine takes for what the control ends with.
Engines of an earlier call stay in the file.

    python benchmarks/search_engines.py benchmarks/search/stdlib-docs.json
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import moocore
import numpy as np
from coarse import Coarse
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from outcomes import unpack

from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.environment import Environment
from paretobert.reports.figures.drawing import canvas, legend, log_axis, plain, save
from paretobert.reports.palette import FRONT, FULL, INK, MARKS
from paretobert.search.cost_model import CostModel
from paretobert.search.engines.registry import engine_named
from paretobert.search.options import EngineName
from paretobert.search.problem import Observation, Problem
from paretobert.search.ranking import MARGIN
from paretobert.storage import read_json, write_json
from paretobert.tasks.metrics import METRICS

SEEDS = 10
CONTROL = "random"
COLOURS = (FRONT, FULL, *(mark.colour for mark in MARKS))
DASHES = ("-", "--", "-.")

AT_MOST: Mapping[str, int] = {"gp": 30}
"""Where an engine's own time grows with what it has seen."""

LOWEST = 0.8
"""Where the figure's axis of shares begins."""

SHARES = (0.9, 0.95, 0.967, 0.99, 0.997)
LINAS = {111: 0.967, 465: 0.997}
"""Evaluations and shares of its own final hypervolume that LINAS reports on a transformer
supernet (Cummings et al. 2022)."""


class BlackBox:
    """Every network of a space with its scores.

    Attributes:
        record: The file.
        space: The space.
        scores: On each split, by network.
    """

    def __init__(self, path: Path) -> None:
        """Read the outcomes and score them again."""
        self.record = read_json(path)
        self.space = Coarse(
            EncoderShape(**self.record["shape"]), tuple(sorted(self.record["widths"])[::-1])
        )
        self.scores = {split: _scores(packed) for split, packed in self.record["splits"].items()}

    def problem(self, objectives: Sequence[str] = ("score", "num_flops")) -> Problem:
        """What there is to search."""
        quantities = [name for name in objectives if name != "score"]
        costs = CostModel(self.space.shape, quantities, seq_len=self.record["seq_len"])
        return Problem(self.space, costs.of, tuple(objectives))

    def observed(self, configs: Sequence[SubnetConfig], split: str) -> list[Observation]:
        """Networks as an engine sees them."""
        return [Observation(config, self.scores[split][config]) for config in configs]


def _scores(packed: Mapping[str, Any]) -> dict[SubnetConfig, float]:
    """The primary metric of every network, without what intervals would cost."""
    metric, n = METRICS[packed["metrics"][0]], packed["n"]
    labels = unpack(packed["labels"], n)
    return {
        SubnetConfig.from_key(key): metric(labels, unpack(entry, n))
        for key, entry in packed["predictions"].items()
    }


class Volume:
    """The hypervolume of observations beyond a reference point just outside the whole front."""

    def __init__(self, problem: Problem, every: Sequence[Observation]) -> None:
        """Lay the reference point a tenth of the front's range beyond its ends."""
        self._problem = problem
        values = np.array([problem.signed(seen) for seen in problem.front(every)])
        self._low = values.min(axis=0)
        self._width = np.ptp(values, axis=0)
        self._whole = 1.0
        self._whole = self.share(every)

    def share(self, observed: Sequence[Observation]) -> float:
        """The share of the volume of every network."""
        values = np.array([self._problem.signed(seen) for seen in observed])
        scaled = (values - self._low) / self._width
        reference = np.full(values.shape[1], 1 + MARGIN)
        return float(moocore.hypervolume(scaled, ref=reference) / self._whole)


def searched(
    box: BlackBox, problem: Problem, engine: EngineName, number: int
) -> list[Observation]:
    """What an engine asks for, in order."""
    proposer = engine_named(engine, problem)
    observed: list[Observation] = []
    while len(observed) < number:
        config = proposer.propose(observed)
        if config is None:
            break
        observed += box.observed([config], "search")
    return observed


def curve(volume: Volume, observed: Sequence[Observation]) -> list[float]:
    """The share after every evaluation."""
    return [volume.share(observed[: i + 1]) for i in range(len(observed))]


def summary(curves: NDArray[np.float64]) -> dict[str, Any]:
    """Mean and interval over seeds, and how many evaluations each share takes."""
    from scipy.stats import t

    mean = curves.mean(axis=0)
    error = t.ppf(0.975, len(curves) - 1) * curves.std(axis=0, ddof=1) / len(curves) ** 0.5
    means = np.round(mean, 5).tolist()
    return {"mean": means, "half_width": np.round(error, 5).tolist(), **taken(means)}


def taken(means: Sequence[float]) -> dict[str, Any]:
    """How many evaluations each share takes, of all and of the engine's own last."""
    return {
        name: {str(share): reached(means, share * whole) for share in SHARES}
        for name, whole in (("evaluations", 1.0), ("evaluations_to_own_last", means[-1]))
    }


def reached(means: Sequence[float], level: float) -> int | None:
    """The number of evaluations after which a mean is first that high; None where it never is."""
    return next((number for number, mean in enumerate(means, start=1) if mean >= level), None)


def to_control_last(results: Mapping[str, Mapping[str, Any]]) -> dict[str, int | None]:
    """How many evaluations each engine takes for the share that the control ends with."""
    if CONTROL not in results:
        return {}
    last = results[CONTROL]["mean"][-1]
    return {name: reached(result["mean"], last) for name, result in results.items()}


def figure(record: Mapping[str, Any]) -> Canvas:
    """The share against evaluations, a line and a dash for each engine, with bands over seeds."""
    drawing = canvas()
    axes = plain(drawing.add_subplot(), title=f"What engines find on {record['task']}")
    for name, found in record["engines"].items():
        place = get_args(EngineName).index(name)
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
        mean, half_width = np.array(found["mean"]), np.array(found["half_width"])
        evaluations = np.arange(1, len(mean) + 1)
        label = name if mean[-1] > LOWEST else f"{name} (below, {mean[-1]:.2f})"
        axes.plot(evaluations, mean, label=label, linewidth=1.6, color=colour, linestyle=dash)
        axes.fill_between(
            evaluations,
            mean - half_width,
            mean + half_width,
            alpha=0.12,
            color=colour,
            linewidth=0,
        )
    axes.plot(list(LINAS), list(LINAS.values()), "x", color=INK, label="LINAS, of its own final")
    most = max(len(found["mean"]) for found in record["engines"].values())
    log_axis(axes.xaxis, 6, most)
    axes.set(
        xlim=(6, most),
        ylim=(LOWEST, 1.002),
        xlabel=f"networks scored, of {record['networks']}; bands: intervals over the seeds",
        ylabel="share of the hypervolume of all networks",
    )
    legend(drawing, axes)
    return drawing


def main() -> None:
    """Search with every engine from every seed, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("outcomes", type=Path, help="a file of search_outcomes.py")
    parser.add_argument("--engines", default=",".join(get_args(EngineName)))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--evaluations", type=int, default=250)
    arguments = parser.parse_args()
    box = BlackBox(arguments.outcomes)
    problem = box.problem()
    every = box.observed(box.space.every(), "search")
    volume = Volume(problem, every)
    stem = arguments.outcomes.with_suffix("")
    path = stem.with_name(f"{stem.name}-engines.json")
    known = read_json(path) if path.exists() else {}
    results: dict[str, Any] = {
        name: found | taken(found["mean"]) for name, found in known.get("engines", {}).items()
    }
    for engine in arguments.engines.split(","):
        number = AT_MOST.get(engine, arguments.evaluations)
        start_s = time.process_time()
        curves = []
        for seed in range(arguments.seeds):
            found = searched(box, replace(problem, seed=seed), engine, number)
            shares = curve(volume, found)
            curves.append(shares + shares[-1:] * (number - len(shares)))
        seconds = (time.process_time() - start_s) / arguments.seeds
        results[engine] = summary(np.array(curves)) | {
            "command": f"python {' '.join(sys.argv)}",
            "seeds": arguments.seeds,
            "processor_s_of_a_search": round(seconds, 1),
        }
        print(engine, results[engine]["evaluations"], f"{seconds:.1f} s", file=sys.stderr)
        record = {
            "environment": Environment.capture().to_dict(),
            "task": box.record["request"]["task"]["name"],
            "networks": len(every),
            "front": len(problem.front(every)),
            "control": CONTROL,
            "evaluations_to_control_last": to_control_last(results),
            "linas": {str(number): share for number, share in LINAS.items()},
            "engines": {name: results[name] for name in get_args(EngineName) if name in results},
        }
        write_json(path, record)
        save(lambda: figure(record), stem.with_name(f"{stem.name}-engines.png"))  # noqa: B023


if __name__ == "__main__":
    main()
