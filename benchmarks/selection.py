"""How much a search flatters what it chooses, what corrects that, and what to choose by.

Reads files of `selection_outcomes.py` and answers three questions.

1. Which estimate of the chosen network's score comes nearest to the truth? Truth is known in two
   worlds: *resampled*, where examples are drawn with replacement from all examples of both splits
   and a network's truth is its score on all of them; and *probit*, where network k has example i
   right when t_k + sqrt(r) u_i + sqrt(1 - r) e_ki > 0 with standard normal u and e, so that its
   truth is the normal distribution function of t_k. There the spread of truths and the share of
   examples that two networks disagree on are those of the file's better networks, and once all
   truths are equal, where everything that the choice gains is luck.
2. What do the front and the best network under a budget score on search, corrected, on report?
3. Does another signal of the search examples predict the score on report better than accuracy?
   All examples are divided in two at random, again and again: one half is chosen on, the other
   one read. Differences to accuracy are paired by division.

    python benchmarks/selection.py benchmarks/selection/stdlib-docs.npz --out benchmarks/selection

The result is NAME.json and NAME.md for each file.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.intervals import bracketed
from paretobert.networks.network import Cut, Network
from paretobert.networks.shape import EncoderShape
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.table import Profile
from paretobert.reports.tables import markdown_text
from paretobert.search.candidate import Candidate
from paretobert.search.front import ParetoFront
from paretobert.search.pool import Pool
from paretobert.search.selection import FOLDS, REPEATS, corrected_choice, corrected_front, parts
from paretobert.storage import write_json, write_text
from paretobert.tasks.proportions import Z95
from paretobert.tasks.scores import score_predictions

Floats = NDArray[np.float64]

STEPS, SCALE = 16, 1000
"""Steps of an octave, and what a value is multiplied by before 1 is added, in the file's bytes."""

NUM_SPLITS = 60
"""Parts, or resamples, behind each estimate of a simulated search."""

NUM_PROBIT = 400
"""Networks of the probit world."""

WITHIN = 0.08
"""The probit world is like the networks that score no further than this below the best."""

SHARES = tuple(share / 20 for share in range(6, 21))
"""Budgets: shares of the full model's multiply-adds."""

BANDS = ((0.0, 0.3), (0.3, 0.5), (0.5, 1.0))
"""Bands of cost, as shares of the full model's multiply-adds."""


def decoded(rounded: NDArray[np.uint8]) -> Floats:
    """The values that `selection_outcomes.codes` rounded to a logarithmic scale of bytes."""
    return np.asarray((np.exp2(rounded / STEPS) - 1) / SCALE)


MINILM = EncoderShape("bert", 6, 12, 32, 384, 1536, 384, 30522, 512, 2, 2)
"""The sizes of the model whose sub-networks were scored."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a file holds, the cheapest network first.

    Attributes:
        about: Where it comes from.
        keys: The networks' keys.
        num_macs: Their multiply-adds.
        num_params: Their parameters.
        is_grid: Which ones are of the run's grid.
        labels: By split: (examples,).
        predictions: By split: (networks, examples).
        divergence: KL(full || network), alike.
        nll: The negative log-likelihood of the label, alike.
    """

    about: Mapping[str, Any]
    keys: tuple[str, ...]
    num_macs: NDArray[np.int64]
    num_params: NDArray[np.int64]
    is_grid: NDArray[np.bool_]
    labels: Mapping[str, NDArray[np.int64]]
    predictions: Mapping[str, NDArray[np.int64]]
    divergence: Mapping[str, Floats]
    nll: Mapping[str, Floats]

    @classmethod
    def load(cls, path: Path) -> "Outcomes":
        """Read a file."""
        file = np.load(path)
        about = json.loads(str(file["about"]))
        order = np.lexsort((file["num_params"], file["num_macs"]))
        splits = ("search", "report")
        return cls(
            about=about,
            keys=tuple(file["keys"][order].tolist()),
            num_macs=file["num_macs"][order],
            num_params=file["num_params"][order],
            is_grid=order < about["num_grid"],
            labels={name: file[f"{name}_labels"].astype(int) for name in splits},
            predictions={name: file[f"{name}_predictions"][order].astype(int) for name in splits},
            divergence={name: decoded(file[f"{name}_divergence"][order]) for name in splits},
            nll={name: decoded(file[f"{name}_nll"][order]) for name in splits},
        )

    @property
    def full(self) -> int:
        """The full model's place."""
        return int(self.num_macs.argmax())

    @property
    def shares(self) -> Floats:
        """The networks' multiply-adds as shares of the full model's."""
        return self.num_macs / self.num_macs.max()

    def correct(self, split: str) -> Floats:
        """1 where a network has an example right: (networks, examples)."""
        return (self.predictions[split] == self.labels[split]).astype(np.float64)

    def candidates(self, split: str) -> list[Candidate]:
        """The networks as the search sees them."""
        labels = tuple(self.labels[split].tolist())
        found = []
        for i, key in enumerate(self.keys):
            predictions = tuple(self.predictions[split][i].tolist())
            evaluation = score_predictions(
                task=self.about["task"]["name"],
                split=split,
                metrics=("accuracy",),
                labels=labels,
                predictions=predictions,
            )
            found.append(
                Candidate(
                    Profile(
                        Network(key, Cut(MINILM, SubnetConfig.from_key(key))),
                        int(self.num_params[i]),
                        int(self.num_macs[i]),
                        seq_len=128,
                    ),
                    EAGER_FP32,
                    evaluation,
                )
            )
        return found


