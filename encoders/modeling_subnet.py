"""Sub-networks that are no stock models, as transformers configs and models.

DynaBERT section 2.1 keeps the leading heads and neurons of each layer. A stock config has one
number of heads, which must fill the hidden size, and one feed-forward size, so each family gets a
config with the kept numbers per layer, and a classification model that builds the stock layers
and narrows their linear ones; with a retention configuration it also eliminates word-vectors
(`elimination`). Networks that only drop layers need nothing from here: they are stock models.

`register` makes the classes known to `AutoConfig` and `AutoModelForSequenceClassification`.
Importing `paretobert.encoders.extraction` does so. It also marks them so that `save_pretrained`
puts this file, `elimination.py` and `families.py` beside the weights; for that they import only
torch and transformers. Such a folder loads with `trust_remote_code=True` where paretobert is not
installed.
"""

from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    CamembertConfig,
    CamembertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from .elimination import eliminate
from .families import FAMILIES

PREFIX = "paretobert-"


class SubnetBertConfig(BertConfig):
    """A BERT whose layers have their own numbers of heads and neurons.

    `num_attention_heads` and the feed-forward size stay those of the full model: with the hidden
    size they fix the head size. `num_hidden_layers` counts the kept layers.

    Attributes:
        subnet_heads: Heads of each kept layer; None stands for all of them in every layer.
        subnet_neurons: Feed-forward neurons of each kept layer; None likewise.
        subnet_tokens: Word-vectors that leave each kept layer; None where all of them do.
        subnet_tokens_unit: What these count: "tokens", or "percent" of the input's own length.
        subnet_diagonal: Whether attention to itself counts for a word-vector's score.
    """

    model_type = f"{PREFIX}bert"
    subnet_heads: list[int] | None = None
    subnet_neurons: list[int] | None = None
    subnet_tokens: list[int] | None = None
    subnet_tokens_unit: str = "percent"
    subnet_diagonal: bool = False


class SubnetRobertaConfig(RobertaConfig):
    """A RoBERTa whose layers have their own sizes; fields as in `SubnetBertConfig`."""

    model_type = f"{PREFIX}roberta"
    subnet_heads: list[int] | None = None
    subnet_neurons: list[int] | None = None
    subnet_tokens: list[int] | None = None
    subnet_tokens_unit: str = "percent"
    subnet_diagonal: bool = False


class SubnetXLMRobertaConfig(XLMRobertaConfig):
    """An XLM-RoBERTa whose layers have their own sizes; fields as in `SubnetBertConfig`."""

    model_type = f"{PREFIX}xlm-roberta"
    subnet_heads: list[int] | None = None
    subnet_neurons: list[int] | None = None
    subnet_tokens: list[int] | None = None
    subnet_tokens_unit: str = "percent"
    subnet_diagonal: bool = False


class SubnetCamembertConfig(CamembertConfig):
    """A CamemBERT whose layers have their own sizes; fields as in `SubnetBertConfig`."""

    model_type = f"{PREFIX}camembert"
    subnet_heads: list[int] | None = None
    subnet_neurons: list[int] | None = None
    subnet_tokens: list[int] | None = None
    subnet_tokens_unit: str = "percent"
    subnet_diagonal: bool = False


class SubnetElectraConfig(ElectraConfig):
    """An ELECTRA whose layers have their own sizes; fields as in `SubnetBertConfig`."""

    model_type = f"{PREFIX}electra"
    subnet_heads: list[int] | None = None
    subnet_neurons: list[int] | None = None
    subnet_tokens: list[int] | None = None
    subnet_tokens_unit: str = "percent"
    subnet_diagonal: bool = False


class SubnetDistilBertConfig(DistilBertConfig):
    """A DistilBERT whose layers have their own sizes; fields as in `SubnetBertConfig`."""

    model_type = f"{PREFIX}distilbert"
    subnet_heads: list[int] | None = None
    subnet_neurons: list[int] | None = None
    subnet_tokens: list[int] | None = None
    subnet_tokens_unit: str = "percent"
    subnet_diagonal: bool = False


class SubnetBertForSequenceClassification(BertForSequenceClassification):
    """BERT with a classification head and layers of their own sizes."""

    config_class = SubnetBertConfig

    def __init__(self, config: SubnetBertConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self)


class SubnetRobertaForSequenceClassification(RobertaForSequenceClassification):
    """RoBERTa with a classification head and layers of their own sizes."""

    config_class = SubnetRobertaConfig

    def __init__(self, config: SubnetRobertaConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self)


