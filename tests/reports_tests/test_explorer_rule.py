"""The page and a query give one answer: random networks, random budgets, a real browser."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from paretobert.deploy.deployment import EAGER_FP32, Deployment
from paretobert.intervals import Interval
from paretobert.networks.network import Cut, Network
from paretobert.networks.subnet import SubnetConfig
from paretobert.profiling.counts import count_macs, count_parameters
from paretobert.profiling.table import LatencySummary, Profile
from paretobert.reports.content import Measured, Setting, TimedAgain
from paretobert.reports.explorer.data import FIELDS, explorer_data
from paretobert.reports.explorer.document import MODULES, document, joined
from paretobert.search.budget import Budget
from paretobert.search.budget_words import parse_budget
from paretobert.search.constraints import Constraint, LossLimit
from paretobert.search.delivery import Timing, deliver
from paretobert.search.explanation import MORE
from paretobert.search.pool import Pool
from paretobert.search.quantities import QUANTITIES
from paretobert.search.query import answer_query
from paretobert.tasks.comparison import compare
from paretobert.tasks.proportions import detectable_loss, mcnemar_p_value, tango_interval
from paretobert.tasks.scores import score_predictions

from .browsing import VISIT, chromium, opened

INT8 = Deployment("openvino", "int8")
FULL_MS = {EAGER_FP32: 30.0, INT8: 9.0}
N, NETWORKS, BUDGETS = 300, 16, 30
UNTIMED = (5, 11)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


def timed(generator, ratio, full_ms, *, session="first"):
    spread = 1 + float(generator.uniform(0.002, 0.12))
    return LatencySummary(
        ratio=Interval(ratio, ratio / spread, ratio * spread, 5, "processes"),
        full_ms=Interval(full_ms, 0.99 * full_ms, 1.01 * full_ms, 5, "processes"),
        resolved=bool(generator.random() < 0.8),
        process_ratios=(ratio,) * 5,
        session=session,
        num_runs=500,
        p99_ms=1.3 * ratio * full_ms,
    )


def networks(shape):
    """Random sub-networks, the full one first."""
    generator = np.random.default_rng(4)
    configs = {SubnetConfig.full(shape): None}
    while len(configs) < NETWORKS:
        kept = sorted(generator.choice(6, size=generator.integers(2, 7), replace=False).tolist())
        heads = tuple(int(generator.integers(1, 13)) for _ in kept)
        neurons = tuple(int(generator.integers(1, 7)) * 256 for _ in kept)
        configs[SubnetConfig(tuple(kept), heads, neurons)] = None
    return [Network(config.key, Cut(shape, config)) for config in configs]


def candidates(base, shape, metric):
    """Networks on two deployments with random costs and scores, and their second timings."""
    generator = np.random.default_rng(11)
    labels = generator.integers(3, size=N)
    found, again = [], {}
    for deployment in (EAGER_FP32, INT8):
        for place, network in enumerate(networks(shape)):
            macs = count_macs(shape, network.config, seq_len=128)
            ratio = 1.0 if place == 0 else float(generator.uniform(0.1, 1.0))
            is_timed = place not in UNTIMED
            profile = Profile(
                network,
                num_params=count_parameters(shape, network.config),
                num_macs=macs,
                seq_len=128,
                latency=timed(generator, ratio, FULL_MS[deployment]) if is_timed else None,
                size_bytes=int(generator.integers(10, 90)) * 1_000_000 + place,
                peak_memory_bytes=int(generator.integers(100, 400)) * 1_000_000,
            )
            wrong = generator.random(N) < (0.1 if place == 0 else generator.uniform(0.08, 0.3))
            predictions = np.where(wrong, (labels + generator.integers(1, 3, size=N)) % 3, labels)
            score = score_predictions(
                task="t",
                split="search",
                metrics=(metric,),
                labels=tuple(labels.tolist()),
                predictions=tuple(predictions.tolist()),
            )
            candidate = replace(base, profile=profile, deployment=deployment, evaluation=score)
            found.append(candidate)
            if not is_timed:
                continue
            again[candidate.key] = timed(
                generator,
                ratio * float(generator.uniform(0.9, 1.15)),
                FULL_MS[deployment],
                session="again",
            )
    return found, again


def together(found):
    """Candidates of several deployments, all of them set against the first one's full model."""
    reference = FULL_MS[EAGER_FP32]
    exact = Interval(reference, reference, reference, 5, "processes")
    return [
        c
        if c.latency is None
        else c.timed(
            replace(c.latency, ratio=c.latency.time_ms.scaled(1 / reference), full_ms=exact)
        )
        for c in found
    ]


