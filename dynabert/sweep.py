"""Which learning rate stage 0 takes: a few are tried briefly, and held against the rule's guess.

Each is trained from the same checkpoint with the same batches, in equally many steps and with a
whole schedule. Another rate than the guess is taken only where it is distinguishably better on
the search split, in pairs; the best of these then. Short trials favour large rates, ties the
guess.

A rate that served in a short trial can still be too large for a whole training, which then falls
back to chance and stays there, as fine-tuning on few texts is known to (Mosbach et al. 2021,
section 4). Whether it did is seen on texts that were learnt from: half of the rate is taken then.
Left out: a correction for holding several rates against one.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import storage
from ..tasks.comparison import compare
from ..tasks.metrics import CORRELATIONS
from ..tasks.scores import Evaluation, score_predictions

LEARNT_TEXTS = 512
"""Training texts, of the first ones, on which it is seen whether anything was learnt."""

MOST_HALVINGS = 2
"""How often the rate is halved."""


@dataclass(frozen=True, slots=True)
class RateChoice:
    """The rate that was taken.

    Attributes:
        rate: The learning rate.
        guess: The rule's.
        steps: Those of each trial.
        trials: The score of each rate on the search split; None where its loss diverged.
    """

    rate: float
    guess: float
    steps: int
    trials: Mapping[float, Evaluation | None]

    @property
    def sentence(self) -> str:
        """What was tried, and what is taken and why."""
        scores = ", ".join(
            f"{rate:g}: {'diverged' if found is None else found.interval.text('.3f')}"
            for rate, found in self.trials.items()
        )
        why = f"a tie with {self.guess:g} or worse is no reason to leave it"
        if self.rate != self.guess:
            why = f"distinguishably better than {self.guess:g}"
        return (
            f"stage 0 learns at {self.rate:g}, {why} (search score after {self.steps} steps at "
            f"{scores})"
        )


def choose_rate(
    trials: Mapping[float, Evaluation | None], *, guess: float, steps: int
) -> RateChoice:
    """Hold what was tried against the guess.

    Args:
        trials: Scores on the same examples by learning rate; None where the loss diverged.
        guess: One of the rates, which wins every tie.
        steps: Those of each trial.
    """
    start = trials[guess]
    better = {
        rate: found.value
        for rate, found in trials.items()
        if found is not None and (start is None or compare(found, start).better)
    }
    rate = max(better, key=better.__getitem__, default=guess)
    return RateChoice(rate, guess, steps, trials)


def kept_trial(path: Path, attempt: Callable[[], Evaluation | None]) -> Evaluation | None:
    """A trial's score, from its file or made and kept there."""
    if not path.exists():
        found = attempt()
        path.parent.mkdir(parents=True, exist_ok=True)
        storage.write_json(path, None if found is None else found.to_dict())
    record = storage.read_json(path)
    return None if record is None else Evaluation.from_dict(record)


def has_learnt(found: Evaluation) -> bool:
    """Whether a model answers its training texts distinguishably better than with one label.

    Args:
        found: Its score on texts that it was trained on.
    """
    if found.metric in CORRELATIONS:
        return found.interval.low > 0
    ((label, _),) = Counter(found.labels).most_common(1)
    constant = score_predictions(
        task=found.task,
        split=found.split,
        metrics=(found.metric,),
        labels=found.labels,
        predictions=(label,) * found.n,
    )
    return compare(found, constant).better
