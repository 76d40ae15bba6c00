"""RoBERTa, XLM-RoBERTa and CamemBERT: one architecture under three names, and narrow networks.

The layers are BERT's; positions are counted from behind the padding's id, and the head reads the
hidden states itself. The file imports only torch, transformers and files that do so too, because
it is copied as it stands into exported checkpoints.
"""

from transformers import (
    CamembertConfig,
    CamembertForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from .bert import PARTS, attend, feed_forward
from .family import Family, classifier_head
from .modeling_subnet import PREFIX, SubnetFields, cut_down


class SubnetRobertaConfig(SubnetFields, RobertaConfig):
    """A RoBERTa whose layers have their own sizes."""

    model_type = f"{PREFIX}roberta"


class SubnetRobertaForSequenceClassification(RobertaForSequenceClassification):
    """RoBERTa with a classification head and layers of their own sizes."""

    config_class = SubnetRobertaConfig

    def __init__(self, config: SubnetRobertaConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self, ROBERTA)


class SubnetXLMRobertaConfig(SubnetFields, XLMRobertaConfig):
    """An XLM-RoBERTa whose layers have their own sizes."""

    model_type = f"{PREFIX}xlm-roberta"


class SubnetXLMRobertaForSequenceClassification(XLMRobertaForSequenceClassification):
    """XLM-RoBERTa with a classification head and layers of their own sizes."""

    config_class = SubnetXLMRobertaConfig

    def __init__(self, config: SubnetXLMRobertaConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self, XLM_ROBERTA)


class SubnetCamembertConfig(SubnetFields, CamembertConfig):
    """A CamemBERT whose layers have their own sizes."""

    model_type = f"{PREFIX}camembert"


class SubnetCamembertForSequenceClassification(CamembertForSequenceClassification):
    """CamemBERT with a classification head and layers of their own sizes."""

    config_class = SubnetCamembertConfig

    def __init__(self, config: SubnetCamembertConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self, CAMEMBERT)


def _family(
    model_type: str,
    *,
    subnet_config: type[PreTrainedConfig],
    subnet_model: type[PreTrainedModel],
) -> Family:
    return Family(
        model_type=model_type,
        backbone="roberta",
        layers="roberta.encoder.layer",
        embedding_inputs=("input_ids", "token_type_ids"),
        neurons_name="intermediate_size",
        norms=("attention.output.LayerNorm", "output.LayerNorm"),
        parts=PARTS,
        positions_after_padding=True,
        subnet_config=subnet_config,
        subnet_model=subnet_model,
        head=classifier_head,
        attend=attend,
        feed_forward=feed_forward,
    )


ROBERTA = _family(
    "roberta",
    subnet_config=SubnetRobertaConfig,
    subnet_model=SubnetRobertaForSequenceClassification,
)
XLM_ROBERTA = _family(
    "xlm-roberta",
    subnet_config=SubnetXLMRobertaConfig,
    subnet_model=SubnetXLMRobertaForSequenceClassification,
)
CAMEMBERT = _family(
    "camembert",
    subnet_config=SubnetCamembertConfig,
    subnet_model=SubnetCamembertForSequenceClassification,
)
