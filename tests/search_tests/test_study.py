"""What a study keeps: nothing is scored twice, a kill costs one trial, damage is refused."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from paretobert.errors import InputError
from paretobert.networks.spaces import Layerwise
from paretobert.networks.subnet import SubnetConfig
from paretobert.search.constraints import Constraint
from paretobert.search.engines.registry import engine_named
from paretobert.search.liveness import joined
from paretobert.search.options import EngineName
from paretobert.search.problem import Observation, Problem
from paretobert.search.study import run_study

from .conftest import SHAPE, SPACE, by_config, problem

Counted = tuple[list[str], Callable[[SubnetConfig], float]]
Files = dict[str, Path]

KEYS = [config.key for config in SPACE.landmarks]
LAYERWISE = Layerwise(SHAPE, SPACE.widths, SPACE.depths)
ENGINES: list[EngineName] = ["grid", "random", "nsga2", "model"]


def scored(config: SubnetConfig) -> float:
    return by_config(config).value


def study(
    searched: Problem | None = None,
    *,
    storage: Path | str,
    engine: EngineName = "grid",
    num_trials: int = 6,
    evaluate: Callable[[SubnetConfig], float] = scored,
    asked: dict[str, object] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    goes_on: Callable[[], bool] = lambda: True,
) -> tuple[Observation, ...]:
    return run_study(
        engine_named(engine, searched or problem()),
        num_trials=num_trials,
        evaluate=evaluate,
        storage=storage,
        name="paretobert",
        asked=asked or {"engine": engine},
        on_progress=on_progress,
        goes_on=goes_on,
    )


def trials(storage: Path) -> list[optuna.trial.FrozenTrial]:
    place = JournalStorage(JournalFileBackend(str(storage)))
    return optuna.load_study(study_name="paretobert", storage=place).trials


def interrupted_at(call: int) -> Callable[[SubnetConfig], float]:
    calls = iter(range(call))

    def evaluate(config: SubnetConfig) -> float:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return scored(config)

    return evaluate


def test_the_grid_is_scored_once_in_order(counted: Counted, files: Files) -> None:
    calls, evaluate = counted
    seen: list[tuple[int, int]] = []
    found = study(evaluate=evaluate, on_progress=lambda *now: seen.append(now), **files)
    assert calls == KEYS == [entry.config.key for entry in found]
    assert seen == [(done, len(KEYS)) for done in range(len(KEYS) + 1)]
    first, *_ = trials(files["storage"])
    assert first.values == [0.9, 10.0]
    assert first.user_attrs["key"] == KEYS[0]
    assert study(evaluate=evaluate, **files) == found
    assert calls == KEYS
    assert len(trials(files["storage"])) == len(KEYS)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_search_ends_like_an_unbroken_one(
    engine: EngineName, tmp_path: Path
) -> None:
    def search(name: str, evaluate: Callable[[SubnetConfig], float]) -> tuple[Observation, ...]:
        storage = tmp_path / f"{name}.journal"
        asked = {"storage": storage, "engine": engine, "evaluate": evaluate}
        return study(problem(LAYERWISE), num_trials=30, **asked)

    with pytest.raises(KeyboardInterrupt):
        search("broken", interrupted_at(4))
    assert trials(tmp_path / "broken.journal")[-1].state == TrialState.FAIL
    whole = search("unbroken", scored)
    assert search("broken", scored) == whole
    assert len({seen.config for seen in whole}) == len(whole) == (6 if engine == "grid" else 30)


def test_a_killed_search_resumes(counted: Counted, files: Files) -> None:
    """A kill leaves a running trial and a torn line in the journal."""
    with pytest.raises(KeyboardInterrupt):
        study(evaluate=interrupted_at(2), **files)
    storage = JournalStorage(JournalFileBackend(str(files["storage"])))
    optuna.load_study(study_name="paretobert", storage=storage).ask()
    with files["storage"].open("ab") as file:
        file.write(b'{"op_code": 5, "wor')
    calls, evaluate = counted
    found = study(evaluate=evaluate, **files)
    assert calls == KEYS[2:]
    assert [entry.config.key for entry in found] == KEYS


def test_what_is_over_a_cost_limit_is_not_scored(counted: Counted, files: Files) -> None:
    calls, evaluate = counted
    limits = (
        Constraint("latency_ms", 6),
        Constraint("num_params", 10**7),
        Constraint("score", 0.75),
    )
    searched = problem(constraints=limits)
    found = study(searched, evaluate=evaluate, **files)
    assert calls == KEYS[1:]
    assert {trial.state for trial in trials(files["storage"])} == {TrialState.COMPLETE}
    by_key = {trial.user_attrs["key"]: trial for trial in trials(files["storage"])}
    half, smallest = by_key[KEYS[1]], by_key[KEYS[-1]]
    assert half.constraints["latency_ms"] == pytest.approx(5.1 / 6 - 1)
    assert half.constraints["num_params"] < 0
    assert smallest.constraints["score"] > 0
    assert {seen.score >= 0.75 for seen in searched.front(found)} == {True}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_budget_that_nothing_meets_scores_nothing(
    engine: EngineName, counted: Counted, files: Files
) -> None:
    calls, evaluate = counted
    searched = problem(LAYERWISE, constraints=(Constraint("latency_ms", 1e-3),))
    assert study(searched, engine=engine, evaluate=evaluate, **files) == ()
    assert calls == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_space_is_searched_to_its_end(engine: EngineName, files: Files) -> None:
    assert len(study(engine=engine, num_trials=50, **files)) == len(KEYS)


def test_a_lost_journal_is_made_again_without_scoring(counted: Counted, files: Files) -> None:
    calls, evaluate = counted
    first = study(evaluate=evaluate, **files)
    files["storage"].unlink()
    assert study(evaluate=evaluate, **files) == first
    assert calls == KEYS


def test_a_database_serves_as_well(counted: Counted, tmp_path: Path) -> None:
    calls, evaluate = counted
    for _ in range(2):
        study(evaluate=evaluate, storage=f"sqlite:///{tmp_path}/study.db")
    assert calls == KEYS


def test_an_unusable_database_is_refused() -> None:
    for url in ("nonsense://here", "not a url", "sqlite:////nowhere/at/all.db"):
        with pytest.raises(InputError, match="database .* cannot be used"):
            study(storage=url)


@pytest.mark.parametrize(
    "content", [b"garbage\nmore\n", b"[]\n", b"{}\n", b'{"op_code": 4}\n', b"\xff\xfe\n\n\n"]
)
def test_a_damaged_journal_is_refused(content: bytes, files: Files) -> None:
    files["storage"].write_bytes(content)
    with pytest.raises(InputError, match="study.journal is not a study's journal, or it is damag"):
        study(**files)


def test_another_search_in_the_same_place_is_refused(files: Files) -> None:
    study(asked={"widths": [1.0, 0.5, 0.25], "max_params": None}, **files)
    before = files["storage"].read_bytes()
    with pytest.raises(InputError, match=r"another search \(max_params is None there, '1M' here"):
        study(asked={"widths": [1.0, 0.5, 0.25], "max_params": "1M"}, **files)
    assert files["storage"].read_bytes() == before


def test_a_study_of_another_program_is_refused(files: Files) -> None:
    storage = JournalStorage(JournalFileBackend(str(files["storage"])))
    other = optuna.create_study(study_name="paretobert", storage=storage)
    other.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(InputError, match="not of this program"):
        study(**files)


def test_more_trials_may_be_asked_for(files: Files) -> None:
    searched = replace(problem(LAYERWISE), seed=3)
    few = study(searched, engine="random", num_trials=3, **files)
    more = study(searched, engine="random", num_trials=5, **files)
    assert more[:3] == few
    assert len(more) == len(trials(files["storage"])) == 5


def test_what_a_dead_worker_was_at_is_taken_first(counted: Counted, files: Files) -> None:
    study(num_trials=2, **files)
    storage = JournalStorage(JournalFileBackend(str(files["storage"])))
    begun = {"key": KEYS[4], "worker": "gone"}
    claim = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=begun)
    optuna.load_study(study_name="paretobert", storage=storage).add_trial(claim)
    calls, evaluate = counted
    found = study(evaluate=evaluate, **files)
    assert calls == [KEYS[4], KEYS[2], KEYS[3], KEYS[5]]
    assert len(found) == len(KEYS)


def test_a_living_worker_s_network_is_left_to_it(counted: Counted, files: Files) -> None:
    study(num_trials=2, **files)
    storage = JournalStorage(JournalFileBackend(str(files["storage"])))
    shared = optuna.load_study(study_name="paretobert", storage=storage)
    calls, evaluate = counted
    with joined(shared, files["storage"]) as other:
        begun = {"key": KEYS[2], "worker": other.name}
        claim = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=begun)
        shared.add_trial(claim)
        assert len(study(num_trials=2, evaluate=evaluate, **files)) == 2
        limited = iter([True] * 4 + [False])
        study(evaluate=evaluate, goes_on=lambda: next(limited), **files)
        assert calls == KEYS[3:]
    study(evaluate=evaluate, **files)
    assert calls == [*KEYS[3:], KEYS[2]]


@pytest.mark.parametrize(
    ("theirs", "num_trials", "left"), [(1, 6, [2, 3, 4, 5]), (4, 2, [])], ids=["same", "last"]
)
def test_of_claims_that_meet_the_first_holds(
    theirs: int, num_trials: int, left: list[int], counted: Counted, files: Files
) -> None:
    """Another worker claims after a proposal, the same network or the last that is wanted."""
    calls, evaluate = counted
    engine = engine_named("grid", problem())
    proposed = engine.propose
    study(num_trials=1, **files)
    storage = JournalStorage(JournalFileBackend(str(files["storage"])))
    shared = optuna.load_study(study_name="paretobert", storage=storage)
    with joined(shared, files["storage"]) as other:

        def overtaken(
            observed: Sequence[Observation], pending: Collection[SubnetConfig] = ()
        ) -> SubnetConfig | None:
            config = proposed(observed, pending)
            if config is not None and config.key == KEYS[1]:
                begun = {"key": KEYS[theirs], "worker": other.name}
                claim = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=begun)
                shared.add_trial(claim)
            return config

        engine.propose = overtaken
        limited = iter([True] * 6 + [False])
        run_study(
            engine,
            num_trials=num_trials,
            evaluate=evaluate,
            storage=files["storage"],
            name="paretobert",
            asked={"engine": "grid"},
            goes_on=lambda: next(limited),
        )
    assert calls == [KEYS[place] for place in left]