class SubnetXLMRobertaForSequenceClassification(XLMRobertaForSequenceClassification):
    """XLM-RoBERTa with a classification head and layers of their own sizes."""

    config_class = SubnetXLMRobertaConfig

    def __init__(self, config: SubnetXLMRobertaConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self)


class SubnetCamembertForSequenceClassification(CamembertForSequenceClassification):
    """CamemBERT with a classification head and layers of their own sizes."""

    config_class = SubnetCamembertConfig

    def __init__(self, config: SubnetCamembertConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self)


class SubnetElectraForSequenceClassification(ElectraForSequenceClassification):
    """ELECTRA with a classification head and layers of their own sizes."""

    config_class = SubnetElectraConfig

    def __init__(self, config: SubnetElectraConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self)


class SubnetDistilBertForSequenceClassification(DistilBertForSequenceClassification):
    """DistilBERT with a classification head and layers of their own sizes."""

    config_class = SubnetDistilBertConfig

    def __init__(self, config: SubnetDistilBertConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self)


SUBNET_CLASSES: dict[str, tuple[type[PreTrainedConfig], type[PreTrainedModel]]] = {
    "bert": (SubnetBertConfig, SubnetBertForSequenceClassification),
    "roberta": (SubnetRobertaConfig, SubnetRobertaForSequenceClassification),
    "xlm-roberta": (SubnetXLMRobertaConfig, SubnetXLMRobertaForSequenceClassification),
    "camembert": (SubnetCamembertConfig, SubnetCamembertForSequenceClassification),
    "electra": (SubnetElectraConfig, SubnetElectraForSequenceClassification),
    "distilbert": (SubnetDistilBertConfig, SubnetDistilBertForSequenceClassification),
}


def register() -> None:
    """Make the classes known to transformers' Auto classes; a second call changes nothing."""
    for config_class, model_class in SUBNET_CLASSES.values():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoModelForSequenceClassification.register(config_class, model_class, exist_ok=True)
        config_class.register_for_auto_class()
        model_class.register_for_auto_class("AutoModelForSequenceClassification")


def cut_down(model: PreTrainedModel) -> None:
    """Narrow a freshly built stock model's layers and let it eliminate word-vectors, in place.

    Raises:
        ValueError: When the config has not one size per layer, or one larger than the layer.
    """
    narrow(model)
    config = model.config
    if config.subnet_tokens is not None:
        eliminate(
            model,
            FAMILIES[config.model_type.removeprefix(PREFIX)],
            amounts=list(config.subnet_tokens),
            unit=config.subnet_tokens_unit,
            diagonal=config.subnet_diagonal,
        )


def narrow(model: PreTrainedModel) -> None:
    """Cut a freshly built stock model's layers, in place, to the sizes in its config.

    Raises:
        ValueError: When the config has not one size per layer, or one larger than the layer.
    """
    config = model.config
    family = FAMILIES[config.model_type.removeprefix(PREFIX)]
    layers = family.layer_list(model)
    full_heads, full_neurons = (
        config.num_attention_heads,
        getattr(config, family.ffn_size_attribute),
    )
    head_size = config.hidden_size // full_heads
    heads = _sizes(config.subnet_heads, full_heads, len(layers), "subnet_heads")
    neurons = _sizes(config.subnet_neurons, full_neurons, len(layers), "subnet_neurons")
    for layer, num_heads, num_neurons in zip(layers, heads, neurons, strict=True):
        projections = family.projections(layer)
        for linear in (projections.query, projections.key, projections.value):
            _keep_leading(linear, rows=num_heads * head_size, columns=linear.in_features)
        for linear, rows, columns in (
            (projections.attention_output, config.hidden_size, num_heads * head_size),
            (projections.ffn_in, num_neurons, config.hidden_size),
            (projections.ffn_out, config.hidden_size, num_neurons),
        ):
            _keep_leading(linear, rows=rows, columns=columns)


def _sizes(sizes: list[int] | None, full: int, num_layers: int, name: str) -> list[int]:
    if sizes is None:
        return [full] * num_layers
    if len(sizes) != num_layers or not all(1 <= size <= full for size in sizes):
        raise ValueError(
            f"{name} must give each of the {num_layers} layers a size from 1 to {full}, "
            f"not {sizes}"
        )
    return sizes


def _keep_leading(linear: nn.Linear, *, rows: int, columns: int) -> None:
    linear.weight = nn.Parameter(linear.weight.detach()[:rows, :columns].clone())
    linear.bias = nn.Parameter(linear.bias.detach()[:rows].clone())
    linear.out_features, linear.in_features = rows, columns
