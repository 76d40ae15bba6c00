"""What a run is asked: the record that `run.json` keeps; it decides every result (no torch)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ..dynabert.options import TrainingOptions
from ..errors import InputError
from ..profiling.protocol import LatencyProtocol
from ..search.options import SearchOptions
from ..tasks.loading import TaskRequest
from ..tasks.transfer import UnlabelledFile


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Everything that a run was asked, with every option resolved.

    Attributes:
        model: The checkpoint's name: `minilm`, an absolute folder or a hub name.
        fingerprint: Of the checkpoint's config and weights.
        task: Which task, from where.
        training: How the supernet is trained.
        protocol: How latencies are measured.
        search: How sub-networks are searched.
        storage: URL of the database of ledger and studies; None for files in the run folder.
        unlabelled: Files of texts without labels, and what became of their rows.
    """

    model: str
    fingerprint: str
    task: TaskRequest
    training: TrainingOptions
    protocol: LatencyProtocol
    search: SearchOptions
    storage: str | None = None
    unlabelled: tuple[UnlabelledFile, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        record = {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "task": self.task.to_dict(),
            "training": self.training.to_dict(),
            "protocol": self.protocol.to_dict(),
            "search": self.search.to_dict(),
            "storage": self.storage,
            "unlabelled": files_record(self.unlabelled),
        }
        plain: dict[str, Any] = json.loads(json.dumps(record))
        return plain

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote.

        Raises:
            InputError: When a part is missing or unknown.
        """
        try:
            return cls(
                model=record["model"],
                fingerprint=record["fingerprint"],
                task=TaskRequest.from_dict(record["task"]),
                training=TrainingOptions.from_dict(record["training"]),
                protocol=LatencyProtocol.from_dict(record["protocol"]),
                search=SearchOptions.from_dict(record["search"]),
                storage=record.get("storage"),
                unlabelled=tuple(
                    UnlabelledFile.from_dict(path, file)
                    for path, file in record["unlabelled"].items()
                ),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"The run's record of what was asked is damaged: {error}.") from None


def files_record(files: Iterable[UnlabelledFile]) -> dict[str, Any]:
    """What `run.json` keeps of each file of unlabelled texts, by its path."""
    return {str(file.path): file.to_dict() for file in files}


def with_absolute_paths(request: TaskRequest) -> TaskRequest:
    """The same request from anywhere: its files by absolute paths."""
    return replace(
        request,
        data=request.data and request.data.resolve(),
        report_data=request.report_data and request.report_data.resolve(),
    )
