"""Compute again every interval, difference, p-value and tie that the benchmarks state.

    python benchmarks/recompute.py

Accuracies follow from their value and n, paired accuracies from the discordant counts beside them,
latencies from the value of each process, everything else from a run's `outcomes.json`. Tables for
readers (the README's and each `results.md`) are held against these: an interval in a column of
scores, losses or latencies must be one that the files hold, rounded. Prints a line per file, and
stops with status 1 at the first that differs.
"""

import argparse
import csv
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from closed_form_draws import together
from collect import corrected
from fidelities import judged as ranked_alike
from gap_losses import judged
from latency_repeats import summary
from outcomes import read_outcomes, unpack_split
from redraw import candidate, tables

from paretobert.errors import InputError
from paretobert.intervals import Interval
from paretobert.profiling.statistics import estimate, product
from paretobert.search.candidate import score_record
from paretobert.search.front import ParetoFront
from paretobert.storage import read_json
from paretobert.tasks.comparison import PairedComparison, compare
from paretobert.tasks.proportions import wilson_interval
from paretobert.tasks.scores import Evaluation

ROOT = Path(__file__).resolve().parents[1]

RUNS = ("sst2", "cola", "mrpc", "closed_form_runs/sst2-sentences", "closed_form_runs/qnli")
"""Folders that `collect.py` fills."""

TRIPLE = re.compile(r"(-?\d*\.\d+) \[(-?\d*\.\d+), (-?\d*\.\d+)\]")
"""A value with its interval, as tables print it."""

COLUMNS = re.compile(
    r"\b(score|accuracy|matthews|f1|loss|lost|search|report|latency|ratio|here)\b", re.IGNORECASE
)
"""Headers of columns that hold scores, differences of scores or latencies."""

Stated = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """What a file states and what follows from the outcomes behind it.

    Attributes:
        where: The place in the file, for the message.
        stated: What the file says, by name.
        computed: The same computed again; None where the outcomes were not kept.
    """

    where: str
    stated: Stated
    computed: Stated | None

    def difference(self) -> str | None:
        """The first field that differs, in words."""
        if self.computed is None:
            return None
        for name, value in self.computed.items():
            if not same(self.stated.get(name), value):
                return f"{self.where} states {name} {self.stated.get(name)}, not {value}"
        return None


def same(stated: object, computed: object) -> bool:
    """Whether two entries agree, numbers as far as a table of six digits holds them."""
    if isinstance(stated, float) and isinstance(computed, float):
        return math.isclose(stated, computed, rel_tol=1e-5, abs_tol=1e-9)
    return stated == computed


def accuracy(stated: Stated) -> Stated:
    """An accuracy with the interval that its value and n give."""
    low, high = wilson_interval(stated["value"], stated["n"])
    return {"value": stated["value"], "low": low, "high": high}


def loss(stated: Stated, n: int) -> Stated:
    """A difference of accuracies as its discordant counts give it."""
    only_a, only_b = stated["discordant"]
    return PairedComparison.of_accuracies(only_a, only_b, n=n).to_dict()


def latency_statements(record: Any, where: str = "") -> Iterator[Statement]:
    """Every ratio in a record that has the values of its processes beside it, and its time."""
    if isinstance(record, list):
        for place, entry in enumerate(record):
            yield from latency_statements(entry, f"{where}, row {place}")
    elif isinstance(record, Mapping):
        for name, entry in record.items():
            yield from latency_statements(entry, f"{where}, {name}" if where else name)
        if "process_ratios" in record and "ratio" in record:
            yield from _ratio_statements(record, where)


def _ratio_statements(record: Mapping[str, Any], where: str) -> Iterator[Statement]:
    ratio = estimate(record["process_ratios"])
    yield Statement(f"{where}'s ratio", record["ratio"], ratio.numbers)
    if "full_ms" in record:
        time_ms = product(ratio, Interval.from_dict(record["full_ms"])).numbers
        yield Statement(f"{where}'s time", time_ms, time_ms)


def deployment_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """What the deployments of a run's full model state."""
    rows = record["deployments"]
    yield from latency_statements(rows)
    num_processes = len(rows[0]["process_ratios"])
    reference = Interval.from_dict({**rows[0]["latency_ms"], "num_processes": num_processes})
    for row in rows:
        time_ms = product(estimate(row["process_ratios"]), reference)
        name = f"{row['runtime']} {row['precision']}'s time"
        yield Statement(name, row["latency_ms"], time_ms.numbers)
        stated = row["score_lost"]
        if stated is not None:
            name = f"{row['runtime']} {row['precision']}'s loss"
            yield Statement(name, stated, loss(stated, record["n"]))


