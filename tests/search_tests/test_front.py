import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretobert.deploy.deployment import EAGER_FP32
from paretobert.networks.network import Network, Printed
from paretobert.profiling.table import Profile
from paretobert.search.candidate import Candidate, StatedScore
from paretobert.search.front import Hypervolume, ParetoFront, reference_beyond

OBJECTIVES = ("score", "num_params", "size_bytes")

Values = tuple[int, int, int]

points = st.lists(st.tuples(*[st.integers(1, 5)] * 3), max_size=9)
some_objectives = st.sampled_from(
    [names for n in (1, 2, 3) for names in itertools.permutations(OBJECTIVES, n)]
)


def of_values(values: Sequence[Values]) -> list[Candidate]:
    return [
        Candidate(
            Profile(
                Network(str(number), Printed("test")),
                num_params=params,
                num_macs=None,
                seq_len=1,
                size_bytes=size,
            ),
            EAGER_FP32,
            StatedScore("test", "search", "accuracy", score),
        )
        for number, (score, params, size) in enumerate(values)
    ]


def smaller_is_better(candidate: Candidate, objectives: Sequence[str]) -> tuple[float, ...]:
    values = (candidate.evaluation.value, candidate.num_params, candidate.profile.size_bytes)
    by_name = dict(zip(OBJECTIVES, values, strict=True))
    by_name["score"] *= -1
    return tuple(by_name[name] for name in objectives)


def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


@given(points, some_objectives)
def test_members_are_those_that_none_beats(
    values: list[Values], objectives: tuple[str, ...]
) -> None:
    candidates = of_values(values)
    front = ParetoFront.of(candidates, objectives)
    places = {c.label: smaller_is_better(c, objectives) for c in candidates}
    expected = {
        label
        for label, place in places.items()
        if not any(beats(other, place) for other in places.values())
    }
    assert {member.label for member in front.members} == expected
    assert len(front.members) + len(front.dominated) == len(candidates)
    assert {c.label for c in front.dominated} == places.keys() - expected


@settings(deadline=None)
@given(points, some_objectives, st.tuples(*[st.integers(0, 6)] * 3))
def test_the_hypervolume_is_the_number_of_dominated_unit_cells(
    values: list[Values], objectives: tuple[str, ...], corner: Values
) -> None:
    front = ParetoFront.of(of_values(values), objectives)
    reference = {name: dict(zip(OBJECTIVES, corner, strict=True))[name] for name in objectives}
    signed = [-reference[n] if n == "score" else reference[n] for n in objectives]
    cells = itertools.product(*(range(-8, limit) for limit in signed))
    places = [smaller_is_better(member, objectives) for member in front.members]
    covered = sum(
        any(all(p <= c for p, c in zip(place, cell, strict=True)) for place in places)
        for cell in cells
    )
    volume = front.hypervolume(reference)
    assert volume.value == pytest.approx(covered)
    assert volume.reference == reference


def test_members_go_from_the_cheapest_to_the_best() -> None:
    front = ParetoFront.of(
        of_values([(3, 3, 1), (1, 1, 1), (2, 2, 1), (1, 3, 1)]), ("score", "num_params")
    )
    assert [member.label for member in front.members] == ["1", "2", "0"]
    assert [entry.label for entry in front.dominated] == ["3"]


def test_equal_candidates_are_all_members() -> None:
    front = ParetoFront.of(of_values([(1, 1, 1)] * 3), OBJECTIVES)
    assert [member.label for member in front.members] == ["0", "1", "2"]


def test_a_single_candidate_and_none_at_all() -> None:
    assert len(ParetoFront.of(of_values([(1, 1, 1)]), OBJECTIVES).members) == 1
    empty = ParetoFront.of([], ("score", "num_params"))
    assert empty.members == ()
    assert empty.hypervolume({"score": 0.0, "num_params": 9.0}).value == 0


@given(points.filter(bool), some_objectives)
def test_the_proposed_reference_is_behind_every_candidate(
    values: list[Values], objectives: tuple[str, ...]
) -> None:
    candidates = of_values(values)
    reference = reference_beyond(candidates, objectives)
    for name in objectives:
        sign = -1 if name == "score" else 1
        worst = max(smaller_is_better(c, (name,))[0] for c in candidates)
        assert sign * reference[name] >= worst


def test_what_lacks_a_value_is_set_apart() -> None:
    candidates = of_values([(1, 1, 1)])
    front = ParetoFront.of(candidates, ("score", "latency_ms"))
    assert front.members == front.dominated == ()
    assert front.unmeasured == tuple(candidates)
    assert ParetoFront.from_dict(json.loads(json.dumps(front.to_dict()))) == front


def test_no_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one objective"):
        ParetoFront.of(of_values([(1, 1, 1)]), ())


def test_a_reference_of_other_objectives_is_refused() -> None:
    front = ParetoFront.of(of_values([(1, 1, 1)]), ("score", "num_params"))
    with pytest.raises(ValueError, match=r"reference point is of \['score'\]"):
        front.hypervolume({"score": 0.5})


def test_no_reference_without_candidates() -> None:
    with pytest.raises(ValueError, match="no candidates"):
        reference_beyond([], OBJECTIVES)


def test_fronts_and_volumes_survive_records(candidates: list[Candidate]) -> None:
    front = ParetoFront.of(candidates, ("score", "latency_ms"))
    assert ParetoFront.from_dict(front.to_dict()) == front
    volume = front.hypervolume({"score": 0.5, "latency_ms": 12.0})
    assert Hypervolume.from_dict(volume.to_dict()) == volume
    assert str(volume).endswith("(reference point: score 0.5, latency 12 ms)")
