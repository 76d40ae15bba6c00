"""Training the supernet of a run."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ..context import Context

if TYPE_CHECKING:
    from ...training.loop import TrainingProgress


def train(
    context: Context,
    *,
    progress: "Callable[[TrainingProgress], None] | None" = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Train the supernet, or go on where training was interrupted.

    Args:
        context: The run.
        progress: Is called after every step.
        tell: Is called with a sentence when a learning rate is chosen and when a stage ends.

    Raises:
        InputError: When the model, the task's data or a file of unlabelled texts changed since the
            run was started.
    """
    if context.trained:
        return
    from ...dynabert.training import train_supernet
    from ...training.parallel import is_main

    checkpoint = context.checkpoint
    with context.timed("train") if is_main() else nullcontext():
        train_supernet(
            model=checkpoint,
            task=context.task,
            folder=context.folder.root,
            options=context.request.training,
            unlabelled=context.unlabelled,
            progress=progress or (lambda state: None),
            tell=tell or (lambda sentence: None),
        )
