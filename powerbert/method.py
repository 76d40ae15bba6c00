"""PoWER-BERT as a method that makes a network beside the supernet (no torch)."""

from ..training.method import Making, Method
from .options import PowerOptions


def make(making: Making, options: PowerOptions) -> None:
    """Search a retention configuration and train with it; see `training.train_power`.

    Raises:
        InputError: When the target is out of reach, or a loss stops being finite.
    """
    from .training import train_power

    train_power(
        teacher=making.teacher,
        task=making.task,
        folder=making.folder,
        options=options,
        progress=making.progress,
    )


METHOD = Method(
    "powerbert",
    "Word-vectors are eliminated from layer to layer (PoWER-BERT).",
    PowerOptions,
    make,
)
