"""What an answer is told apart by: a second timing, beside its rivals, in fresh processes.

The fastest of many timings is a lucky one. So whatever a search returns or a query answers is
timed again, and every network whose number stands beside it is timed with it, in one session:
numbers of two sessions are never set side by side. Sessions go to `deliveries.jsonl`, so that the
same answer is given at once the next time, without torch.
"""

import logging
import tempfile
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import InputError
from ..profiling.environment import Environment
from ..profiling.quietness import disturbances
from ..profiling.statistics import NoiseReport, Session
from ..profiling.table import LatencySummary, LookupTable
from ..storage import read_records

if TYPE_CHECKING:
    from ..profiling.measuring import MeasuringProgress

logger = logging.getLogger(__name__)

DECIDING = 2.0
"""Times the protocol's time budget that a second timing may take on top, where an interval
straddles the limit that it is held against."""


@dataclass(frozen=True, slots=True)
class Retiming:
    """One session in which networks were timed again together.

    Attributes:
        slug: The latency protocol, as one word.
        latencies: By the network's key; the full model's is among them.
        noise: What the noise guards did.
        time_budget_s: Seconds that it could take.
        spent: Whether it was measured longer to decide something.
    """

    slug: str
    latencies: Mapping[str, LatencySummary]
    noise: NoiseReport
    time_budget_s: float
    spent: bool

    def serves(self, table: LookupTable, keys: Collection[str]) -> bool:
        """Whether it has all of some networks, measured as long as the table asks for."""
        resolved = all(entry.resolved for entry in self.latencies.values())
        enough = resolved or self.time_budget_s >= table.protocol.time_budget_s
        return enough and set(keys) <= set(self.latencies)

    @property
    def disturbances(self) -> tuple[str, ...]:
        """What forbids to take the latencies at their word; none on a quiet machine."""
        return disturbances(self.noise, [entry.resolved for entry in self.latencies.values()])

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "slug": self.slug,
            "latencies": {key: entry.to_dict() for key, entry in self.latencies.items()},
            "noise": self.noise.to_dict(),
            "time_budget_s": self.time_budget_s,
            "spent": self.spent,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(
            slug=record["slug"],
            latencies={
                key: LatencySummary.from_dict(entry) for key, entry in record["latencies"].items()
            },
            noise=NoiseReport.from_dict(record["noise"]),
            time_budget_s=record["time_budget_s"],
            spent=record["spent"],
        )


def read_retimings(path: Path, *, slug: str) -> list[Retiming]:
    """Read the sessions of one protocol so far, the latest first; none where there is no file.

    Raises:
        InputError: When the file is damaged; the message names it.
    """
    try:
        found = [Retiming.from_dict(record) for record in read_records(path)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {error}): delete it to have answers "
            "timed again."
        ) from None
    return [entry for entry in reversed(found) if entry.slug == slug]


def time_again(
    keys: Collection[str],
    *,
    table: LookupTable,
    padding_id: int | None,
    write: Callable[[str, Path], None],
    decided: Callable[[Mapping[str, LatencySummary]], bool] = lambda latencies: True,
    progress: "Callable[[MeasuringProgress], None] | None" = None,
) -> Retiming:
    """Time networks again beside the full model, by the table's protocol, in new processes.

    Where that does not decide what the latencies are for, measuring goes on to its end, and is
    then judged once: looking after every process would choose a lucky one.

    Args:
        keys: The networks' keys; the full model is timed in any case.
        table: The cost table that they were chosen by.
        padding_id: The model's padding token.
        write: Writes the network of a key as deployed into a new folder.
        decided: Whether latencies decide what they are for.
        progress: Is told after every visit how far measuring has come.

    Raises:
        InputError: When the protocol's device is absent.
    """
    from ..profiling.fresh import FreshProcesses, Written
    from ..profiling.measuring import measure

    _warn_of_another_machine(table)
    protocol, full, name = table.protocol, table.full.config.key, uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as scratch:
        subjects = {
            key: Written(Path(scratch) / str(place))
            for place, key in enumerate(dict.fromkeys((full, *keys)))
        }
        for key, subject in subjects.items():
            write(key, subject.folder)
        fresh = FreshProcesses(
            subjects,
            protocol,
            sentinel=full,
            vocab_size=table.shape.vocab_size,
            padding_id=padding_id,
        )
        session = measure(
            fresh,
            protocol,
            networks=subjects,
            sentinel=full,
            name=name,
            progress=progress,
        )
        spent = not decided(_latencies(session))
        if spent:
            logger.info("The second timing does not decide yet: measuring longer")
            session = measure(
                fresh,
                replace(protocol, time_budget_s=DECIDING * protocol.time_budget_s),
                networks=subjects,
                sentinel=full,
                name=name,
                finished=session.processes,
                enough=lambda so_far: False,
                progress=progress,
            )
    return Retiming(
        protocol.slug, _latencies(session), session.noise, protocol.time_budget_s, spent
    )


def _latencies(session: Session) -> dict[str, LatencySummary]:
    return {name: LatencySummary.from_measurement(session[name]) for name in session.networks}


def _warn_of_another_machine(table: LookupTable) -> None:
    here = Environment.capture(device=table.protocol.device, runtime=table.protocol.runtime)
    changed = table.environment.differences(here)
    if changed:
        logger.warning(
            "The cost table was measured elsewhere (%s differ): the latency measured again "
            "is this machine's.",
            ", ".join(changed),
        )
