"""A sub-network as a dense model of its own.

DynaBERT section 2.1: after rewiring, a narrower layer is the leading rows and columns of the full
one, and a shallower network some of its layers. The dense copy is what is scored, timed, counted
and exported; with a retention configuration it eliminates word-vectors by itself. Where only
layers are dropped it is a stock transformers model, else of its family's class for narrow
networks, which importing this module registers with transformers.
"""

import copy

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from ..networks.retention import Retention
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from .families import family_of, register, shape_of
from .family import Family
from .modeling_subnet import PREFIX
from .slicing import leading

register()


def extract(
    model: PreTrainedModel, config: SubnetConfig, *, diagonal: bool = False
) -> PreTrainedModel:
    """Return a dense copy of the sub-network `config` of a full classification model.

    Args:
        model: A stock sequence-classification model, or a supernet's; it stays as it is.
        config: Which layers, heads and neurons to keep, and how many word-vectors.
        diagonal: Whether a word-vector's attention to itself counts for its score.

    Returns:
        A model in evaluation mode that shares no memory with `model`, of its dtype, on its device,
        with its labels and attention implementation.

    Raises:
        InputError: When `config` is larger than the model.
        ValueError: When the model's family is not supported.
    """
    family = family_of(model)
    shape = shape_of(model.config)
    config.validate_for(shape)
    full_width = set(config.heads) == {shape.num_heads} and set(config.neurons) == {shape.ffn_size}
    if full_width and config.tokens is None:
        model_class, dense_config = type(model), copy.deepcopy(model.config)
    else:
        config_class, model_class = family.subnet_config, family.subnet_model
        dense_config = _narrow_config(config_class, model.config, config, diagonal=diagonal)
    dense_config.num_hidden_layers = config.num_layers
    dense_config.architectures = [model_class.__name__]
    dense_config.dtype = model.dtype
    with torch.device("meta"):
        dense: PreTrainedModel = model_class(dense_config)
    full_state = model.state_dict()
    dense.load_state_dict(
        {
            name: _cut(full_state[_full_name(name, family, config)], name, target, family)
            for name, target in dense.state_dict().items()
        },
        assign=True,
    )
    _copy_unsaved_buffers(model, dense)
    dense.eval()
    return dense


def architecture_of(config: PreTrainedConfig) -> tuple[EncoderShape, SubnetConfig]:
    """The sizes and the kept integers of any network that can be loaded, from its config.

    Args:
        config: Of a stock model of a supported family, or of a network cut from one.

    Returns:
        The shape of a model with so many layers, and what the network keeps of it.

    Raises:
        ValueError: When the family is not supported.
    """
    shape = shape_of(config)
    full = SubnetConfig.full(shape)
    if not config.model_type.startswith(PREFIX):
        return shape, full
    tokens = config.subnet_tokens
    return shape, SubnetConfig(
        layers=full.layers,
        heads=tuple(config.subnet_heads or full.heads),
        neurons=tuple(config.subnet_neurons or full.neurons),
        tokens=None if tokens is None else Retention(tuple(tokens), config.subnet_tokens_unit),
    )


def _narrow_config(
    config_class: type[PreTrainedConfig],
    full: PreTrainedConfig,
    config: SubnetConfig,
    *,
    diagonal: bool,
) -> PreTrainedConfig:
    settings = full.to_dict() | {
        "model_type": config_class.model_type,
        "name_or_path": full.name_or_path,
        "attn_implementation": full._attn_implementation,
        "num_hidden_layers": config.num_layers,
        "subnet_heads": list(config.heads),
        "subnet_neurons": list(config.neurons),
    }
    if config.tokens is not None:
        settings |= {
            "subnet_tokens": list(config.tokens.amounts),
            "subnet_tokens_unit": config.tokens.unit,
            "subnet_diagonal": diagonal,
        }
    return config_class.from_dict(settings)


def _full_name(name: str, family: Family, config: SubnetConfig) -> str:
    """Translate a tensor's name in the dense model into its name in the full one."""
    prefix = f"{family.layers}."
    if not name.startswith(prefix):
        return name
    index, _, rest = name.removeprefix(prefix).partition(".")
    return f"{prefix}{config.layers[int(index)]}.{rest}"


def _cut(full: Tensor, name: str, target: Tensor, family: Family) -> Tensor:
    """Copy the leading part of a parameter of the full model that has the shape of `target`."""
    prefix = f"{family.layers}."
    within = name.removeprefix(prefix).partition(".")[2]
    blocks = family.plan.blocks(within) if name.startswith(prefix) else 1
    part = leading(full, target.shape, blocks=blocks)
    return part.clone(memory_format=torch.contiguous_format)


def _copy_unsaved_buffers(model: PreTrainedModel, dense: PreTrainedModel) -> None:
    """Fill the buffers that no state dict holds: the position and token-type ids."""
    for name, _ in list(dense.named_buffers()):
        owner, _, attribute = name.rpartition(".")
        setattr(dense.get_submodule(owner), attribute, model.get_buffer(name).clone())
