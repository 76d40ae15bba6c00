"""Whether a model, a task, a training and a protocol go together, found out before training.

Each of the four has checked itself when it was made. What only shows when they meet (a text longer
than the model's positions, a device that is not there, a training of years) would otherwise show
after hours. Left out: whether memory and disk suffice.
"""

from ..deploy.deployment import require_cores
from ..dynabert.options import TrainingOptions
from ..encoders.checkpoints import Checkpoint
from ..errors import InputError
from ..profiling.protocol import LatencyProtocol
from ..tasks.task import Task
from ..training.pace import check_steps
from .context import Context


def check_together(
    checkpoint: Checkpoint,
    task: Task,
    training: TrainingOptions,
    protocol: LatencyProtocol,
    *,
    num_unlabelled: int = 0,
) -> None:
    """Check what a run is asked as a whole.

    Args:
        checkpoint: The model to start from.
        task: The loaded task.
        training: How the supernet is trained.
        protocol: How latencies are measured.
        num_unlabelled: Texts without labels that distillation learns from too.

    Raises:
        InputError: Naming what does not go together, and which option mends it.
    """
    if min(training.tokens) < 1:
        task.head.require_first_token()
    check_lengths(checkpoint, task)
    check_protocol(protocol, max_tokens=checkpoint.max_tokens)
    num_train = len(task.train)
    if num_unlabelled and not (training.distillation_epochs or training.recipe == "closed-form"):
        raise InputError(
            "Texts without labels are for distillation and repair, and no stage distils: leave "
            "them out, or give epochs of the width, depth or token stage."
        )
    check_steps(
        training,
        (training.labelled_epochs, num_train),
        (training.distillation_epochs, num_train * (1 + training.augment) + num_unlabelled),
    )


def check_lengths(checkpoint: Checkpoint, task: Task) -> None:
    """Check the length at which texts are cut against the model's positions and special tokens.

    Raises:
        InputError: When texts could be longer than the model reads, or nothing of them is left.
    """
    if task.max_length > checkpoint.max_tokens:
        raise InputError(
            f"Texts are cut at {task.max_length} tokens, but {checkpoint.name} reads at most "
            f"{checkpoint.max_tokens}: give --max-length {checkpoint.max_tokens} or less."
        )
    texts = 1 if task.train.second is None else 2
    shortest = checkpoint.special_tokens + texts
    if task.max_length < shortest:
        raise InputError(
            f"Texts are cut at {task.max_length} tokens, of which the tokenizer's own leave "
            f"nothing: give --max-length {shortest} or more."
        )


def check_measurable(context: Context, protocol: LatencyProtocol) -> None:
    """Check that latencies of a run's networks can be measured so, here.

    Raises:
        InputError: When there is no supernet yet, and as `check_protocol` has it.
    """
    context.require_supernet()
    from ..deploy.graph import longest_input

    check_protocol(protocol, max_tokens=longest_input(context.workshop.model.config))


def check_protocol(protocol: LatencyProtocol, *, max_tokens: int) -> None:
    """Check that latencies can be measured so, here and of this model.

    Args:
        protocol: How latencies are measured.
        max_tokens: Tokens of the longest text that the model reads.

    Raises:
        InputError: When sequences are too long, or the device, the runtime or the processor
            cores are missing.
    """
    longest = max((protocol.seq_len, *protocol.lengths))
    if longest > max_tokens:
        raise InputError(
            f"Latencies of {longest} tokens cannot be measured: the model reads at most "
            f"{max_tokens}; give --seq-len {max_tokens} or less."
        )
    protocol.deployment.require(protocol.device)
    require_cores(protocol.threads, device=protocol.device)
