import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from paretobert.errors import InputError
from paretobert.networks.network import Network
from paretobert.networks.space import Space
from paretobert.networks.spaces import Grid
from paretobert.networks.subnet import SubnetConfig, subnet_label
from paretobert.profiling.table import CostTable
from paretobert.search.options import SearchOptions
from paretobert.search.study import StudyResult, run_study
from paretobert.tasks.metrics import Evaluation

from .conftest import SHAPE, SPACE, cost_table, evaluation, networks, scored

Counted = tuple[list[str], Callable[[Network], Evaluation]]
Files = dict[str, Path]

KEYS = [config.key for config in SPACE.landmarks]
SAMPLERS = [
    SearchOptions(),
    SearchOptions(sampler="nsga2", num_trials=24),
    SearchOptions(sampler="tpe", num_trials=24),
]


def study(
    space: Space,
    table: CostTable | None = None,
    *,
    storage: Path | str,
    options: SearchOptions | None = None,
    evaluate: Callable[[Network], Evaluation] = scored,
    on_progress: Callable[[int, int], None] | None = None,
) -> StudyResult:
    return run_study(
        space,
        networks(space),
        table or cost_table(space=space),
        options=options or SearchOptions(),
        evaluate=evaluate,
        storage=storage,
        on_progress=on_progress,
    )


def trials(storage: Path) -> list[optuna.trial.FrozenTrial]:
    place = JournalStorage(JournalFileBackend(str(storage)))
    return optuna.load_study(study_name="paretobert", storage=place).trials


def interrupted_at(call: int) -> Callable[[Network], Evaluation]:
    calls = iter(range(call))

    def evaluate(network: Network) -> Evaluation:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return scored(network)

    return evaluate


def test_the_grid_is_scored_once_and_its_front_returned(counted: Counted, files: Files) -> None:
    calls, evaluate = counted
    seen: list[tuple[int, int]] = []
    result = study(
        SPACE,
        options=SearchOptions(),
        evaluate=evaluate,
        on_progress=lambda *now: seen.append(now),
        **files,
    )
    assert calls == KEYS
    assert [candidate.name for candidate in result.candidates] == KEYS
    assert result.candidates[1].label == "width 0.5, 4 of 4 layers"
    assert seen == [(done, len(KEYS)) for done in range(len(KEYS) + 1)]
    assert result.skipped == ()
    assert {member.name for member in result.front.members} <= set(KEYS)
    first, *_ = trials(files["storage"])
    assert first.values == [0.9, 10.0]
    assert first.user_attrs == {"key": KEYS[0]}


@pytest.mark.parametrize("options", SAMPLERS, ids=lambda options: options.sampler)
def test_running_again_scores_nothing(
    options: SearchOptions, counted: Counted, files: Files
) -> None:
    calls, evaluate = counted
    arguments = {"options": options, "evaluate": evaluate, **files}
    first = study(SPACE, **arguments)
    num_calls, num_trials = len(calls), len(trials(files["storage"]))
    assert study(SPACE, **arguments) == first
    assert len(calls) == num_calls == len(set(calls))
    assert len(trials(files["storage"])) == num_trials


@pytest.mark.parametrize("options", SAMPLERS, ids=lambda options: options.sampler)
def test_an_interrupted_search_ends_like_an_unbroken_one(
    options: SearchOptions, tmp_path: Path
) -> None:
    def search(name: str, evaluate: Callable[[Network], Evaluation]) -> list[dict[str, float]]:
        storage = tmp_path / f"{name}.journal"
        study(
            SPACE,
            options=options,
            evaluate=evaluate,
            storage=storage,
        )
        return [t.params for t in trials(storage) if t.state != TrialState.FAIL]

    with pytest.raises(KeyboardInterrupt):
        search("broken", interrupted_at(4))
    assert trials(tmp_path / "broken.journal")[-1].state == TrialState.FAIL
    assert search("broken", scored) == search("unbroken", scored)


def test_a_killed_search_resumes(counted: Counted, files: Files) -> None:
    """A kill leaves a running trial and a torn line in the journal."""
    with pytest.raises(KeyboardInterrupt):
        study(
            SPACE,
            options=SearchOptions(),
            evaluate=interrupted_at(2),
            **files,
        )
    storage = JournalStorage(JournalFileBackend(str(files["storage"])))
    optuna.load_study(study_name="paretobert", storage=storage).ask(
        {"width": optuna.distributions.CategoricalDistribution(SPACE.widths)}
    )
    for path in files.values():
        with path.open("ab") as file:
            file.write(b'{"op_code": 5, "wor')
    calls, evaluate = counted
    result = study(SPACE, evaluate=evaluate, **files)
    assert sorted(calls) == sorted(KEYS)
    assert [candidate.name for candidate in result.candidates] == KEYS
    assert len(trials(files["storage"])) == len(KEYS) + 2


