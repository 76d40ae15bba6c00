"""Optimal Subarchitecture Extraction: the best of a candidate set by size, speed and error.

The candidates that stand for a block are trained one after the other. Every error is kept in the
ledger as soon as it is known, under a hash of everything that decides it. A killed call goes on
with the candidate that it was at, and a call with another epsilon, another set or other ways to
measure trains only what was never trained.

    ledger.db           errors and latencies; the candidates of a run use the run's own ledger
    extraction.json     what was asked, the blocks, and the ranking with its terms
    ranking.csv         the ranking
    figure.png, .svg    W over the set, and the winner's terms beside its neighbours'
    winner/             its configuration, as transformers loads it, the tokenizer, network.json
"""

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...bort.options import EXTRACTION_FILE, SurrogateError
from ...errors import InputError
from ...networks.network import Network
from ...search.ose import Extraction, Point, blocks_of, extract, maximum_point, to_train
from ...storage import folder as atomic_folder
from ...storage import refuse_destination, write_json, write_text
from ..contest import Architectures, Contest, OseRequest, SubNetworks
from ..context import Context
from ..folder import RunFolder, versions
from ..ledger import Ledger

if TYPE_CHECKING:
    from ...profiling.measuring import MeasuringProgress
    from ...training.loop import TrainingProgress

RUN = "ose"
"""What a ledger beside no run is called."""

STAGE = "train"


@dataclass(frozen=True, slots=True)
class Extracted:
    """What the extraction found, and where it lies.

    Attributes:
        folder: Its files.
        request: What was asked.
        points: Every candidate of the set with its sizes.
        extraction: The blocks and the ranking.
        winner: The best candidate.
        seconds: Training time of the errors in the ranking, of earlier calls too.
    """

    folder: Path
    request: OseRequest
    points: tuple[Point, ...]
    extraction: Extraction[float]
    winner: Network
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """What was asked and found, as JSON types."""
        maximum = self.extraction.maximum
        return {
            "request": self.request.to_dict(),
            "versions": versions(),
            "candidates": len(self.points),
            "maximum": {"params": maximum.params, "inference": maximum.inference},
            "blocks": [list(block) for block in self.extraction.blocks],
            "seconds": round(self.seconds, 2),
            "ranking": [entry.to_dict() for entry in self.extraction.ranking],
            "winner": {"id": self.winner.id, **self.winner.to_dict()},
        }


def extract_architecture(
    folder: Path,
    request: OseRequest,
    *,
    progress: "Callable[[TrainingProgress], None] | None" = None,
    timing: "Callable[[MeasuringProgress], None] | None" = None,
) -> Extracted:
    """Choose among a candidate set, or go on where an earlier call stopped.

    Args:
        folder: Where everything is kept; made when missing.
        request: What is asked.
        progress: Is called after every training step.
        timing: Is called after every visit to a candidate that is measured.

    Raises:
        InputError: When the folder holds something else, or the set, the model, the task or a
            text file is refused.
    """
    _refuse_folder(folder)
    contest = _contest(folder, request)
    points = contest.points(timing)
    trained = to_train(blocks_of(points, request.epsilon), maximum_point(points))
    errors = _Errors(contest, request, total=len(trained), progress=progress)
    extraction = extract(points, epsilon=request.epsilon, thetas=request.rates, error=errors.of)
    found = Extracted(
        folder,
        request,
        tuple(points),
        extraction,
        contest.networks[extraction.winner.point.name],
        errors.seconds,
    )
    _write(found, contest)
    return found


class _Errors:
    """The errors of candidates: looked up, or found and kept."""

    def __init__(
        self,
        contest: Contest,
        request: OseRequest,
        *,
        total: int,
        progress: "Callable[[TrainingProgress], None] | None",
    ) -> None:
        import torch

        from ...training.precision import matmul_dtype

        self.seconds = 0.0
        self._contest, self._options = contest, request.error
        self._total = total * len(request.rates)
        self._done, self._progress = 0, progress
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = matmul_dtype(request.error.precision, self._device)
        dtype = str(self._dtype).removeprefix("torch.")
        self._conditions = {
            rate: contest.conditions(request.error, rate, dtype=dtype) for rate in request.rates
        }
        self._known = {
            rate: contest.ledger.errors(conditions=conditions)
            for rate, conditions in self._conditions.items()
        }

    def of(self, point: Point, rate: float) -> float:
        """The error of a candidate that is trained at a rate."""
        network = self._contest.networks[point.name]
        error = self._known[rate].get(network.id)
        if error is None:
            error = self._found(point.name, rate)
            self._contest.ledger.add_network(network)
            self._contest.ledger.add_error(network.id, error, conditions=self._conditions[rate])
        self._done += 1
        self.seconds += error.seconds
        return error.loss

    def _found(self, name: str, rate: float) -> SurrogateError:
        from ...bort.training import surrogate_loss

        started = time.perf_counter()
        loss = surrogate_loss(
            self._contest.build(name),
            self._contest.lesson,
            self._options,
            learning_rate=rate,
            device=self._device,
            dtype=self._dtype,
            progress=lambda step: self._tell(step, time.perf_counter() - started),
        )
        return SurrogateError(loss, time.perf_counter() - started)

    def _tell(self, step: int, seconds: float) -> None:
        if self._progress is None:
            return
        from ...training.loop import TrainingProgress

        steps = self._options.steps
        self._progress(
            TrainingProgress(
                STAGE,
                self._done * steps + step,
                self._total * steps,
                float("nan"),
                step * self._options.batch_size / seconds,
            )
        )


def _refuse_folder(folder: Path) -> None:
    refuse_destination(folder)
    known = RunFolder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        others = known.manifest.exists() or not (
            known.ledger.exists() or (folder / EXTRACTION_FILE).exists()
        )
        if others:
            raise InputError(
                f"{folder} exists and is not a folder of `paretobert ose`: give a new or empty "
                "folder."
            )


def _contest(folder: Path, request: OseRequest) -> Contest:
    if request.is_run:
        return SubNetworks(request, Context.open(RunFolder(Path(request.space))))
    # The set, the model, the task and the texts are checked before anything is written.
    contest = Architectures(request)
    contest.ledger = Ledger.open(RunFolder(folder).ledger, run=RUN)
    return contest


def _write(found: Extracted, contest: Contest) -> None:
    from ...reports.figures.extraction import extraction_figure

    write_json(found.folder / EXTRACTION_FILE, found.to_dict())
    with atomic_folder(found.folder / "winner") as winner:
        contest.config(found.extraction.winner.point.name).save_pretrained(winner)
        contest.tokenizer.save_pretrained(winner)
        write_json(winner / "network.json", {"id": found.winner.id, **found.winner.to_dict()})
    figure = extraction_figure(found.extraction, candidates=len(found.points))
    for ending in ("png", "svg"):
        figure.save(found.folder / f"figure.{ending}")
    write_text(found.folder / "ranking.csv", ranking_csv(found.extraction))


def ranking_csv(extraction: Extraction[float]) -> str:
    """The ranking as a table; a diverged training's error is empty, and so is one that was not."""
    text = io.StringIO()
    records = [entry.to_dict() for entry in extraction.ranking]
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
