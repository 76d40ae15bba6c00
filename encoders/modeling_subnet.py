"""Sub-networks that are no stock models, as transformers configs and models: what all share.

DynaBERT section 2.1 keeps the leading heads and neurons of each layer. A stock config has one
number of heads, which must fill the hidden size, and one feed-forward size, so each family's file
has a config with the kept numbers per layer, and a classification model that builds the stock
layers and narrows their linear ones; with a retention configuration it also eliminates
word-vectors (`elimination`). Networks that only drop layers need nothing from here: they are stock
models.

`save_pretrained` puts the family's file and those that it imports, this one among them, beside
the weights; for that they import only torch, transformers and each other. Such a folder loads with
`trust_remote_code=True` where paretobert is not installed.
"""

from dataclasses import dataclass

from transformers import PreTrainedModel

from .elimination import eliminate
from .family import Family
from .plan import LayerSizes
from .slicing import narrow_layer

PREFIX = "paretobert-"


@dataclass(kw_only=True, repr=False)
class SubnetFields:
    """What the config of a sub-network says beyond the stock one.

    The number of heads and the feed-forward size of the stock config stay those of the full
    model: with the hidden size they fix the head size. `num_hidden_layers` counts the kept layers.

    Attributes:
        subnet_heads: Heads of each kept layer; None stands for all of them in every layer.
        subnet_neurons: Feed-forward neurons of each kept layer; None likewise.
        subnet_tokens: Word-vectors that leave each kept layer; None where all of them do.
        subnet_tokens_unit: What these count: "tokens", or "percent" of the input's own length.
        subnet_diagonal: Whether attention to itself counts for a word-vector's score.
    """

    subnet_heads: list[int] | None = None
    subnet_neurons: list[int] | None = None
    subnet_tokens: list[int] | None = None
    subnet_tokens_unit: str = "percent"
    subnet_diagonal: bool = False


def cut_down(model: PreTrainedModel, family: Family) -> None:
    """Narrow a freshly built stock model's layers and let it eliminate word-vectors, in place.

    Raises:
        ValueError: When the config has not one size per layer, or one larger than the layer.
    """
    config = model.config
    layers = family.layer_list(model)
    full_heads, full_neurons = config.num_attention_heads, family.num_neurons(config)
    heads = _sizes(config.subnet_heads, full_heads, len(layers), "subnet_heads")
    neurons = _sizes(config.subnet_neurons, full_neurons, len(layers), "subnet_neurons")
    for layer, num_heads, num_neurons in zip(layers, heads, neurons, strict=True):
        sizes = LayerSizes(
            hidden_size=config.hidden_size,
            head_size=config.hidden_size // full_heads,
            heads=num_heads,
            neurons=num_neurons,
        )
        narrow_layer(layer, family.plan, sizes)
    if config.subnet_tokens is not None:
        eliminate(
            model,
            family,
            amounts=list(config.subnet_tokens),
            unit=config.subnet_tokens_unit,
            diagonal=config.subnet_diagonal,
        )


def _sizes(sizes: list[int] | None, full: int, num_layers: int, name: str) -> list[int]:
    if sizes is None:
        return [full] * num_layers
    if len(sizes) != num_layers or not all(1 <= size <= full for size in sizes):
        raise ValueError(
            f"{name} must give each of the {num_layers} layers a size from 1 to {full}, "
            f"not {sizes}"
        )
    return sizes
