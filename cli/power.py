"""`paretobert power`: a PoWER-BERT network of a run, for comparison and for its own sake."""

from typing import Annotated

import typer

from ..errors import InputError
from ..pipeline.run import Run
from ..powerbert.options import PowerOptions
from ..search.candidate import score_record
from . import steps
from .display import log_to_stderr, show, show_json
from .fields import FieldsOf, Given
from .options import Folder, Json
from .tables import candidate_record, retention_table

EPILOG = """Example:

$ paretobert power runs/docs --target-speedup 3x

$ paretobert power runs/docs --target-tokens 0.3 --unit tokens

$ paretobert power runs/docs --lambda 1e-3 --retention-learning-rate 1e-2
"""

PowerGiven = Annotated[
    Given,
    FieldsOf(
        PowerOptions,
        panel="PoWER-BERT",
        names={"penalty": "--lambda"},
        without=("seed", "target_speedup", "learning_rate"),
    ),
]


def command(
    folder: Folder,
    power_given: PowerGiven,
    target_speedup: Annotated[
        str | None,
        typer.Option(help="How many times fewer multiply-adds, e.g. 3x; 2x by default."),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak learning rate of the weights; the run's teacher's if left out."),
    ] = None,
    json: Json = False,
) -> None:
    """Learn which word-vectors can be left out, train without them, score and measure that.

    The network is trained from the run's fine-tuned teacher. It appears in the report beside the
    sub-networks, and in the answers of `query` where it meets the budget.
    """
    log_to_stderr()
    run = Run.open(folder)
    training = run.request.training
    options = PowerOptions(
        seed=training.seed,
        target_speedup=_times(target_speedup),
        learning_rate=training.fine_tuning_rate if learning_rate is None else learning_rate,
        **power_given,
    )
    network, picture = steps.power(run, options)
    if json:
        show_json(
            {
                **candidate_record(network.candidate),
                "retention": network.retention.to_dict(),
                "report": score_record(network.report),
                "network": str(run.folder.power(network.slug) / "network"),
                "picture": str(picture),
            }
        )
    else:
        show(retention_table(network))


def _times(text: str | None) -> float | None:
    try:
        return None if text is None else float(text.strip().removesuffix("x"))
    except ValueError:
        raise InputError(f"{text!r} is not a speed-up such as 3x.") from None