def power_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """What a PoWER-BERT benchmark states; the full model loses nothing to itself."""
    full, *others = record["networks"]
    yield Statement(full["network"], full["report"], accuracy(full["report"]))
    for row in others:
        report, stated = row["report"], row["loss_against_full"]
        yield Statement(row["network"], report, accuracy(report))
        yield Statement(f"{row['network']}'s loss", stated, loss(stated, report["n"]))
        yield Statement(
            f"{row['network']}'s loss",
            stated,
            {"value": full["report"]["value"] - report["value"]},
        )
    for row in record["static"]:
        report, stated = row["report"], row["loss_against_attention"]
        yield Statement(row["strategy"], report, accuracy(report))
        yield Statement(f"{row['strategy']}'s loss", stated, loss(stated, report["n"]))


def run_statements(
    record: Mapping[str, Any],
    rows: Iterable[Mapping[str, str]],
    outcomes: Mapping[str, Mapping[str, Evaluation]],
) -> Iterator[Statement]:
    """What a collected run states: the scores of its table and what its deployments lose.

    Args:
        record: Its `result.json`.
        rows: The rows of its `results.csv`.
        outcomes: Its outcomes, none where they were not kept.
    """
    full = ""
    for row in rows:
        full = full or row["key"]
        for split in ("search", "report"):
            if not row[split]:
                continue
            stated: Stated = {
                "value": float(row[split]),
                "low": float(row[f"{split}_low"]),
                "high": float(row[f"{split}_high"]),
                "n": int(row[f"{split}_n"]),
            }
            known = outcomes.get(split, {}).get(row["key"])
            computed: Stated | None = None
            if known is not None:
                computed = score_record(known)
            elif record["task"]["metric"] == "accuracy":
                computed = accuracy(stated)
            yield Statement(f"{row['key']} on {split}", stated, computed)
    scored = outcomes.get("search", {})
    for entry in record.get("deployments", ()):
        stated = entry["score_lost"]
        if stated is None:
            continue
        slug = "-".join(entry["protocol"].rpartition(", ")[2].split())
        deployed = scored.get(f"{full}, {slug}")
        if deployed is not None:
            computed = compare(scored[full], deployed).to_dict()
        else:
            computed = loss(stated, record["task"]["sizes"]["search"])
        yield Statement(f"{slug}'s loss", stated, computed)


def corrected_statements(
    folder: Path, outcomes: Mapping[str, Mapping[str, Evaluation]]
) -> Iterator[Statement]:
    """The corrected scores that a collected run states, of the front of its table."""
    record, rows = tables(folder)
    if "corrected" not in rows[0]:
        return
    networks = [
        replace(candidate(row, "search", record), evaluation=outcomes["search"][row["key"]])
        for row in rows
    ]
    computed = corrected(ParetoFront.of(networks, ("score", "latency_ms")))
    for row in rows:
        stated = float(row["corrected"]) if row["corrected"] else None
        found = computed.get(row["key"])
        yield Statement(row["key"], {"corrected": stated}, {"corrected": found})


def supernet_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """What files of `supernet_accuracy` state."""
    for row in record["sub_networks"]:
        stated = row["difference"]
        yield Statement(row["key"], stated, loss(stated, record["task"]["sizes"]["report"]))
        yield Statement(row["key"], stated, {"value": row["ours"] - row["naive"]})


def closed_form_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """What the repairs of one task state; every outcome is beside them."""
    scored = unpack_split("report", record["outcomes"])
    full = scored["full"]
    yield Statement("full", record["full"], score_record(full))
    for row in record["sub_networks"]:
        key = row["key"]
        forms = [form for form in ("cut", "repaired", "repaired_by_importance") if form in row]
        for form in forms:
            found = scored[f"{form} {key}"]
            yield Statement(f"{key}, {form}", row[form], score_record(found))
        repaired = scored[f"repaired {key}"]
        pairs = {"loss": (full, repaired), "gain": (repaired, scored[f"cut {key}"])}
        if "gain_of_necessity" in row:
            pairs["gain_of_necessity"] = (repaired, scored[f"repaired_by_importance {key}"])
        for name, pair in pairs.items():
            compared = compare(*pair)
            yield Statement(f"{key}'s {name}", row[name], compared.to_dict())