def test_what_is_over_a_cost_limit_is_pruned_and_not_scored(
    counted: Counted, files: Files
) -> None:
    calls, evaluate = counted
    options = SearchOptions(max_latency="6ms", max_params="10M", min_score="75%")
    result = study(SPACE, options=options, evaluate=evaluate, **files)
    assert calls == KEYS[1:]
    assert [entry.network.name for entry in result.skipped] == KEYS[:1]
    by_key = {trial.user_attrs["key"]: trial for trial in trials(files["storage"])}
    full = by_key[KEYS[0]]
    assert full.state == TrialState.PRUNED
    assert full.constraints["latency_ms"] == pytest.approx(10.2 / 6 - 1)
    assert full.constraints["num_params"] < 0
    assert "score" not in full.constraints
    smallest = by_key[KEYS[-1]]
    assert smallest.state == TrialState.COMPLETE
    assert smallest.constraints["score"] > 0
    assert KEYS[-1] in {candidate.name for candidate in result.candidates}
    assert {member.evaluation.value >= 0.75 for member in result.front.members} == {True}


@pytest.mark.parametrize("sampler", ["grid", "nsga2", "tpe"])
def test_a_budget_that_nothing_meets_scores_nothing(
    sampler: str, counted: Counted, files: Files
) -> None:
    calls, evaluate = counted
    options = SearchOptions(sampler=sampler, num_trials=15, max_latency="1us")
    result = study(SPACE, options=options, evaluate=evaluate, **files)
    assert calls == []
    assert result.candidates == result.front.members == ()


def test_pairs_that_round_to_one_network_are_one(counted: Counted, files: Files) -> None:
    calls, evaluate = counted
    space = Grid(SHAPE, widths=(1.0, 0.5, 0.45), depths=(1.0,))
    study(
        space,
        cost_table(space=space),
        options=SearchOptions(),
        evaluate=evaluate,
        **files,
    )
    assert len(calls) == len(trials(files["storage"])) == 2


@pytest.mark.parametrize("sampler", ["grid", "nsga2", "tpe"])
def test_tokens_are_a_third_parameter(sampler: str, counted: Counted, files: Files) -> None:
    calls, evaluate = counted
    space = Grid(SHAPE, widths=(1.0, 0.5), depths=(1.0,), tokens=(1.0, 0.5, 0.25))
    options = SearchOptions(sampler=sampler, num_trials=24)
    table = cost_table(space=space)
    result = study(space, table, options=options, evaluate=evaluate, **files)
    keys = [config.key for config in space.landmarks]
    assert len(keys) == 6
    assert set(calls) <= set(keys)
    if sampler == "grid":
        assert calls == keys
        assert [candidate.label for candidate in result.candidates][:2] == [
            "width 1, 4 of 4 layers",
            "width 1, 4 of 4 layers, tokens 0.5",
        ]
    for trial in trials(files["storage"]):
        assert trial.params.keys() == {"width", "depth", "tokens"}
    again = study(space, table, options=options, evaluate=evaluate, **files)
    assert again == result
    assert len(calls) == len(set(calls))


def test_without_tokens_a_study_is_what_it_was(counted: Counted, files: Files) -> None:
    _, evaluate = counted
    study(SPACE, evaluate=evaluate, **files)
    for trial in trials(files["storage"]):
        assert trial.params.keys() == {"width", "depth"}


def test_a_lost_journal_is_made_again_without_scoring(counted: Counted, files: Files) -> None:
    calls, evaluate = counted
    arguments = {"options": SearchOptions(), "evaluate": evaluate, **files}
    first = study(SPACE, **arguments)
    files["storage"].unlink()
    assert study(SPACE, **arguments) == first
    assert calls == KEYS


def test_a_database_serves_as_well(counted: Counted, tmp_path: Path) -> None:
    calls, evaluate = counted
    for _ in range(2):
        study(
            SPACE,
            options=SearchOptions(),
            evaluate=evaluate,
            storage=f"sqlite:///{tmp_path}/study.db",
        )
    assert calls == KEYS


def test_an_unusable_database_is_refused(files: Files) -> None:
    for url in ("nonsense://here", "not a url", "sqlite:////nowhere/at/all.db"):
        with pytest.raises(InputError, match="database .* cannot be used"):
            study(
                SPACE,
                options=SearchOptions(),
                evaluate=scored,
                storage=url,
            )


