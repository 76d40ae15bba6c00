"""How a latency is measured: every number that the procedure of `profiling.latency` depends on.

The protocol is a record, stored with each table and printed under each latency axis, because a
latency without it means nothing. Tokenisation is excluded from all timings.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from ..deploy.deployment import Deployment
from ..errors import InputError, listed, shortened
from ..tasks.splits import MAX_SEED

FEWEST_ROUNDS = 3
"""Rounds of each process at least: the median of fewer passes disturbances on."""

MOST_PROCESSES = 12
"""Fresh processes at most: so many the interval's coverage was shown for."""

MAX_SECONDS = 30 * 24 * 3600.0
"""Of any time that measuring may take: a month."""

MAX_BATCH_TOKENS = 2**24
"""Tokens of one batch, padding included: hidden states of a gigabyte even in small models."""

STOPPING = ("min_processes", "half_width", "front_half_width", "time_budget_s", "seed")
"""Fields that decide when measuring ends and with which random numbers, not what is measured."""


_SMALLEST = {"seed": 0, "max_redos": 0, "visit_discards": 0, "rounds": FEWEST_ROUNDS}
_LARGEST = {
    "seed": MAX_SEED,
    "threads": 1024,
    "batch_size": 65_536,
    "rounds": 1000,
    "min_processes": MOST_PROCESSES,
    "max_redos": 1000,
    **dict.fromkeys(("half_width", "front_half_width"), 1.0),
    **dict.fromkeys(("time_budget_s", "visit_min_s", "warmup_min_s", "warmup_max_s"), MAX_SECONDS),
}
_MAX_WHOLE = 1_000_000
_MAX_LENGTHS = 100_000