def settings(found, again):
    sheets = [
        Measured(
            deployment=deployment,
            protocol=None,
            environment=None,
            candidates=tuple(c for c in found if c.deployment == deployment),
            again=(TimedAgain(enough=True, spent=True, latencies=again),) if again else (),
        )
        for deployment in (EAGER_FP32, INT8)
    ]
    return (Setting("here", (), tuple(sheets)),)


@pytest.fixture(scope="module")
def written(content, tmp_path_factory):
    """Writes a page of random networks by metric and by whether second timings are known."""
    base = content.candidates[0]
    shape = base.network.shape
    folder = tmp_path_factory.mktemp("pages")

    def write(metric, *, known):
        found, again = candidates(base, shape, metric)
        random = replace(
            content,
            candidates=tuple(found),
            reported={},
            published=(),
            settings=settings(found, again if known else {}),
            numbers={entry.network.id: number for number, entry in enumerate(found)},
        )
        path = folder / f"{metric}-{known}.html"
        text = document("random", explorer_data(random), before=(), after=())
        path.write_text(text, encoding="utf-8")
        return path.as_uri(), found, again

    return write


def budgets(found, *, seed):
    """Random budgets as they are typed: the page's address and what a query is asked."""
    generator = np.random.default_rng(seed)
    full = found[0].evaluation
    pools = {"eager-fp32": found[:NETWORKS], "openvino-int8": found[NETWORKS:]}
    pools["all"] = together(found)
    made = []
    for _ in range(BUDGETS):
        on = str(generator.choice(list(pools)))
        pool = Pool.of(pools[on])
        names = [name for name in FIELDS if name not in ("energy_j", "score")]
        names = generator.choice(names, size=generator.integers(0, 4), replace=False).tolist()
        asked, limits, loss = {"on": on}, [], None
        for name in names:
            unit, exponent, suffix = FIELDS[name]
            judged = pool.column(name).judged
            typical = float(generator.choice(judged[~np.isnan(judged)]))
            text = f"{typical * generator.uniform(0.8, 1.25) / 10**exponent:.3g}"
            asked[name] = text
            limits.append(parse_budget(QUANTITIES[name].word, text + suffix))
        if generator.random() < 0.4:
            asked["loss"] = f"{generator.uniform(0.5, 25):.2g}"
            loss = parse_budget("max_loss", asked["loss"] + "pt")
            assert isinstance(loss, LossLimit)
        best = str(generator.choice(["score", "score", "latency_ms", "num_params", "speedup"]))
        asked["best"] = best
        budget = Budget(
            limits=tuple(limits),
            loss=loss,
            cheapest=None if best == "score" else best,
            full=full,
        )
        made.append(("&".join(f"{k}={v}" for k, v in asked.items()), pool, budget))
    return made


def keys(entries):
    return " ".join(entry.key for entry in entries)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_the_page_answers_as_a_query_does(metric, written, browser):
    address, found, _ = written(metric, known=False)
    asked = budgets(found, seed=1)
    with opened(browser, address) as page:
        cards = page.evaluate(VISIT, [hash for hash, _, _ in asked])
    answered = unjudged = 0
    for card, (hash, pool, budget) in zip(cards, asked, strict=True):
        result = answer_query(pool, budget)
        answered += result.answer is not None
        assert card["feasible"] == str(result.num_feasible), hash
        assert card["answer"] == keys(filter(None, [result.answer])), hash
        assert card["nearest"] == keys(filter(None, [result.nearest])), hash
        if metric == "accuracy":
            tie = result.cheapest_tie
            assert card["rivals"] == keys(entry.candidate for entry in result.rivals), hash
            assert card["tie"] == (tie.candidate.key if tie else ""), hash
        if result.answer is not None and budget.cheapest is None:
            delivered = deliver(
                pool,
                budget,
                time_again=lambda entries, decided: Timing({e.key: e.latency for e in entries}),
                report=lambda candidate: candidate.evaluation,
            )
            assert float(card["corrected"]) == pytest.approx(
                delivered.corrected.corrected, abs=1e-6
            )
            unjudged += bool(len(budget.unjudged(pool)))
    assert 5 < answered < BUDGETS
    assert unjudged


def test_second_timings_are_judged_as_a_query_judges_them(written, browser):
    address, found, again = written("accuracy", known=True)
    asked = budgets(found, seed=4)
    with opened(browser, address) as page:
        cards = page.evaluate(VISIT, [hash for hash, _, _ in asked])
    passed = 0
    for card, (hash, pool, budget) in zip(cards, asked, strict=True):
        result = deliver(
            pool,
            budget,
            time_again=lambda entries, decided: Timing(again),
            report=lambda candidate: candidate.evaluation,
        )
        passed += len(result.passed_over)
        assert card["answer"] == keys(filter(None, [result.answer])), hash
        assert card["rivals"] == keys(entry.candidate for entry in result.rivals), hash
        assert card["passed"] == keys(entry.candidate for entry in result.passed_over), hash
        if result.corrected is not None:
            assert float(card["corrected"]) == pytest.approx(result.corrected.corrected, abs=1e-6)
    assert passed