@pytest.mark.parametrize(
    "content", [b"garbage\nmore\n", b"[]\n", b"{}\n", b'{"op_code": 4}\n', b"\xff\xfe\n\n\n"]
)
def test_a_damaged_journal_is_refused(content: bytes, files: Files) -> None:
    files["storage"].write_bytes(content)
    with pytest.raises(InputError, match="study.journal is not a study's journal, or it is damag"):
        study(SPACE, evaluate=scored, **files)


@pytest.mark.parametrize(
    ("space", "options", "difference"),
    [
        (
            Grid(SHAPE, (1.0, 0.5), (1.0, 0.5)),
            SearchOptions(),
            r"widths is \[1.0, 0.5, 0.25\] th",
        ),
        (
            SPACE,
            SearchOptions(objectives=("score", "num_params")),
            r"objectives is \['score', 'latency_ms'\] there",
        ),
        (SPACE, SearchOptions(max_params="1M"), "max_params is None there, '1M' here"),
    ],
)
def test_another_search_in_the_same_place_is_refused(
    space: Space, options: SearchOptions, difference: str, files: Files
) -> None:
    study(SPACE, evaluate=scored, **files)
    before = {name: path.read_bytes() for name, path in files.items()}
    with pytest.raises(InputError, match=f"holds another search .*{difference}"):
        study(
            space,
            cost_table(space=space),
            options=options,
            evaluate=scored,
            **files,
        )
    assert {name: path.read_bytes() for name, path in files.items()} == before


def test_a_study_of_another_program_is_refused(files: Files) -> None:
    storage = JournalStorage(JournalFileBackend(str(files["storage"])))
    other = optuna.create_study(study_name="paretobert", storage=storage)
    other.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(InputError, match="not of this program"):
        study(SPACE, evaluate=scored, **files)


def test_more_trials_may_be_asked_for(files: Files) -> None:
    options = SearchOptions(sampler="tpe", num_trials=3)
    for wanted in (3, 5):
        asked = replace(options, num_trials=wanted)
        study(SPACE, options=asked, evaluate=scored, **files)
    assert len(trials(files["storage"])) == 5


def test_a_table_without_what_is_needed_is_refused(files: Files) -> None:
    with pytest.raises(InputError, match="has no latency of L0.1.2.3-H4-F128"):
        study(
            SPACE,
            cost_table(timed=False),
            options=SearchOptions(),
            evaluate=scored,
            **files,
        )
    small = cost_table(space=Grid(SHAPE, (1.0,), (1.0,)))
    with pytest.raises(InputError, match="lacks the sub-network L0.1.2.3-H2-F64"):
        study(SPACE, small, options=SearchOptions(), evaluate=scored, **files)


def test_latency_is_not_needed_for_counts(files: Files) -> None:
    options = SearchOptions(objectives=("score", "num_params", "num_flops"))
    result = study(SPACE, cost_table(timed=False), options=options, evaluate=scored, **files)
    assert len(result.candidates) == len(KEYS)


def test_scores_of_another_split_are_refused(files: Files) -> None:
    with pytest.raises(ValueError, match="scored on 'report', not 'search'"):
        study(
            SPACE,
            options=SearchOptions(),
            evaluate=lambda network: evaluation(150, split="report"),
            **files,
        )


def test_a_label_counts_the_layers_that_a_depth_was_rounded_to() -> None:
    six = replace(SHAPE, num_layers=6)
    kept = {depth: SubnetConfig.from_multipliers(six, 0.75, depth) for depth in (1.0, 0.75, 0.5)}
    labels = {depth: subnet_label(kept[depth], six, width=0.75) for depth in kept}
    assert labels == {
        1.0: "width 0.75, 6 of 6 layers",
        0.75: "width 0.75, 5 of 6 layers",
        0.5: "width 0.75, 3 of 6 layers",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": ("score", "weight_kg")}, "no quantity 'weight_kg'"),
        ({"objectives": ("latency_ms", "num_params")}, "are no trade"),
        ({"objectives": ("score", "num_params", "num_params")}, "are no trade"),
        ({"objectives": ("score",)}, "needs a cost"),
        ({"sampler": "dice"}, "choose from grid, nsga2, tpe"),
        ({"max_latency": "5 parsecs"}, "not a budget for latency"),
    ],
)
def test_bad_options_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SearchOptions(**change)


def test_options_survive_records() -> None:
    options = SearchOptions(max_latency="5ms", sampler="tpe", seed=3)
    assert SearchOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