# Question 1: estimates where the truth is known.


def chosen_again(chosen: int, without: Floats, within: Floats) -> float:
    """What a network scores on parts beyond what is chosen without them: the mean loss."""
    again = without.argmax(axis=1)
    return float((within[:, chosen] - within[np.arange(len(again)), again]).mean())


def estimates(correct: Floats, generator: np.random.Generator) -> dict[str, float]:
    """Every estimate of the score of the best network.

    Args:
        correct: (networks, examples), the cheapest network first.
        generator: Of divisions and resamples.
    """
    n = correct.shape[1]
    plain, outcomes = correct.mean(axis=1), correct.T.astype(np.float32)
    chosen = int(plain.argmax())
    found = {"plain": float(plain[chosen])}

    def scored(weights: Floats) -> Floats:
        return (weights.astype(np.float32) @ outcomes) / weights.sum(axis=1, keepdims=True)

    def divided(folds: int, *, repeats: int) -> Floats:
        seed = int(generator.integers(2**31))
        return parts((0,) * n, repeats=repeats, seed=seed, folds=folds)

    for name, folds in (("halves", 2), ("thirds", 3), ("fifths", 5), ("tenths", 10)):
        left_out = divided(folds, repeats=NUM_SPLITS // folds)
        loss = chosen_again(chosen, scored(1 - left_out), scored(left_out))
        found[name] = found["plain"] - loss
    draws = generator.multinomial(n, np.full(n, 1 / n), size=NUM_SPLITS).astype(float)
    resampled = scored(draws)
    loss = chosen_again(chosen, resampled, scored((draws == 0).astype(float)))
    found["out of bag"] = found["plain"] - loss
    found[".632"] = found["plain"] - 0.632 * loss
    best = resampled.argmax(axis=1)
    optimism = (resampled[np.arange(NUM_SPLITS), best] - plain[best]).mean()
    found["bootstrap optimism"] = found["plain"] - float(optimism)
    within = scored(divided(10, repeats=1))
    bias = (within.max(axis=1) - within[:, chosen]).mean()
    found["Tibshirani"] = found["plain"] - float(bias)
    return found


def probit_world(
    correct: Floats, *, spread: float
) -> Callable[[np.random.Generator, int], tuple[Floats, Floats]]:
    """A world of which every truth is known; `spread` is the standard deviation of truths.

    Returns:
        Draws the outcomes of so many examples and the truths.
    """
    mean = correct.mean()
    level = float(ndtri(mean))
    shared = brentq(lambda r: disagreement(level, r) - mean_disagreement(correct), 0.01, 0.999)

    def draw(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        truths = np.clip(mean + spread * generator.standard_normal(NUM_PROBIT), 0.02, 0.98)
        common = math.sqrt(shared) * generator.standard_normal(n)
        own = math.sqrt(1 - shared) * generator.standard_normal((NUM_PROBIT, n))
        return (ndtri(truths)[:, None] + common + own > 0).astype(float), truths

    return draw


def resampled_world(
    correct: Floats,
) -> Callable[[np.random.Generator, int], tuple[Floats, Floats]]:
    """A world of which the examples are those of the file."""

    def draw(generator: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        return correct[:, generator.integers(correct.shape[1], size=n)], correct.mean(axis=1)

    return draw


def disagreement(level: float, shared: float) -> float:
    """The share of examples that one of two equal networks has right, in the probit world."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    right = ndtr((level + math.sqrt(shared) * nodes) / math.sqrt(1 - shared))
    return float((weights * 2 * right * (1 - right)).sum() / weights.sum())


def mean_disagreement(correct: Floats) -> float:
    """The mean share of examples that only one of two networks has right."""
    share = correct.mean(axis=0)
    num = len(correct)
    return float((2 * share * (1 - share)).mean() * num / (num - 1))


def spread_of_truths(correct: Floats) -> float:
    """The standard deviation of truths: that of the scores, less what sampling adds to it."""
    noise = mean_disagreement(correct) / 2 / correct.shape[1]
    return math.sqrt(max(0.0, float(correct.mean(axis=1).var(ddof=1)) - noise))


def simulated(
    draw: Callable[[np.random.Generator, int], tuple[Floats, Floats]], *, n: int, trials: int
) -> dict[str, Any]:
    """Bias, error and coverage of every estimate, against the truth of the network chosen.

    The error that all networks share on the examples drawn, whose mean is 0, is subtracted from
    errors: no estimate can know it, and it would hide how they differ.
    """
    generator = np.random.default_rng(n)
    errors: dict[str, list[float]] = {}
    covered: dict[str, list[bool]] = {}
    for _ in range(trials):
        correct, truths = draw(generator, n)
        scores = correct.mean(axis=1)
        best = int(scores.argmax())
        standard_error = correct[best].std() / math.sqrt(n)
        shared = (scores - truths).mean()
        for name, value in estimates(correct, generator).items():
            error = value - truths[best]
            errors.setdefault(name, []).append(error - shared)
            covered.setdefault(name, []).append(abs(error) < Z95 * standard_error)
    return {
        name: {
            "bias": round(float(np.mean(values)), 5),
            "bias_error": round(float(np.std(values) / math.sqrt(trials)), 5),
            "rmse": round(float(np.sqrt(np.mean(np.square(values)))), 5),
            "coverage": round(float(np.mean(covered[name])), 3),
        }
        for name, values in errors.items()
    }


def worlds(outcomes: Outcomes, *, trials: int) -> list[dict[str, Any]]:
    """The estimates in every world."""
    pooled = np.hstack([outcomes.correct("search"), outcomes.correct("report")])
    scores = pooled.mean(axis=1)
    contenders = pooled[scores > scores.max() - WITHIN]
    n = len(outcomes.labels["search"])
    spread = spread_of_truths(contenders)
    cases: list[tuple[str, Any, int]] = [
        ("resampled", resampled_world(pooled), n),
        ("resampled", resampled_world(pooled), n // 4),
        ("resampled, the grid alone", resampled_world(pooled[outcomes.is_grid]), n),
        (
            "resampled, up to half the cost",
            resampled_world(pooled[outcomes.shares <= 0.5]),
            n,
        ),
        ("probit, truths as spread as here", probit_world(contenders, spread=spread), n),
        ("probit, truths as spread as here", probit_world(contenders, spread=spread), n // 4),
        ("probit, all truths equal", probit_world(contenders, spread=0), n),
    ]
    results = []
    for name, draw, size in cases:
        correct, truths = draw(np.random.default_rng(0), size)
        results.append(
            {
                "world": name,
                "examples": size,
                "networks": len(truths),
                "spread_of_truths": round(float(truths.std()), 4),
                "disagreement": round(mean_disagreement(correct), 4),
                "trials": trials,
                "estimates": simulated(draw, n=size, trials=trials),
            }
        )
        print(f"{name}, {size} examples: done", file=sys.stderr, flush=True)
    return results


# Question 2: plain, corrected and report of what is chosen.


def front_rows(outcomes: Outcomes) -> dict[str, Any]:
    """The front of accuracy and multiply-adds: each member's scores."""
    candidates = outcomes.candidates("search")
    plain, reported = (outcomes.correct(name).mean(axis=1) for name in ("search", "report"))
    started = time.process_time()
    report = corrected_front(ParetoFront.of(candidates, ("score", "num_flops")))
    seconds = time.process_time() - started
    places = {key: i for i, key in enumerate(outcomes.keys)}
    members = [
        {
            "key": key,
            "share": round(float(outcomes.shares[places[key]]), 4),
            "num_tried": entry.num_tried,
            "plain": round(entry.plain, 4),
            "corrected": round(entry.corrected, 4),
            "standard_error": round(entry.standard_error, 4),
            "report": round(float(reported[places[key]]), 4),
        }
        for key, entry in report.scores.items()
    ]
    return {
        "num_tried": report.num_tried,
        "processor_seconds": round(seconds, 2),
        "members": members,
        "search_above_report": {
            "full model": round(float(plain[outcomes.full] - reported[outcomes.full]), 4),
            "mean of all networks": round(float((plain - reported).mean()), 4),
            "mean of the grid": round(float((plain - reported)[outcomes.is_grid].mean()), 4),
        },
        "mean": {
            name: round(float(np.mean([row[name] for row in members])), 4)
            for name in ("plain", "corrected", "report")
        },
    }


def budget_rows(outcomes: Outcomes) -> list[dict[str, Any]]:
    """The best network under each budget, of all and of the grid alone."""
    candidates = outcomes.candidates("search")
    reported = outcomes.correct("report").mean(axis=1)
    rows = []
    for share in (0.3, 0.4, 0.5, 0.6, 0.8, 1.0):
        for name, pool in (("all", outcomes.shares > 0), ("grid", outcomes.is_grid)):
            places = np.flatnonzero(pool & (outcomes.shares <= share))
            if len(places) == 0:
                continue
            scores = np.array([candidates[place].evaluation.value for place in places])
            best = int(places[scores.argmax()])
            entry = corrected_choice(Pool.of([candidates[place] for place in places]))
            rows.append(
                {
                    "budget": share,
                    "networks": name,
                    "num_tried": entry.num_tried,
                    "key": outcomes.keys[best],
                    "plain": round(entry.plain, 4),
                    "corrected": round(entry.corrected, 4),
                    "standard_error": round(entry.standard_error, 4),
                    "report": round(float(reported[best]), 4),
                }
            )
    return rows


# Question 3: what to choose by.


def signals(outcomes: Outcomes) -> dict[str, Floats]:
    """What could be chosen by, larger is better: (networks, examples of both splits)."""

    def pooled(of: Mapping[str, NDArray[Any]]) -> Floats:
        return np.hstack([of["search"], of["report"]])

    predictions = pooled(outcomes.predictions)
    agreement = (predictions == predictions[outcomes.full]).astype(float)
    correct = np.hstack([outcomes.correct("search"), outcomes.correct("report")])
    return {
        "accuracy": correct,
        "agreement with the full model": agreement,
        "divergence from the full model": -pooled(outcomes.divergence),
        "log-likelihood of the label": -pooled(outcomes.nll),
        "accuracy and agreement": (correct + agreement) / 2,
    }


def standardised(values: Floats) -> Floats:
    """Over networks, mean 0 and standard deviation 1."""
    return (values - values.mean()) / max(float(values.std()), 1e-12)


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation, equal values sharing a rank."""
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def signal_rows(outcomes: Outcomes, *, divisions: int) -> dict[str, Any]:
    """How well each signal on one half predicts, and chooses for, the other half."""
    per_example = signals(outcomes)
    correct = per_example["accuracy"]
    n, shares = correct.shape[1], outcomes.shares
    halves = parts((0,) * n, repeats=divisions // 2, seed=0, folds=2)
    bands = {"all": shares > 0} | {
        f"{low:g} to {high:g}": (shares > low) & (shares <= high) for low, high in BANDS
    }
    budgets = [np.flatnonzero(shares <= share) for share in SHARES]
    budgets = [places for places in budgets if len(places) > 1]
    ranks: dict[str, dict[str, list[float]]] = {}
    reads: dict[str, list[float]] = {}
    for half in halves > 0:
        truth = correct[:, ~half].mean(axis=1)
        found = {name: values[:, half].mean(axis=1) for name, values in per_example.items()}
        found["accuracy and divergence"] = standardised(found["accuracy"]) + standardised(
            found["divergence from the full model"]
        )
        for name, values in found.items():
            for band, members in bands.items():
                ranks.setdefault(name, {}).setdefault(band, []).append(
                    spearman(values[members], truth[members])
                )
            choices = [places[values[places].argmax()] for places in budgets]
            reads.setdefault(name, []).append(float(truth[choices].mean()))
    baseline = np.array(reads["accuracy"])
    first_ranks = {band: np.array(ranks["accuracy"][band]) for band in bands}
    return {
        "divisions": len(halves),
        "budgets": list(SHARES),
        "bands": {band: int(members.sum()) for band, members in bands.items()},
        "signals": {
            name: {
                "rank_correlation": {band: summary(ranks[name][band]) for band in bands},
                "rank_correlation_over_accuracy": {
                    band: summary(np.array(ranks[name][band]) - first_ranks[band])
                    for band in bands
                },
                "score_of_choices": summary(reads[name]),
                "score_of_choices_over_accuracy": summary(np.array(reads[name]) - baseline),
            }
            for name in reads
        },
    }


def summary(values: Any) -> dict[str, float]:
    """The mean over divisions, and the range that holds 95 % of them."""
    low, high = np.quantile(values, (0.025, 0.975))
    return {
        name: round(float(value), 4)
        for name, value in (("mean", np.mean(values)), ("low", low), ("high", high))
    }


# The result.


def percent(value: float) -> str:
    """A share for a table."""
    return f"{100 * value:.2f}"


def report_text(name: str, record: Mapping[str, Any]) -> str:
    """The result for a reader."""
    estimates_table = pd.DataFrame(
        [
            {
                "world": f"{world['world']}; {world['networks']} networks, "
                f"{world['examples']} examples",
                **{
                    estimate: f"{percent(entry['bias'])} / {percent(entry['rmse'])}"
                    for estimate, entry in world["estimates"].items()
                },
            }
            for world in record["worlds"]
        ]
    )
    coverage = pd.DataFrame(
        [
            {"estimate": estimate}
            | {
                f"{world['world']}, {world['examples']}": percent(
                    world["estimates"][estimate]["coverage"]
                )
                for world in record["worlds"]
            }
            for estimate in ("plain", "halves", "fifths")
        ]
    )
    budgets = pd.DataFrame(record["budgets"]).drop(columns="key").astype(str)
    front = pd.DataFrame(record["front"]["members"]).drop(columns="key").astype(str)
    chosen = record["signals"]
    ranks = pd.DataFrame(
        [
            {
                "chosen by": signal,
                **{
                    f"rank correlation, {band} ({num})": interval(entry["rank_correlation"][band])
                    for band, num in chosen["bands"].items()
                },
                "score of choices, %": interval(entry["score_of_choices"], factor=100),
                "minus accuracy's, points": interval(
                    entry["score_of_choices_over_accuracy"], factor=100
                ),
            }
            for signal, entry in chosen["signals"].items()
        ]
    )
    return "\n".join(
        [
            f"# Selection on {name}\n",
            f"`{record['command']}`\n",
            "## Estimates where the truth is known\n",
            "Bias / root mean squared error in points, against the truth of the chosen network; "
            f"{record['worlds'][0]['trials']} simulated searches each. Without the error that "
            "all networks share on the examples drawn.\n",
            markdown_text(estimates_table),
            "How often the estimate ± 1.96 standard errors holds the truth, %:\n",
            markdown_text(coverage),
            f"## The best under a budget, by {REPEATS} divisions into {FOLDS} parts\n",
            markdown_text(budgets),
            "## The front\n",
            "How far search scores lie above report scores, which no choice explains: "
            + ", ".join(
                f"{who} {percent(gap)} points"
                for who, gap in record["front"]["search_above_report"].items()
            )
            + ".\n",
            markdown_text(front),
            "## What to choose by\n",
            f"Means over {chosen['divisions']} random halves; brackets hold 95 % of these.\n",
            markdown_text(ranks),
        ]
    )


def interval(entry: Mapping[str, float], *, factor: float = 1) -> str:
    """A mean with its range."""
    mean, low, high = (factor * entry[name] for name in ("mean", "low", "high"))
    return bracketed(mean, low, high, show=".2f")


def main() -> None:
    """Analyse each file and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("outcomes", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--divisions", type=int, default=400)
    arguments = parser.parse_args()
    for path in arguments.outcomes:
        outcomes = Outcomes.load(path)
        record = {
            "command": f"python {' '.join(sys.argv)}",
            "about": outcomes.about,
            "folds": FOLDS,
            "repeats": REPEATS,
            "networks": len(outcomes.keys),
            "front": front_rows(outcomes),
            "budgets": budget_rows(outcomes),
            "signals": signal_rows(outcomes, divisions=arguments.divisions),
            "worlds": worlds(outcomes, trials=arguments.trials),
        }
        write_json(arguments.out / f"{path.stem}.json", record)
        write_text(arguments.out / f"{path.stem}.md", report_text(path.stem, record))


if __name__ == "__main__":
    main()
