"""The two halves of a transformer layer, and the projection that each of them ends with.

Each half adds what its projection writes to the hidden states that it reads; a normalisation
follows. The projections are the linear layers that the plan says read heads and neurons.

Legend: B batch, T tokens, E hidden size, I inputs of a projection.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from torch import Tensor, nn

from ..encoders.family import Family
from ..encoders.plan import Axis
from ..encoders.slicing import linears

Half = Literal["attention", "feed-forward"]
HALVES: tuple[Half, ...] = ("attention", "feed-forward")
"""In the order in which a layer runs them."""

_UNITS: dict[Half, Axis] = {"attention": "heads", "feed-forward": "neurons"}


def projection(layer: nn.Module, family: Family, half: Half) -> nn.Linear:
    """The linear layer that ends a half of a layer."""
    units = _UNITS[half]
    return next(linear for linear, axes in linears(layer, family.plan) if axes.columns == units)


def readers(layer: nn.Module, family: Family, half: Half) -> list[nn.Linear]:
    """The linear layers of a half that read the hidden states."""
    units = _UNITS[half]
    return [linear for linear, axes in linears(layer, family.plan) if axes.rows == units]


def normalisation(layer: nn.Module, family: Family, half: Half) -> nn.Module:
    """What follows a half's projection and residual."""
    return layer.get_submodule(family.norms[HALVES.index(half)])


def run_half(
    layer: nn.Module, family: Family, half: Half
) -> Callable[[Tensor, Tensor | None], Tensor]:
    """A half of a layer, from hidden states [B, T, E] and the mask to hidden states [B, T, E]."""
    if half == "attention":
        return lambda hidden, mask: family.attend(layer, hidden, mask)[0]
    return lambda hidden, mask: family.feed_forward(layer, hidden)


class Written:
    """What a projection wrote, [B, T, E], when it last ran."""

    output: Tensor


@contextmanager
def recorded(linear: nn.Linear) -> Iterator[Written]:
    """Note what a linear layer writes inside the block."""
    written = Written()

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        written.output = output

    handle = linear.register_forward_hook(note)
    try:
        yield written
    finally:
        handle.remove()


class Passed(NamedTuple):
    """A half that hidden states have passed; all tensors are [B, T, E].

    Attributes:
        layer: The number of its layer.
        half: Which one.
        read: The states in front of it.
        written: What its projection adds to them.
        left: The states behind its normalisation.
    """

    layer: int
    half: Half
    read: Tensor
    written: Tensor
    left: Tensor


def passed(
    layers: nn.ModuleList, family: Family, hidden: Tensor, mask: Tensor | None
) -> Iterator[Passed]:
    """Run hidden states [B, T, E] through the halves of all layers, one after the other."""
    for index, layer in enumerate(layers):
        for half in HALVES:
            with recorded(projection(layer, family, half)) as written:
                left = run_half(layer, family, half)(hidden, mask)
            yield Passed(index, half, hidden, written.output, left)
            hidden = left


class _Reached(Exception):
    """Ends a run at the layer whose inputs were wanted."""


def read_by(linear: nn.Linear, run: Callable[[], object]) -> Tensor:
    """What a linear layer reads, [B, T, I], in a run that goes as far as there and no further.

    Raises:
        ValueError: When the run does not come by it.
    """
    found: list[Tensor] = []

    def stop(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0])
        raise _Reached

    handle = linear.register_forward_pre_hook(stop)
    try:
        run()
    except _Reached:
        return found[0]
    finally:
        handle.remove()
    raise ValueError("the run did not come by the layer")
