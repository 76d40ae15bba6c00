"""The supported architecture families, and what is read from a transformers config by them.

A family is a file with its record and the classes of its narrow networks, the paths of its linear
layers in `plan`, and an entry here. `register` makes the classes known to `AutoConfig` and
the class of each head; importing `paretobert.encoders.extraction` does so.
"""

from transformers import (
    AutoConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..networks.shape import EncoderShape
from ..tasks.heads import HEADS
from .bert import BERT
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .family import Family
from .heads import auto_model
from .modeling_subnet import PREFIX
from .roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, ELECTRA, DISTILBERT)
}


def family_of(model_or_config: PreTrainedModel | PreTrainedConfig) -> Family:
    """Return the family of a stock model or of its config.

    Raises:
        ValueError: When the model type is not supported, or the model is a decoder.
    """
    if isinstance(model_or_config, PreTrainedModel):
        return family_of(model_or_config.config)
    return _encoder_family(model_or_config, model_or_config.model_type)


def shape_of(config: PreTrainedConfig) -> EncoderShape:
    """Read the sizes of the full model from a config, also from that of a narrow network.

    Raises:
        ValueError: When the family is not supported, or the model is a decoder.
    """
    family = _encoder_family(config, config.model_type.removeprefix(PREFIX))
    hidden_size, num_heads = config.hidden_size, config.num_attention_heads
    return EncoderShape(
        family=family.model_type,
        num_layers=config.num_hidden_layers,
        num_heads=num_heads,
        head_size=hidden_size // num_heads,
        hidden_size=hidden_size,
        ffn_size=family.num_neurons(config),
        embedding_size=getattr(config, "embedding_size", hidden_size),
        vocab_size=config.vocab_size,
        num_positions=config.max_position_embeddings,
        num_token_types=getattr(config, "type_vocab_size", 0),
        num_labels=config.num_labels or 1,
    )


def register() -> None:
    """Make the narrow networks' classes known to transformers; a second call changes nothing.

    `save_pretrained` then puts the files that the classes need beside the weights.
    """
    for family in FAMILIES.values():
        config_class, model_class = family.subnet_config, family.subnet_model
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        config_class.register_for_auto_class()
        for head in HEADS.values():
            auto_model(head).register(config_class, model_class, exist_ok=True)
            model_class.register_for_auto_class(head.auto_class)


def _encoder_family(config: PreTrainedConfig, model_type: str) -> Family:
    if model_type not in FAMILIES:
        raise ValueError(
            f"The model type {model_type!r} is not supported; supported are "
            f"{', '.join(sorted(FAMILIES))}."
        )
    if getattr(config, "is_decoder", False):
        raise ValueError(
            f"This {model_type} model is a decoder (its config has is_decoder=true); "
            "only encoders are supported."
        )
    return FAMILIES[model_type]
