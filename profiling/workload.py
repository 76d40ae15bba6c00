"""What encoders cost on a task's own texts, and targets in these terms (no torch).

A target speed-up is how many times fewer multiply-adds the encoder is to have than the full
model's, over texts of the lengths that the task's training texts have. Embeddings and head, which
no method changes, are left out, as PoWER-BERT's targets have it. It is no latency: what a network
takes on a machine is measured.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from .counts import Rates, count_encoder_macs, mac_rates


@dataclass(frozen=True)
class Workload:
    """Texts of a task, as far as costs depend on them.

    Attributes:
        shape: The full model's sizes.
        histogram: The texts' lengths in tokens, each with the number of its texts.
    """

    shape: EncoderShape
    histogram: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, shape: EncoderShape, lengths: Iterable[int]) -> Self:
        """The texts of so many tokens each."""
        return cls(shape, tuple(sorted(Counter(lengths).items())))

    @cached_property
    def rates(self) -> Rates:
        """What a layer, a head and a neuron of the full model cost over all texts."""
        rates = [(mac_rates(self.shape, length), number) for length, number in self.histogram]
        return Rates(
            sum(rate.per_layer * number for rate, number in rates),
            sum(rate.per_head * number for rate, number in rates),
            sum(rate.per_neuron * number for rate, number in rates),
        )

    @cached_property
    def full(self) -> int:
        """Multiply-adds of the full model's encoder over all texts."""
        return self.macs(self.shape, SubnetConfig.full(self.shape))

    def macs(self, shape: EncoderShape, config: SubnetConfig) -> int:
        """Multiply-adds of an encoder over all texts.

        Args:
            shape: The sizes that `config` refers to.
            config: What the network keeps of a model of these.
        """
        return sum(
            number * count_encoder_macs(shape, config, seq_len=length)
            for length, number in self.histogram
        )

    def speedup(self, shape: EncoderShape, config: SubnetConfig) -> float:
        """How many times fewer multiply-adds it has than the full model's; see `macs`."""
        return self.full / self.macs(shape, config)
