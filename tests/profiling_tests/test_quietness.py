from dataclasses import replace

import pytest

from paretobert.profiling.protocol import MOST_PROCESSES
from paretobert.profiling.quietness import disturbances, remedy
from paretobert.profiling.statistics import NoiseReport

QUIET = NoiseReport(
    num_processes=5,
    num_rounds=15,
    num_visits=100,
    num_discarded_visits=40,
    num_noisy_visits=0,
    num_redos=3,
    num_drifted_rounds=2,
    foreign_share=0.01,
)


@pytest.mark.parametrize(
    ("change", "resolved", "sentence"),
    [
        ({"num_processes": 3}, [False], "Latencies are only a range of 3 processes"),
        ({}, [True, False, False], "Not resolved: 2 of 3 latency intervals are wider than asked."),
        ({"foreign_share": 0.11}, [True], "Other programs used 11% of the processors"),
        ({"num_drifted_rounds": 8}, [True], "time drifted in 8 of 15 rounds"),
        ({"num_discarded_visits": 101}, [True], "101 of 201 timed visits were too noisy"),
    ],
)
def test_each_limit_has_its_sentence(
    change: dict[str, float], resolved: list[bool], sentence: str
) -> None:
    (found,) = disturbances(replace(QUIET, **change), resolved)
    assert sentence in found


def test_a_quiet_machine_is_not_warned_of() -> None:
    assert disturbances(QUIET, [True, True]) == ()
    assert disturbances(replace(QUIET, foreign_share=None), [True]) == ()


def test_the_remedy_is_one_that_helps() -> None:
    def advice(num_processes: int, *resolved: bool) -> str:
        return remedy(
            replace(QUIET, num_processes=num_processes),
            resolved,
            command="paretobert profile runs/docs",
            time_budget_s=180.0,
        )

    longer = "with other programs closed: paretobert profile runs/docs --measure-s 720"
    anew = "Measure anew, with other programs closed: paretobert profile runs/docs --anew"
    assert advice(5, True, False).endswith(longer)
    assert advice(3, False).endswith(longer)
    assert advice(5, True, True).endswith(anew)
    assert advice(MOST_PROCESSES, False).endswith(anew)
