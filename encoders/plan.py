"""How one transformer layer is cut: which rows and columns of which linear layer belong to what.

DynaBERT section 2.1: a narrower layer keeps the leading heads and neurons, which are rows of the
linear layers that write them and columns of those that read them. A `SlicingPlan` says this once,
as data. Elastic layers, importance, rewiring, extraction, exported networks and the counts of
parameters and multiply-adds all follow from it.

A linear layer may stack several blocks of equal rows, each cut by itself: queries, keys and
values in one, or the two inputs of a gated feed-forward network. It may have no bias. Left out
are keys and values shared by several heads, and weights whose blocks are interleaved.

The file needs no torch, so that counting needs none. It imports nothing of ours, because it is
copied as it stands into exported checkpoints.
"""

from dataclasses import dataclass
from typing import Literal

Axis = Literal["hidden", "heads", "neurons"]
"""What rows or columns are: channels of the hidden states, of head after head, or neurons."""


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """The sizes of one transformer layer, full or cut.

    Attributes:
        hidden_size: Width of the hidden states, E.
        head_size: Width of one head, D.
        heads: Attention heads, H.
        neurons: Neurons of the feed-forward network, F.
    """

    hidden_size: int
    head_size: int
    heads: int
    neurons: int

    def of(self, axis: Axis) -> int:
        """The size of an axis: E, H x D or F."""
        if axis == "hidden":
            return self.hidden_size
        return self.heads * self.head_size if axis == "heads" else self.neurons


@dataclass(frozen=True, slots=True)
class LinearPlan:
    """What the rows and columns of one linear layer are.

    Attributes:
        path: Where it is within the transformer layer.
        rows: What its outputs are; one of rows and columns is "hidden", the other is not.
        columns: What its inputs are.
        bias: Whether it has one.
        blocks: Equal blocks that its rows stack.
    """

    path: str
    rows: Axis
    columns: Axis
    bias: bool = True
    blocks: int = 1

    def __post_init__(self) -> None:
        """Check that it joins the hidden states with units, and stacks units alone."""
        if (self.rows == "hidden") == (self.columns == "hidden"):
            raise ValueError(
                f"{self.path}: either the rows or the columns are hidden, not {self.rows} and "
                f"{self.columns}"
            )
        if self.blocks < 1 or (self.blocks > 1 and self.rows == "hidden"):
            raise ValueError(f"{self.path}: hidden rows cannot stack {self.blocks} blocks")

    def num_rows(self, sizes: LayerSizes) -> int:
        """Outputs, all blocks together."""
        return self.blocks * sizes.of(self.rows)

    def num_columns(self, sizes: LayerSizes) -> int:
        """Inputs."""
        return sizes.of(self.columns)

    def num_weights(self, sizes: LayerSizes) -> int:
        """Entries of the weight matrix: the multiply-adds of one token."""
        return self.num_rows(sizes) * self.num_columns(sizes)


@dataclass(frozen=True, slots=True)
class SlicingPlan:
    """How one transformer layer is cut.

    Attributes:
        linears: Its linear layers, all of which are cut.
        norm_vectors: Vectors of the hidden size that its normalisations hold, which never are:
            a LayerNorm has two, one without bias has one.
    """

    linears: tuple[LinearPlan, ...]
    norm_vectors: int = 4

    def __post_init__(self) -> None:
        """Check that no path is given twice, and that heads and neurons are written and read."""
        if len({linear.path for linear in self.linears}) < len(self.linears):
            raise ValueError("the paths of a plan must differ")
        for side in ("rows", "columns"):
            missing = {"heads", "neurons"} - {getattr(linear, side) for linear in self.linears}
            if missing:
                raise ValueError(f"no linear layer has {', '.join(sorted(missing))} as its {side}")

    def blocks(self, name: str) -> int:
        """The blocks that the rows of a parameter stack, by its name within the layer."""
        path = name.rpartition(".")[0]
        return next((linear.blocks for linear in self.linears if linear.path == path), 1)

    def num_parameters(self, sizes: LayerSizes) -> int:
        """Parameters of the layer, its normalisations included."""
        linears = sum(
            linear.num_weights(sizes) + linear.bias * linear.num_rows(sizes)
            for linear in self.linears
        )
        return linears + self.norm_vectors * sizes.hidden_size

    def num_macs(self, sizes: LayerSizes, *, attending: int, fed: int) -> int:
        """Multiply-adds of the layer: PoWER-BERT's 4 H^2 l_{j-1} + 2 H l_{j-1}^2 + 2 H I l_j.

        Args:
            sizes: Of the layer.
            attending: Tokens that its attention sees, l_{j-1}.
            fed: Tokens that its feed-forward network sees, l_j.
        """
        linears = sum(
            linear.num_weights(sizes)
            * (attending if "heads" in (linear.rows, linear.columns) else fed)
            for linear in self.linears
        )
        return linears + 2 * attending * attending * sizes.of("heads")


_BERT = SlicingPlan(
    (
        LinearPlan("attention.self.query", "heads", "hidden"),
        LinearPlan("attention.self.key", "heads", "hidden"),
        LinearPlan("attention.self.value", "heads", "hidden"),
        LinearPlan("attention.output.dense", "hidden", "heads"),
        LinearPlan("intermediate.dense", "neurons", "hidden"),
        LinearPlan("output.dense", "hidden", "neurons"),
    )
)
_DISTILBERT = SlicingPlan(
    (
        LinearPlan("attention.q_lin", "heads", "hidden"),
        LinearPlan("attention.k_lin", "heads", "hidden"),
        LinearPlan("attention.v_lin", "heads", "hidden"),
        LinearPlan("attention.out_lin", "hidden", "heads"),
        LinearPlan("ffn.lin1", "neurons", "hidden"),
        LinearPlan("ffn.lin2", "hidden", "neurons"),
    )
)

PLANS = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "camembert": _BERT,
    "electra": _BERT,
    "distilbert": _DISTILBERT,
}
"""The plan of each family's layers, by transformers' `model_type`."""
