"""Successive halving with two real fidelities: weights that are inherited, and trained on."""

import json
from pathlib import Path

import pytest

from paretobert import Run
from paretobert.cli.app import main
from paretobert.pipeline.costs import Where, candidates, chosen
from paretobert.pipeline.figures import run_figures
from paretobert.reports.figures.fidelities import FidelitiesFigure
from paretobert.training.pace import StudentPace

PACE = StudentPace(steps=2, learning_rate=1e-3, precision="fp32", checkpoint_steps=1)


def test_the_best_half_is_trained_on(run_copy: Path) -> None:
    run, steps = Run.open(run_copy), []
    scored = {entry.config: entry.evaluation.value for entry in run.candidates()}
    seen: list[tuple[str, int, int]] = []
    found = run.halve([PACE], eta=2, progress=lambda *now: seen.append(now), training=steps.append)
    inherited, distilled = found.rungs
    assert {entry.config: entry.score for entry in inherited} == scored
    assert seen[-1] == ("2 steps", len(distilled), len(distilled))
    stored = run.context.stored()
    assert len(stored) == len(distilled)
    assert len(steps) == PACE.steps * len(distilled)
    assert {str(network.recipe.asked["network"]) for network in stored.values()} == {
        entry.config.key for entry in distilled
    }
    whole = found.agreements[0]
    assert (whole.region, whole.cheap, whole.dear) == ("all", "inherited", "2 steps")
    assert whole.n == len(distilled)
    run.search()
    every = candidates(run.context, chosen(run.context, Where()))
    drawn = run_figures(run.context, [run.table()], list(every))
    (figure,) = (each for each in drawn if each.name == "fidelities")
    assert isinstance(figure, FidelitiesFigure)
    assert figure.fidelities == ("inherited", "2 steps")
    assert figure.agreements == ((whole.tau, whole.n),)
    steps.clear()
    assert run.halve([PACE], eta=2, training=steps.append) == found
    assert not steps
    assert json.loads(json.dumps(found.to_dict()))["rungs"][1]["fidelity"] == "2 steps"


def test_a_rung_that_is_no_number_is_refused(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["halve", str(run_copy), "--rungs", "few"]) == 2
    assert "A rung is a whole number of steps, or finished" in capsys.readouterr().err
