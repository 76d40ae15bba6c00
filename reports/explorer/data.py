"""What the explorer knows: a report's content as one JSON object (no torch).

The page answers budgets by the rule of `search.query`, from the very numbers that the query reads:
of every network as deployed the value of each cost and the end of its interval that limits are
held against, of every score the loss against the full model, every example's outcome, and the
scores on the halves of `search.selection`, from which the page corrects any choice. What the page
cannot compute as the query does is computed here: the pairs of metrics that are resampled.

Bytes are bounded: what would not fit is left out, and the page says so.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...deploy.deployment import Deployment
from ...networks.network import Network
from ...networks.retention import Retention
from ...profiling.environment import Environment
from ...profiling.protocol import LatencyProtocol
from ...profiling.table import LatencySummary, Profile
from ...search.candidate import Candidate
from ...search.explanation import MORE
from ...search.front import ParetoFront
from ...search.pool import Column, Pool, outcomes
from ...search.quantities import QUANTITIES, TIMED
from ...search.query import SHOWN_RUNNERS_UP
from ...search.selection import FOLDS, MIN_EXAMPLES, REPEATS, parts
from ...tasks.comparison import compare, discordant
from ...tasks.metrics import CORRELATIONS, weighted_scores
from ...tasks.proportions import tango_interval
from ...tasks.scores import Evaluation
from .. import shared
from ..content import Measured, ReportContent, Setting, TimedAgain
from ..palette import DEPLOYED, DOMINATED, FRONT, FULL, MARKS

SCHEMA = 1
"""Of the JSON object; it changes when a field changes its meaning."""

OUTCOME_BYTES = 1_600_000
"""Of all outcomes that the page carries, at most."""

HALF_BYTES = 1_200_000
"""Of all scores on halves that the page carries, at most."""

PAIRS = 2_000
"""Comparisons of resampled metrics that are computed, at most."""

LABELS = {
    "score": "score",
    "latency_ms": "latency",
    "p99_ms": "99th percentile",
    "throughput_per_s": "throughput",
    "speedup": "speed-up",
    "peak_memory_bytes": "memory",
    "size_bytes": "disk",
    "num_params": "parameters",
    "num_flops": "FLOPs",
    "energy_j": "energy",
}
"""Quantities as readers know them."""

FIELDS = {
    "score": ("", 0, ""),
    "latency_ms": ("ms", 0, "ms"),
    "p99_ms": ("ms", 0, "ms"),
    "throughput_per_s": ("per s", 0, "/s"),
    "speedup": ("times", 0, "x"),
    "peak_memory_bytes": ("MB", 6, "MB"),
    "size_bytes": ("MB", 6, "MB"),
    "num_params": ("M", 6, "M"),
    "num_flops": ("G", 9, "G"),
    "energy_j": ("J", 0, "J"),
}
"""How a limit is typed: its unit, the power of ten of that unit, what follows it in a command."""

_BITS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Scored:
    """A network's scores under one number format.

    Attributes:
        search: Outcomes on the search split.
        report: The same on the report split; None where it is not scored.
    """

    search: Evaluation
    report: Evaluation | None


def explorer_data(content: ReportContent) -> dict[str, Any]:
    """Gather what the page needs, as JSON types.

    Args:
        content: What the report shows.
    """
    measured = [sheet for setting in content.settings for sheet in setting.measured]
    entries = list({c.key: c for sheet in measured for c in sheet.candidates}.values())
    first = {entry.network.id: entry.network for entry in (*content.candidates, *entries)}
    networks = {
        identifier: network for identifier, network in first.items() if network.kind != "printed"
    }
    places = {identifier: place for place, identifier in enumerate(networks)}
    scored = _scored(entries, content.reported)
    score_places = {key: place for place, key in enumerate(scored)}
    score = cast(Evaluation, entries[0].evaluation)
    return {
        "schema": SCHEMA,
        "run": content.run,
        "title": content.title,
        "model": content.model,
        "task": score.task,
        "metric": {"name": score.metric, "label": shared.METRICS[score.metric]},
        "examples": {
            "search": score.n,
            "report": next((s.report.n for s in scored.values() if s.report), None),
        },
        "classes": list(content.class_names),
        "shown_rivals": SHOWN_RUNNERS_UP,
        "more": MORE,
        "quantities": _quantities(),
        "palette": {
            "front": FRONT,
            "dominated": DOMINATED,
            "full": FULL,
            "marks": [asdict(mark) for mark in MARKS],
            "deployed": [asdict(mark) for mark in DEPLOYED],
        },
        "networks": [
            {"number": content.numbers[identifier], **_network(network)}
            for identifier, network in networks.items()
        ],
        "scores": _scores(content, entries, scored),
        "settings": [
            _setting(setting, places=places, scores=score_places) for setting in content.settings
        ],
        "published": [
            {
                "label": entry.label,
                "source": shared.source(entry),
                "split": entry.evaluation.split,
                "num_params": entry.num_params,
                "num_flops": entry.num_flops,
                "score": entry.evaluation.value,
            }
            for entry in (content.published if content.is_reported else ())
        ],
    }


def score_key(identifier: str, deployment: Deployment) -> str:
    """Whose score it is: one for all deployments that give the same logits."""
    return f"{identifier}/{deployment.slug if deployment.changes_numbers else 'fp32'}"


def packed(values: NDArray[np.uint8], *, bits: int) -> str:
    """Rows of small numbers in as few bits as hold them, the first in the highest bits.

    Args:
        values: (K, n), each below 2 ** bits; bits divides 8.
        bits: Of each value.

    Returns:
        In base64; every row begins with a byte.
    """
    spread = np.unpackbits(values[..., None], axis=2)[..., 8 - bits :]
    rows = np.packbits(spread.reshape(len(values), -1), axis=1)
    return base64.b64encode(rows.tobytes()).decode()


def _quantities() -> list[dict[str, Any]]:
    return [
        {
            "name": kind.name,
            "word": kind.word,
            "label": LABELS[kind.name],
            "unit": kind.unit,
            "larger": kind.larger_is_better,
            "timed": kind.name in TIMED,
            "shared": kind.name in shared.ON_EVERY_DEPLOYMENT,
            "field": dict(zip(("unit", "exponent", "suffix"), FIELDS[kind.name], strict=True)),
        }
        for kind in QUANTITIES.values()
    ]


def _network(network: Network) -> dict[str, Any]:
    shape, config = network.shape, network.config
    assert shape is not None
    assert config is not None
    layers = zip(config.layers, config.heads, config.neurons, strict=True)
    return {
        "id": network.id,
        "label": network.label,
        "name": network.name,
        "method": getattr(network.recipe, "method", ""),
        "is_full": network.is_full,
        "shape": [shape.num_layers, shape.num_heads, shape.ffn_size],
        "layers": [list(layer) for layer in layers],
        "tokens": _tokens(config.tokens),
    }


def _tokens(retention: Retention | None) -> dict[str, Any] | None:
    if retention is None:
        return None
    return {"unit": retention.unit, "amounts": list(retention.amounts)}


def _scored(entries: Iterable[Candidate], reported: Mapping[str, Evaluation]) -> dict[str, Scored]:
    found: dict[str, Scored] = {}
    for entry in entries:
        key = score_key(entry.network.id, entry.deployment)
        report = reported.get(entry.key)
        if key not in found or (found[key].report is None and report is not None):
            found[key] = Scored(outcomes(entry), report)
    return found


def _scores(
    content: ReportContent, entries: Sequence[Candidate], scored: Mapping[str, Scored]
) -> dict[str, Any]:
    """Every score with its interval, its loss and, as far as they fit, its outcomes."""
    exact = [c for c in entries if c.is_full and not c.deployment.changes_numbers]
    full = score_key(exact[0].network.id, exact[0].deployment) if exact else None
    rows = [entry.search for entry in scored.values()]
    metric = rows[0].metric
    return {
        "search": [_interval(entry.search) for entry in scored.values()],
        "report": [entry.report and _interval(entry.report) for entry in scored.values()],
        "further": {
            name: _further(found, entries, scored) for name, found in content.further.items()
        },
        "error": [entry.search.standard_error for entry in scored.values()],
        "full": full and list(scored).index(full),
        "loss": _losses(scored[full].search, rows) if full else [None] * len(rows),
        "outcomes": None if metric in CORRELATIONS else _outcomes(list(scored.values())),
        "halves": _halves(rows),
        "pairs": None if metric == "accuracy" else _pairs(entries, scored),
    }


def _interval(score: Evaluation) -> list[float]:
    return list(score.interval.numbers.values())


def _further(
    found: Mapping[str, Evaluation], entries: Iterable[Candidate], scored: Iterable[str]
) -> list[list[float] | None]:
    """The scores on a further report split, in the order of all scores."""
    known = {
        score_key(entry.network.id, entry.deployment): _interval(found[entry.key])
        for entry in entries
        if entry.key in found
    }
    return [known.get(key) for key in scored]


def _losses(full: Evaluation, rows: Sequence[Evaluation]) -> list[list[float]]:
    """What each loses against the full model in pairs, with both ends."""
    if full.metric != "accuracy":
        return [list(compare(full, row).interval.numbers.values()) for row in rows]
    only_full, only_row = discordant(full, np.stack([np.asarray(row.predictions) for row in rows]))
    ends = tango_interval(only_full.astype(float), only_row.astype(float), n=full.n)
    columns = ((only_full - only_row) / full.n, *ends)
    return [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _outcomes(scored: Sequence[Scored]) -> dict[str, Any] | None:
    """Every example's outcome on both splits, on one, only whether it is right, or nothing."""
    search = [entry.search for entry in scored]
    report = [entry.report for entry in scored if entry.report is not None]
    both = {"search": search} | ({"report": report} if len(report) == len(scored) else {})
    for splits, whole in ((both, True), ({"search": search}, True), ({"search": search}, False)):
        found = {name: _columns(rows, whole=whole) for name, rows in splits.items()}
        size = sum(
            len(rows) * rows[0].n * found[name]["bits"] / 8 for name, rows in splits.items()
        )
        if size <= OUTCOME_BYTES:
            return found
    return None


