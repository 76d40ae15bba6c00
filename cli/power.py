"""`paretobert power`: a PoWER-BERT network of a run, for comparison and for its own sake."""

from typing import Annotated

from ..pipeline.run import Run
from ..powerbert.options import PowerOptions
from . import steps
from .display import log_to_stderr, show, show_json
from .fields import FieldsOf, Given
from .options import Folder, Json
from .tables import candidate_record, retention_table

EPILOG = """Example:

$ paretobert power runs/docs --target-speedup 3

$ paretobert power runs/docs --target-tokens 0.3 --unit tokens
"""

PowerGiven = Annotated[Given, FieldsOf(PowerOptions, panel="PoWER-BERT", without=("seed",))]


def command(folder: Folder, power_given: PowerGiven, json: Json = False) -> None:
    """Learn which word-vectors can be left out, train without them, score and measure that.

    The network is trained from the run's fine-tuned teacher. It appears in the report beside the
    sub-networks.
    """
    log_to_stderr()
    run = Run.open(folder)
    options = PowerOptions(seed=run.request.training.seed, **power_given)
    network, picture = steps.power(run, options)
    if json:
        show_json(
            {
                **candidate_record(network.candidate),
                "retention": network.retention.to_dict(),
                "report": {
                    "value": network.report.value,
                    "low": network.report.low,
                    "high": network.report.high,
                    "n": network.report.n,
                },
                "network": str(run.folder.power(network.slug) / "network"),
                "picture": str(picture),
            }
        )
    else:
        show(retention_table(network))