@dataclass(frozen=True, slots=True)
class LatencyProtocol:
    """One way of measuring latency.

    Attributes:
        device: "cpu", "cuda" or "cuda:<index>".
        runtime: What runs the network: eager, compile, onnxruntime or openvino.
        precision: Number format of weights and products: fp32, bf16 or int8.
        batch_size: Sequences of one batch.
        seq_len: Tokens of each sequence, all of them attended to.
        lengths: True lengths of the sequences where they differ, shortest first; a run is then
            one pass over all of them in batches, padded to the longest of the batch, and
            `seq_len` is their mean. Empty: every sequence has `seq_len` tokens.
        threads: Threads inside one operator on the CPU. One by default: the least noisy, and how
            several replicas share a server.
        warmup_group: Runs of one warm-up group; two successive groups are compared.
        warmup_tolerance: Relative difference of the groups' medians below which a network is warm.
        warmup_min_s: Every network is warmed up at least this long.
        warmup_max_runs: Once that time is over, warm-up ends after this many runs in any case.
        warmup_max_s: It also ends in any case with the group that passes this time.
        visit_discards: Runs thrown away at the start of a visit.
        visit_min_runs: Timed runs of a visit at least.
        visit_min_s: Seconds that the timed runs of a visit sum up to at least.
        repeat_spread: A visit with a larger IQR / median is repeated once.
        invalid_spread: A visit that is still noisier than this is repeated after the round.
        drift_tolerance: A round whose sentinel visits differ by more is measured again.
        max_redos: How often one round is measured again before its steadiest attempt is kept.
        rounds: Rounds of each fresh process.
        min_processes: Fresh processes before an interval counts.
        half_width: Half of an interval, as a share of the latency, that is narrow enough.
        front_half_width: The same for the networks of the front.
        time_budget_s: Seconds that measuring may take; no process is started that would end later.
        seed: Of the visiting order and the token ids.
    """

    device: str = "cpu"
    runtime: str = "eager"
    precision: str = "fp32"
    batch_size: int = 1
    seq_len: int = 128
    lengths: tuple[int, ...] = ()
    threads: int = 1
    warmup_group: int = 5
    warmup_tolerance: float = 0.02
    warmup_min_s: float = 0.2
    warmup_max_runs: int = 50
    warmup_max_s: float = 10.0
    visit_discards: int = 3
    visit_min_runs: int = 5
    visit_min_s: float = 0.1
    repeat_spread: float = 0.10
    invalid_spread: float = 0.25
    drift_tolerance: float = 0.03
    max_redos: int = 1
    rounds: int = 3
    min_processes: int = 5
    half_width: float = 0.05
    front_half_width: float = 0.02
    time_budget_s: float = 180.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the choices and the ranges.

        Raises:
            InputError: When a field has a value that cannot be measured with.
        """
        device_type, _, index = self.device.partition(":")
        if device_type not in ("cpu", "cuda") or not re.fullmatch(r"[0-9]{0,3}", index):
            raise InputError(
                f"The device {shortened(self.device)} is not cpu, cuda or cuda:<index>."
            )
        Deployment(self.runtime, self.precision)
        if any(not 1 <= length <= _MAX_WHOLE for length in self.lengths) or list(
            self.lengths
        ) != sorted(self.lengths):
            raise InputError(
                f"The lengths must be positive and in order, not {listed(map(str, self.lengths))}."
            )
        if len(self.lengths) > _MAX_LENGTHS:
            raise InputError(
                f"{len(self.lengths):,} lengths are too many to measure: give at most "
                f"{_MAX_LENGTHS:,}."
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int:
                smallest = _SMALLEST.get(field.name, 1)
                if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
                    raise InputError(
                        f"{field.name} must be a whole number of at least {smallest}, "
                        f"not {shortened(value)}."
                    )
                self._refuse_above(field.name, _LARGEST.get(field.name, _MAX_WHOLE))
            elif field.type is float:
                if not isinstance(value, int | float) or not 0 < value < math.inf:
                    raise InputError(
                        f"{field.name} must be a positive number, not {shortened(value)}."
                    )
                self._refuse_above(field.name, _LARGEST.get(field.name, math.inf))
        longest = max(self.seq_len, *self.lengths, 1)
        if self.batch_size * longest > MAX_BATCH_TOKENS:
            raise InputError(
                f"A batch of {self.batch_size:,} sequences of {longest:,} tokens is more than "
                f"memory holds: give a batch_size of at most {MAX_BATCH_TOKENS // longest:,}, or "
                "shorter sequences."
            )

    def _refuse_above(self, name: str, largest: float) -> None:
        value = getattr(self, name)
        if value > largest:
            raise InputError(f"{name} must be at most {largest:,.10g}, not {shortened(value)}.")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Some fields as they are given; by default 1 x 128 tokens on a CPU, 128 x 128 on a GPU.

        Raises:
            InputError: When a field has a value that cannot be measured with.
        """
        on_gpu = str(given.get("device", "cpu")).startswith("cuda")
        return cls(**{"batch_size": 128 if on_gpu else 1, **given})

    @property
    def slug(self) -> str:
        """What is measured as one word, for file names.

        >>> LatencyProtocol().slug
        'cpu-eager-fp32-1x128-1t'
        """
        device = self.device.replace(":", "")
        length = f"{self.seq_len}mean" if self.lengths else self.seq_len
        size = f"{self.batch_size}x{length}"
        return f"{device}-{self.runtime}-{self.precision}-{size}-{self.threads}t"

    @property
    def title(self) -> str:
        """What is measured as one line, for axes and tables.

        >>> LatencyProtocol().title
        'batch 1 x 128 tokens, cpu, 1 thread, eager fp32'
        """
        return f"{self.setting}, {self.runtime} {self.precision}"

    @property
    def setting(self) -> str:
        """The same without the deployment, for what several deployments share.

        >>> LatencyProtocol().setting
        'batch 1 x 128 tokens, cpu, 1 thread'
        """
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        tokens = f"{self.seq_len} tokens"
        if self.lengths:
            tokens = f"{self.lengths[0]} to {self.lengths[-1]} tokens (mean {self.seq_len})"
        return f"batch {self.batch_size} x {tokens}, {self.device}, {threads}"

    @property
    def deployment(self) -> Deployment:
        """The runtime and the precision."""
        return Deployment(self.runtime, self.precision)

    @property
    def batch_lengths(self) -> tuple[tuple[int, ...], ...]:
        """The true lengths of each batch of a run, neighbours in length together.

        >>> LatencyProtocol(batch_size=2, seq_len=6, lengths=(3, 5, 10)).batch_lengths
        ((3, 5), (10,))
        """
        if not self.lengths:
            return ((self.seq_len,) * self.batch_size,)
        return tuple(
            self.lengths[start : start + self.batch_size]
            for start in range(0, len(self.lengths), self.batch_size)
        )

    def with_lengths(self, lengths: Sequence[int]) -> Self:
        """The same protocol for sequences of these lengths; `seq_len` becomes their mean."""
        return replace(
            self, lengths=tuple(sorted(lengths)), seq_len=round(sum(lengths) / len(lengths))
        )

    def differences(self, other: "LatencyProtocol") -> tuple[str, ...]:
        """Names of the fields, those of `STOPPING` aside, in which the two differ, in order."""
        names = (field.name for field in fields(self) if field.name not in STOPPING)
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))

    @property
    def measured(self) -> dict[str, Any]:
        """The fields that decide what is measured, those of `STOPPING` aside, as JSON types."""
        return {name: value for name, value in self.to_dict().items() if name not in STOPPING}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self) | {"lengths": list(self.lengths)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**{**record, "lengths": tuple(record["lengths"])})