def _columns(rows: Sequence[Evaluation], *, whole: bool) -> dict[str, Any]:
    """Predictions, or whether they are right where the whole would be too much."""
    labels = np.asarray(rows[0].labels)
    predictions = np.stack([np.asarray(row.predictions) for row in rows])
    classes = int(max(labels.max(), predictions.max())) + 1
    if not whole or classes > 2 ** _BITS[-1]:
        right = np.equal(predictions, labels).astype(np.uint8)
        return {"kind": "right", "bits": 1, "n": len(labels), "rows": packed(right, bits=1)}
    bits = next(bits for bits in _BITS if classes <= 2**bits)
    return {
        "kind": "classes",
        "bits": bits,
        "n": len(labels),
        "labels": packed(labels[None].astype(np.uint8), bits=bits),
        "rows": packed(predictions.astype(np.uint8), bits=bits),
    }


def _halves(rows: Sequence[Evaluation]) -> dict[str, Any] | None:
    """The scores on the halves by which a choice is corrected: (halves, K) in single precision."""
    first = rows[0]
    if first.n < MIN_EXAMPLES or len(rows) * REPEATS * FOLDS * 4 > HALF_BYTES:
        return None
    strata = (0,) * first.n if first.metric in CORRELATIONS else first.labels
    predictions = np.stack([np.asarray(row.predictions) for row in rows])
    halves = parts(strata, repeats=REPEATS, seed=0)
    within = weighted_scores(first.metric, first.labels, predictions, halves)
    text = base64.b64encode(within.astype("<f4").tobytes()).decode()
    return {"count": len(within), "scores": text}