def collected_statements(path: Path) -> Iterator[Statement]:
    """What the `result.json` of a collected run states, with the table beside it."""
    record = read_json(path)
    kept = path.with_name("outcomes.json")
    outcomes = read_outcomes(kept) if kept.exists() else {}
    with path.with_name("results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    yield from run_statements(record, rows, outcomes)
    yield from latency_statements(record.get("deployments", ()))
    yield from corrected_statements(path.parent, outcomes)


def gap_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """What estimates of dropped layers choose, from every choice."""
    computed = judged(record["choices"])
    yield Statement("tau", {"tau": record["tau"]}, {"tau": computed["tau"]})
    for stated, found in zip(record["picks"], computed["picks"], strict=True):
        yield Statement(f"{stated['num_layers']} layers", stated, found)


def fidelity_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """How alike rungs of successive halving rank, from the scores of each."""
    computed = ranked_alike(record["rungs"], record["macs"])
    for stated, found in zip(record["judged"], computed, strict=True):
        yield Statement(f"{stated['cheap']}, {stated['dear']}, {stated['region']}", stated, found)


def draws_statements(path: Path) -> Iterator[Statement]:
    """What several draws of one task's repairs state together."""
    draws = sorted((path.parents[1] / "closed_form").glob(f"{path.stem}-draw-*.json"))
    computed = together([read_json(draw) for draw in draws])
    yield Statement("the draws together", read_json(path), computed)


def repeats_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """What `latency_repeats.json` states."""
    yield Statement("the summary", record["summary"], summary(record))


def _of_record(
    found: Callable[[Mapping[str, Any]], Iterator[Statement]],
) -> Callable[[Path], Iterator[Statement]]:
    return lambda path: found(read_json(path))


RESULTS: tuple[tuple[str, Callable[[Path], Iterator[Statement]]], ...] = (
    ("powerbert/*/result.json", _of_record(power_statements)),
    *((f"{name}/result.json", collected_statements) for name in RUNS),
    ("*/deployments.json", _of_record(deployment_statements)),
    ("published_costs/result.json", _of_record(latency_statements)),
    ("latency_repeats.json", _of_record(repeats_statements)),
    ("closed_form/*.json", _of_record(closed_form_statements)),
    ("closed_form_draws/*.json", draws_statements),
    ("gap_losses/*.json", _of_record(gap_statements)),
    ("fidelities/*.json", _of_record(fidelity_statements)),
    ("supernet_accuracy/*.json", _of_record(supernet_statements)),
)
"""Where result files lie in the folder of benchmarks, and what reads each kind."""


def file_statements(path: Path) -> list[Statement]:
    """What one result file states.

    Raises:
        InputError: When it or a file that it follows from is missing or damaged.
    """
    found = next(reads for pattern, reads in RESULTS if path.match(pattern))
    return list(found(path))


def result_files(root: Path) -> Iterator[Path]:
    """The result files of a folder of benchmarks, those too that should be there and are not."""
    for pattern, _ in RESULTS:
        yield from sorted(root.glob(pattern)) or [root / pattern]


def first_difference(found: Iterable[Statement]) -> str | None:
    """The first thing stated that does not follow, in words."""
    return next(filter(None, (statement.difference() for statement in found)), None)


def score_cells(text: str) -> Iterator[str]:
    """The cells of a Markdown text's tables that stand in columns of scores or losses."""
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        else:
            for title, cell in zip(header, cells, strict=True):
                if COLUMNS.search(title):
                    yield cell


def unknown_interval(text: str, known: Iterable[Stated]) -> str | None:
    """The first interval in a text's score columns that no known one rounds to."""
    names = ("value", "low", "high")
    ends = [[entry[name] for name in names] for entry in known if "low" in entry]
    for cell in score_cells(text):
        for found in TRIPLE.finditer(cell):
            places = [len(part.partition(".")[2]) for part in found.groups()]
            printed = [float(part) for part in found.groups()]
            if not any(
                all(
                    abs(number - shown) <= 0.5 * 10**-digits + 1e-9
                    for number, shown, digits in zip(entry, printed, places, strict=True)
                )
                for entry in ends
            ):
                return found.group()
    return None


def check(root: Path, readme: Path) -> Iterator[tuple[str, str | None]]:
    """Compute everything again.

    Args:
        root: The folder of benchmarks.
        readme: The README that quotes them.

    Yields:
        For each file what was found to agree and, if something differs, the first that does.

    Raises:
        InputError: When a file is missing or damaged.
    """
    everything: list[Stated] = []
    for path in result_files(root):
        found = file_statements(path)
        lost = sum(statement.computed is None for statement in found)
        agree = f"{path}: {len(found) - lost} statements agree"
        if lost:
            agree += f", {lost} cannot be computed again, for outcomes were not kept"
        difference = first_difference(found)
        yield agree, None if difference is None else f"{path}: {difference}"
        known = [statement.stated for statement in found]
        everything += known
        name = "results.md" if path.name == "result.json" else f"{path.stem}.md"
        table = path.with_name(name)
        if table.exists():
            yield _table_line(table, known)
    yield _table_line(readme, everything)


def _table_line(path: Path, known: Iterable[Stated]) -> tuple[str, str | None]:
    unknown = unknown_interval(path.read_text(), known)
    return (
        f"{path}: its tables' intervals are those of the result files",
        f"{path}: states {unknown}, which no result file holds" if unknown else None,
    )


def main() -> None:
    """Check the committed files, or copies of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--benchmarks", type=Path, default=ROOT / "benchmarks")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    arguments = parser.parse_args()
    try:
        for agree, difference in check(arguments.benchmarks, arguments.readme):
            if difference is not None:
                sys.exit(difference)
            print(agree)
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
