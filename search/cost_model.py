"""What any network of a space costs, before it is built (no torch).

Parameters and FLOPs are counted in closed form. What was measured is known of the networks that
were measured; of any other the latency is what a predictor says, and where there is none, and for
memory, disk and energy, a straight line through the measured networks over what it grows with:
parameters for sizes, multiply-adds for the rest. A line is relative least squares; its error is
that of leaving each network out.

Limits are held against what is likely the worst: the worse end of a measured interval, or an
estimate with a margin of `MARGIN` mean absolute errors. Of normal errors that is 1.6 standard
deviations, which one network in twenty is beyond. An estimate chooses what is scored; what is
chosen in the end is measured.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from ..errors import InputError
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from ..profiling.counts import FLOPS_PER_MAC, count_macs, count_parameters
from ..profiling.predictor import Predictor
from ..profiling.table import Profile
from .quantities import QUANTITIES

MARGIN = 2.0
"""Mean absolute errors that a limit keeps from an estimate."""

FEWEST_MEASURED = 4
"""Networks that a line needs."""

COUNTED = ("num_params", "num_flops")

Source = Literal["counted", "predicted", "fitted"]

_GROWS_WITH: Mapping[str, str] = {
    "latency_ms": "num_flops",
    "p99_ms": "num_flops",
    "energy_j": "num_flops",
    "size_bytes": "num_params",
    "peak_memory_bytes": "num_params",
}
_MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class Estimator:
    """How one quantity of a network that was not measured is known.

    Attributes:
        source: Whether it is counted, predicted or read off a line.
        error: Mean absolute relative error.
        estimate: The quantity of a network.
    """

    source: Source
    error: float
    estimate: Callable[[SubnetConfig], float]


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs.

    Attributes:
        values: By the names of `QUANTITIES`.
        judged: What limits are held against.
    """

    values: Mapping[str, float]
    judged: Mapping[str, float]


class CostModel:
    """Some costs of every network of a space.

    Attributes:
        quantities: What is known of each.
        of: The costs of a network.
        estimator: How a quantity is known of networks that were not measured; an `InputError`
            where it is not.
    """

    def __init__(
        self,
        shape: EncoderShape,
        quantities: Collection[str],
        *,
        seq_len: int,
        measured: Sequence[Profile] = (),
        predictor: Predictor | None = None,
    ) -> None:
        """Prepare to say what networks cost.

        Args:
            shape: The full model's sizes.
            quantities: What to say of each network.
            seq_len: Tokens that operations are counted for.
            measured: Networks that are cut from the full model, itself among them, with what was
                measured of them together.
            predictor: A latency predictor; one that may not be used is passed over.
        """
        self.quantities = tuple(dict.fromkeys(quantities))
        self._shape, self._seq_len = shape, seq_len
        self._measured = {entry.network.config: entry for entry in measured}
        full = self._measured.get(SubnetConfig.full(shape))
        self._full_ms = None if full is None else full.values.get("latency_ms")
        self._sequences = 1.0 if full is None else full.sequences
        usable = predictor is not None and predictor.validation.usable
        self._predictor = predictor if usable else None
        self.estimator = cache(self._estimator)
        self.of = cache(self._of)

    def _of(self, config: SubnetConfig) -> Costs:
        profile = self._measured.get(config)
        values, judged = {}, {}
        for name in self.quantities:
            if profile is not None and name in profile.values:
                values[name], judged[name] = profile.values[name], profile.judged[name]
                continue
            estimator = self.estimator(name)
            values[name] = estimator.estimate(config)
            worse = 1 + MARGIN * estimator.error
            judged[name] = (
                values[name] / worse if QUANTITIES[name].larger_is_better else values[name] * worse
            )
        return Costs(values, judged)

    def _estimator(self, name: str) -> Estimator:
        if name in COUNTED:
            return Estimator("counted", 0.0, self._counter(name))
        if name in ("throughput_per_s", "speedup"):
            time = self.estimator("latency_ms")
            per_ms = self._sequences * _MS_PER_S if name == "throughput_per_s" else self._full_ms
            assert per_ms is not None
            return Estimator(
                time.source, time.error, lambda config: per_ms / time.estimate(config)
            )
        predictor, full_ms = self._predictor, self._full_ms
        if name == "latency_ms" and predictor is not None and full_ms is not None:
            return Estimator(
                "predicted",
                predictor.validation.mape,
                lambda config: predictor.predict(config).ratio * full_ms,
            )
        known = [entry for entry in self._measured.values() if name in entry.values]
        if len(known) < FEWEST_MEASURED:
            raise InputError(
                f"The {QUANTITIES[name].word} of networks that are not measured is not known: "
                "profile the run first, or search by num_params and num_flops."
            )
        count = self._counter(_GROWS_WITH[name])
        counts = np.array([count(entry.network.config) for entry in known if entry.network.config])
        values = np.array([entry.values[name] for entry in known])
        line = _line(counts, values)
        left_out = [
            abs(_line(np.delete(counts, i), np.delete(values, i))(counts[i]) / values[i] - 1)
            for i in range(len(known))
        ]
        return Estimator("fitted", float(np.mean(left_out)), lambda config: line(count(config)))

    def _counter(self, name: str) -> Callable[[SubnetConfig], float]:
        if name == "num_params":
            return lambda config: count_parameters(self._shape, config)
        return lambda config: (
            FLOPS_PER_MAC * count_macs(self._shape, config, seq_len=self._seq_len)
        )


def _line(counts: np.ndarray, values: np.ndarray) -> Callable[[float], float]:
    """A line that rises and starts at or above 0, by least squares of relative errors."""
    from scipy.optimize import nnls

    scale = counts.max()
    rows = np.stack([np.ones_like(values), counts / scale], axis=1) / values[:, None]
    (start, slope), _ = nnls(rows, np.ones_like(values))
    return lambda count: float(start + slope * count / scale)