def _pairs(entries: Sequence[Candidate], scored: Mapping[str, Scored]) -> dict[str, Any]:
    """Comparisons of resampled metrics: of what is on a front with everything, as far as allowed.

    Returns:
        By the places of two scores, "3-7": the first minus the second with both ends, whether
        that is a tie, and the smallest loss that would have shown.
    """
    places = {key: place for place, key in enumerate(scored)}
    likely = {
        places[score_key(entry.network.id, entry.deployment)]: None
        for entry in entries
        if entry.is_full
    }
    for kind in QUANTITIES.values():
        known = [entry for entry in entries if entry.value(kind.name) is not None]
        if kind.name != "score" and known:
            for member in ParetoFront.of(known, ("score", kind.name)).members:
                likely[places[score_key(member.network.id, member.deployment)]] = None
    rows = [entry.search for entry in scored.values()]
    everything = [*likely, *(place for place in range(len(rows)) if place not in likely)]
    pairs = [pair for pair in combinations(everything, 2) if pair[0] in likely][:PAIRS]
    found = {}
    for one, other in pairs:
        result = compare(rows[one], rows[other])
        numbers = [*result.interval.numbers.values(), result.tie, result.detectable]
        found[f"{one}-{other}"] = numbers
    return found


def _setting(
    setting: Setting, *, places: Mapping[str, int], scores: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "title": setting.title,
        "options": list(setting.options),
        "measured": [_measured(sheet, places=places, scores=scores) for sheet in setting.measured],
    }


