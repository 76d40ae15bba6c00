"""A run's PoWER-BERT networks: trained, scored, measured, and kept beside its sub-networks."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..deploy.deployment import Deployment
from ..errors import InputError
from ..networks.retention import Retention
from ..networks.subnet import SubnetConfig
from ..profiling.counts import count_macs, count_parameters
from ..profiling.table import LookupTable
from ..search.candidate import Candidate
from ..storage import read_records
from ..tasks.metrics import Evaluation
from .delivery import time_again

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..powerbert.options import PowerOptions
    from ..training.loop import TrainingProgress
    from .scoring import SubnetScorer


@dataclass(frozen=True, slots=True)
class PowerNetwork:
    """A trained PoWER-BERT network.

    Attributes:
        slug: Its target as one word, and its folder's name.
        retention: Its retention configuration.
        lengths: Lengths that stand for the task's, in tokens.
        slug_of_costs: The latency protocol that it was measured by, as one word.
        candidate: Its costs and its score on the search split.
        report: Its outcomes on the report split.
    """

    slug: str
    retention: Retention
    lengths: tuple[int, ...]
    slug_of_costs: str
    candidate: Candidate
    report: Evaluation

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "slug": self.slug,
            "retention": self.retention.to_dict(),
            "lengths": list(self.lengths),
            "slug_of_costs": self.slug_of_costs,
            "candidate": self.candidate.to_dict(),
            "report": self.report.to_dict(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            slug=record["slug"],
            retention=Retention.from_dict(record["retention"]),
            lengths=tuple(record["lengths"]),
            slug_of_costs=record["slug_of_costs"],
            candidate=Candidate.from_dict(record["candidate"]),
            report=Evaluation.from_dict(record["report"]),
        )


def read_power(path: Path, *, slug_of_costs: str) -> list[PowerNetwork]:
    """Read the networks that were measured by a protocol, none where there is no file.

    Raises:
        InputError: When the file is damaged; the message names it.
    """
    try:
        networks = [PowerNetwork.from_dict(record) for record in read_records(path)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it and ask for the "
            "networks again, which are not trained a second time."
        ) from None
    latest = {
        network.slug: network for network in networks if network.slug_of_costs == slug_of_costs
    }
    return list(latest.values())


def write_power(
    folder: Path, scorer: "SubnetScorer", deployment: Deployment, to: Path
) -> "PreTrainedModel":
    """Write a trained network as it is deployed.

    Args:
        folder: The network's own folder.
        scorer: The run's task and sub-networks, for calibration.
        deployment: Runtime and precision.
        to: The destination: a new folder.

    Returns:
        The network in torch.
    """
    from transformers import AutoModelForSequenceClassification

    from ..deploy.artefact import write

    network: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder / "network", local_files_only=True, use_safetensors=True
    ).eval()
    calibration = scorer.calibration if deployment.precision == "int8" else ()
    write(network, deployment, to, calibration=calibration)
    return network


def make_power(
    folder: Path,
    *,
    teacher: Path,
    scorer: "SubnetScorer",
    table: LookupTable,
    options: "PowerOptions",
    progress: "Callable[[TrainingProgress], None]",
) -> PowerNetwork:
    """Train a network, or find it trained, then score and measure it.

    Args:
        folder: The network's own folder.
        teacher: The fine-tuned full model.
        scorer: The run's task and sub-networks.
        table: The run's cost table, for the protocol.
        options: The target and the training.
        progress: Called after every training step.

    Raises:
        InputError: When the target is out of reach, or the device is absent.
    """
    from ..powerbert.training import read_retention, train_power

    train_power(
        teacher=teacher, task=scorer.task, folder=folder, options=options, progress=progress
    )
    retention = read_retention(folder)
    config = replace(SubnetConfig.full(table.shape), tokens=retention)
    deployment = table.protocol.deployment

    def written(key: str, to: Path) -> None:
        if key == config.key:
            write_power(folder, scorer, deployment, to)
        else:
            scorer.write(SubnetConfig.from_key(key), deployment, to)

    timing = time_again(
        [config.key], table=table, padding_id=scorer.model.config.pad_token_id, write=written
    )
    with tempfile.TemporaryDirectory() as scratch:
        to = Path(scratch) / "power"
        network = write_power(folder, scorer, deployment, to)
        report, searched = (
            scorer.score_written(network, to, split=split, deployment=deployment)
            for split in ("report", "search")
        )
    candidate = Candidate(
        label=options.label,
        origin="baseline",
        config=None,
        num_params=count_parameters(table.shape, config),
        num_flops=2 * count_macs(table.shape, config, seq_len=table.protocol.seq_len),
        latency=timing.latencies[config.key],
        evaluation=searched,
        source=f"{retention.key} in {(folder / 'network').relative_to(folder.parents[1])}",
    )
    lengths = scorer.lengths(table.protocol)
    return PowerNetwork(options.slug, retention, lengths, table.protocol.slug, candidate, report)
