"""Invented evaluations, of which only the number of right answers counts."""

from paretobert.tasks.scores import Evaluation, score_predictions


def scored(right: int, *, of: int, split: str = "search") -> Evaluation:
    """An accuracy of so many right answers, the first ones, of all."""
    return score_predictions(
        task="made",
        split=split,
        metrics=("accuracy",),
        labels=(1,) * of,
        predictions=(1,) * right + (0,) * (of - right),
    )