@pytest.fixture(scope="module")
def functions(browser):
    """The page's own functions, called with JSON."""
    page = browser.new_page()
    script = joined(name for name in MODULES if name != "main")

    def call(expression, argument):
        return page.evaluate(f"(argument) => {{ {script}; return {expression}; }}", argument)

    yield call
    page.close()


def test_a_tenth_more_of_a_limit_is_the_query_s_own(functions):
    limits = (Constraint("latency_ms", 7.3), Constraint("throughput_per_s", 210.0))
    quantities = {name: {"larger": entry.larger_is_better} for name, entry in QUANTITIES.items()}
    asked = [{"quantity": entry.quantity, "limit": entry.limit} for entry in limits]
    for loss in (0.02, 0.95):
        found = functions(
            "new Rule(argument).relaxed(argument.budget).map(([name, limit]) => [name, limit])",
            {"quantities": quantities, "more": MORE, "budget": {"limits": asked, "loss": loss}},
        )
        parts = {entry.quantity: entry for entry in limits} | {"loss": LossLimit(loss)}
        assert found == [[name, part.relaxed(MORE).limit] for name, part in parts.items()]


def test_statistics_are_those_of_the_package(functions):
    generator = np.random.default_rng(3)
    cases = []
    for _ in range(60):
        n = int(generator.integers(20, 2000))
        only_a, only_b = (int(v) for v in generator.integers(0, max(2, n // 8), size=2))
        cases.append([only_a, only_b, n])
    found = functions(
        "argument.map(([a, b, n]) => [mcnemar(a, b), ...tango(a, b, n), detectable(n, a + b)])",
        cases,
    )
    for (only_a, only_b, n), (p_value, low, high, shown) in zip(cases, found, strict=True):
        assert p_value == pytest.approx(mcnemar_p_value(only_a, only_b), abs=1e-9)
        assert (low, high) == pytest.approx(tango_interval(only_a, only_b, n=n), abs=1e-9)
        expected = detectable_loss(n, only_a + only_b)
        assert (shown is None) == (expected is None)
        if expected is not None:
            assert shown == pytest.approx(expected, rel=0.01)


def test_numbers_are_printed_as_the_terminal_prints_them(functions):
    generator = np.random.default_rng(5)
    values = [float(10 ** generator.uniform(-3, 11)) for _ in range(200)] + [0.5, 999.96, 1e6]
    names = [name for name in QUANTITIES if name != "score"]
    kinds = [{"name": name, "unit": QUANTITIES[name].unit} for name in names]
    found = functions(
        "argument[0].map((kind) => argument[1].map((value) => valueText(kind, value)))",
        [kinds, values],
    )
    for name, texts in zip(names, found, strict=True):
        expected = [QUANTITIES[name].text(value) for value in values]
        assert [text.replace("×", "x") for text in texts] == expected


def test_fields_are_read_as_the_command_line_reads_them(functions):
    texts = ["7", "0.7", "12.5", ".3", "1e-2", "2.50", "29"]
    for word, name in (("params", "num_params"), ("memory", "peak_memory_bytes")):
        _, exponent, suffix = FIELDS[name]
        found = functions(f"argument.map((text) => decimal(text, {exponent}))", texts)
        assert found == [parse_budget(word, text + suffix).limit for text in texts]
    losses = functions("argument.map((text) => decimal(text, -2))", texts)
    assert losses == [parse_budget("max_loss", f"{text}pt").limit for text in texts]


def test_what_would_be_too_much_is_left_out(content, monkeypatch):
    data = partial(explorer_data, content)
    module = "paretobert.reports.explorer.data"
    whole = data()["scores"]
    assert set(whole["outcomes"]) == {"search", "report"}
    bits = len(content.candidates) * 3000 / 8
    monkeypatch.setattr(f"{module}.OUTCOME_BYTES", bits)
    assert set(data()["scores"]["outcomes"]) == {"search"}
    monkeypatch.setattr(f"{module}.OUTCOME_BYTES", bits - 1)
    monkeypatch.setattr(f"{module}.HALF_BYTES", 0)
    scores = data()["scores"]
    assert scores["outcomes"] is None
    assert scores["halves"] is None
    assert [row[0] for row in scores["loss"]] == pytest.approx(
        [
            compare(content.candidates[0].evaluation, c.evaluation).interval.value
            for c in content.candidates
        ]
    )
    assert not any(math.isnan(value) for row in scores["loss"] for value in row)
