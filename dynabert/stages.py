"""The stages of a training before it starts: their steps, and how much work each is (no torch).

Work is counted in forward passes of the full model over one example; a backward pass counts as two
and a sub-network by its share of the layers' weights. Left out: embeddings, the head, the
optimizer. So times that are estimated by it are rough, and said to be.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from ..networks.shape import EncoderShape
from ..networks.space import Space
from ..networks.subnet import SubnetConfig
from ..training.pace import steps_per_epoch
from .options import TrainingOptions

RATES = "rates"
"""What the trials of stage 0's learning rate are called."""

LONGEST_TRIAL = 300
"""Steps of a trial of a learning rate at most."""

_DRAWN_STEPS = 50
"""Steps by which the work of random sub-networks is estimated."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage as it will be trained.

    Attributes:
        name: Its name.
        epochs: Passes over its texts; those of all trials together for the trials.
        steps: Its training steps.
        texts: Of an epoch.
        networks: Sub-networks that learn in a step.
        learning_rate: Peak learning rate.
        work: See above.
    """

    name: str
    epochs: float
    steps: int
    texts: int
    networks: int
    learning_rate: float
    work: float


def planned_stages(
    options: TrainingOptions, shape: EncoderShape, *, num_train: int, num_unlabelled: int = 0
) -> tuple[Stage, ...]:
    """The stages that have steps, in their order.

    Args:
        options: The settings.
        shape: The full model's sizes.
        num_train: Training texts.
        num_unlabelled: Texts without labels.
    """
    space = options.space_of(shape)
    transfer = num_train * (1 + options.augment) + num_unlabelled
    taught = options.distillation == "teacher"
    elastic = transfer if taught else num_train

    def stage(
        name: str,
        epochs: int,
        texts: int,
        work: tuple[int, float],
        *,
        rate: float = options.learning_rate,
    ) -> Stage:
        steps = epochs * steps_per_epoch(texts, batch_size=options.batch_size)
        networks, per_text = work
        return Stage(name, epochs, steps, texts, networks, rate, epochs * texts * per_text)

    def learnt(part: Space) -> list[list[SubnetConfig]]:
        return _drawn_steps(part, options)

    rate, stages = options.fine_tuning_rate, []
    if options.teacher_rates:
        steps = len(options.teacher_rates) * trial_steps(options, num_train)
        epochs = steps / steps_per_epoch(num_train, batch_size=options.batch_size)
        stages.append(Stage(RATES, epochs, steps, num_train, 1, rate, 3 * epochs * num_train))
    stages.append(stage("teacher", options.teacher_epochs, num_train, (1, 3.0), rate=rate))
    if options.recipe != "closed-form":
        plain = space.with_every_token()
        widths, pairs = learnt(plain.at_full_depth()), learnt(plain)
        tokens = [2 * draws for draws in pairs]
        teachers = statistics.mean(map(_teachers, pairs)) if options.same_width_teachers else 1.0
        stages += [
            stage("width", options.width_epochs, elastic, _work(space, widths, float(taught))),
            stage(
                "depth",
                options.depth_epochs,
                elastic,
                _work(space, pairs, teachers if taught else 0.0),
            ),
            stage("tokens", options.token_epochs, transfer, _work(space, tokens, 1.0)),
            stage("final", options.final_epochs, num_train, _work(space, learnt(space), 0.0)),
        ]
    return tuple(entry for entry in stages if entry.steps)


def seconds_after(stages: Sequence[Stage], name: str, *, seconds: float) -> float:
    """About how long the stages after one take, at the pace of that one.

    Args:
        stages: All that is planned.
        name: The stage that ended.
        seconds: How long it took.
    """
    place = [stage.name for stage in stages].index(name)
    later = sum(stage.work for stage in stages[place + 1 :])
    return later * seconds / stages[place].work


def trial_steps(options: TrainingOptions, num_train: int) -> int:
    """Steps in which a learning rate of stage 0 is tried.

    All trials together take as many as stage 0, fewer where that has many: by then rates differ.

    Args:
        options: The settings.
        num_train: Training texts.
    """
    per_epoch = steps_per_epoch(num_train, batch_size=options.batch_size)
    share = options.teacher_epochs * per_epoch // max(1, len(options.teacher_rates))
    return min(max(1, share), LONGEST_TRIAL)


def _drawn_steps(space: Space, options: TrainingOptions) -> list[list[SubnetConfig]]:
    """Sub-networks that learn together in some steps, as the recipe has it."""
    if options.recipe == "paper":
        return [list(space.landmarks)]
    generator, ends = Random(options.seed), dict.fromkeys([space.full, space.smallest_landmark])
    drawn = min(options.sandwich_random, space.size - len(ends))
    return [[*ends, *(space.draw(generator) for _ in range(drawn))] for _ in range(_DRAWN_STEPS)]


def _work(
    space: Space, steps: Sequence[Sequence[SubnetConfig]], teachers: float
) -> tuple[int, float]:
    """Sub-networks of a step, and the work of a step for each text, teachers' passes included."""
    shares = statistics.mean(sum(map(space.share, configs)) for configs in steps)
    return max(map(len, steps)), 3 * shares + teachers


def _teachers(configs: Sequence[SubnetConfig]) -> float:
    """Stage 2's teachers' passes in a grid: one for each width, as wide as it."""
    full = configs[0]
    widths = {(config.heads[0], config.neurons[0]) for config in configs}
    return sum(
        heads / full.heads[0] / 3 + 2 * neurons / full.neurons[0] / 3 for heads, neurons in widths
    )
