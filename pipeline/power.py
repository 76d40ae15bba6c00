"""A run's PoWER-BERT networks: trained, scored, measured, and kept beside its sub-networks."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..dynabert.retention import Retention
from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from ..profiling.counts import count_macs, count_parameters
from ..profiling.table import LatencySummary, LookupTable
from ..search.candidate import Candidate
from ..storage import read_records
from ..tasks.metrics import Evaluation
from .delivery import REMEASURE_S

if TYPE_CHECKING:
    from ..dynabert.training import Progress
    from ..powerbert.options import PowerOptions
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


def make_power(
    folder: Path,
    *,
    teacher: Path,
    scorer: "SubnetScorer",
    table: LookupTable,
    options: "PowerOptions",
    progress: "Callable[[Progress], None]",
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
        InputError: When the task is a regression, or the device is absent.
    """
    from transformers import AutoModelForSequenceClassification

    from ..powerbert.training import read_retention, train_power
    from ..profiling.fresh import measure_in_fresh_process
    from ..profiling.runtimes.artefact import write

    train_power(
        teacher=teacher, task=scorer.task, folder=folder, options=options, progress=progress
    )
    network = AutoModelForSequenceClassification.from_pretrained(
        folder / "network", local_files_only=True, use_safetensors=True
    ).eval()
    retention = read_retention(folder)
    full = SubnetConfig.full(table.shape)
    config = replace(full, tokens=retention)
    protocol = replace(
        table.protocol, time_budget_s=min(REMEASURE_S, table.protocol.time_budget_s)
    )
    with tempfile.TemporaryDirectory() as scratch:
        folders = {full.key: Path(scratch) / "full", config.key: Path(scratch) / "power"}
        calibration = scorer.calibration if protocol.precision == "int8" else ()
        scorer.write(full, protocol.deployment, folders[full.key])
        write(network, protocol.deployment, folders[config.key], calibration=calibration)
        session = measure_in_fresh_process(
            folders,
            protocol,
            sentinel=full.key,
            vocab_size=table.shape.vocab_size,
            padding_id=scorer.model.config.pad_token_id,
        )
        report, searched = (
            scorer.score_written(
                network, folders[config.key], split=split, deployment=protocol.deployment
            )
            for split in ("report", "search")
        )
    candidate = Candidate(
        label=options.label,
        origin="baseline",
        config=None,
        num_params=count_parameters(table.shape, config),
        num_flops=2 * count_macs(table.shape, config, seq_len=table.protocol.seq_len),
        latency=LatencySummary.from_measurement(session[config.key]),
        evaluation=searched,
        source=f"{retention.key} in {(folder / 'network').relative_to(folder.parents[1])}",
    )
    lengths = scorer.lengths(protocol)
    return PowerNetwork(options.slug, retention, lengths, protocol.slug, candidate, report)