def _measured(
    sheet: Measured, *, places: Mapping[str, int], scores: Mapping[str, int]
) -> dict[str, Any]:
    entries = sheet.candidates
    pool = Pool.of(entries)
    latencies = [entry.latency for entry in entries]
    full = next((latency.full_ms for latency in latencies if latency is not None), None)
    return {
        "runtime": sheet.deployment.runtime,
        "precision": sheet.deployment.precision,
        "slug": sheet.deployment.slug,
        "title": sheet.deployment.title,
        "full_ms": full and full.value,
        "keys": [entry.key for entry in entries],
        "networks": [places[entry.network.id] for entry in entries],
        "scores": [scores[score_key(entry.network.id, entry.deployment)] for entry in entries],
        "costs": {
            name: column
            for name in QUANTITIES
            if name != "score" and (column := _column(pool.column(name)))
        },
        "latencies": [latency and _latency(latency) for latency in latencies],
        "again": [_again(each, entries) for each in sheet.again],
        "facts": _facts(sheet),
        "warnings": list(sheet.warnings),
    }


def _column(column: Column) -> dict[str, Any] | None:
    """A cost of every network, and what limits are held against where that differs."""
    values, judged = (_numbers(each) for each in (column.values, column.judged))
    if not any(value is not None for value in values):
        return None
    return {"values": values} | ({"judged": judged} if judged != values else {})


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else _whole(float(value)) for value in values]


def _whole(value: float) -> float:
    """The same number, an integer where it is one: it is shorter to write."""
    return int(value) if value.is_integer() else value


def _latency(latency: LatencySummary) -> dict[str, Any]:
    return {
        "time": list(latency.time_ms.numbers.values()),
        "ratio": list(latency.ratio.numbers.values()),
        "meaning": latency.ratio.meaning,
        "resolved": latency.resolved,
        "is_reference": latency.is_reference,
    }


def _again(again: TimedAgain, entries: Sequence[Candidate]) -> dict[str, Any]:
    """A second timing with what it makes of each network's costs."""
    by_network = {entry.network.id: entry.profile for entry in entries}
    found = {}
    for key, latency in again.latencies.items():
        profile = by_network.get(key.partition("/")[0])
        if profile is not None:
            found[key] = _timed(profile, latency)
    return {"enough": again.enough, "spent": again.spent, "networks": found}


def _timed(profile: Profile, latency: LatencySummary) -> dict[str, Any]:
    timed = Profile(
        profile.network,
        num_params=profile.num_params,
        num_macs=profile.num_macs,
        seq_len=profile.seq_len,
        latency=latency,
        sequences=profile.sequences,
    )
    names = (*TIMED, "p99_ms")
    return {
        "values": {name: timed.values.get(name) for name in names},
        "judged": {name: timed.judged.get(name) for name in names},
        "latency": _latency(latency),
    }


def _facts(sheet: Measured) -> dict[str, str]:
    """How and where latencies were measured, and what the noise guards did, for a reader."""
    facts: dict[str, str] = {}
    if sheet.protocol is not None:
        facts["protocol"] = f"{sheet.protocol.title}. {_listed(sheet.protocol)}."
    if sheet.environment is not None:
        facts["machine"] = f"{sheet.environment.title}. {_listed(sheet.environment)}."
    noise = sheet.noise
    if noise is not None:
        foreign = noise.foreign_share
        facts["noise"] = (
            f"{noise.num_processes} processes, {noise.num_rounds} rounds that count, "
            f"{noise.num_visits} visits that count, {noise.num_discarded_visits} discarded, "
            f"{noise.num_noisy_visits} noisy ones kept; the full model drifted in "
            f"{noise.num_drifted_rounds} rounds that count, {noise.num_redos} were measured again"
            + ("" if foreign is None else f"; other programs used {foreign:.0%} of the processors")
            + "."
        )
    return facts


def _listed(record: LatencyProtocol | Environment) -> str:
    entries = {field.name: getattr(record, field.name) for field in fields(record)}
    known = {name: value for name, value in entries.items() if value not in (None, (), "")}
    return "; ".join(f"{name} {_plain(value)}" for name, value in known.items())


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return " ".join(f"{name}=={number}" for name, number in value.items())
    return str(value)
