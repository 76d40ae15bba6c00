"""ELECTRA: BERT's layers, embeddings of their own width, and its narrow networks.

The file imports only torch, transformers and files that do so too, because it is copied as it
stands into exported checkpoints.
"""

from transformers import ElectraConfig, ElectraForSequenceClassification

from .bert import PARTS, attend, feed_forward
from .family import Family, classifier_head
from .modeling_subnet import PREFIX, SubnetFields, cut_down


class SubnetElectraConfig(SubnetFields, ElectraConfig):
    """An ELECTRA whose layers have their own sizes."""

    model_type = f"{PREFIX}electra"


class SubnetElectraForSequenceClassification(ElectraForSequenceClassification):
    """ELECTRA with a classification head and layers of their own sizes."""

    config_class = SubnetElectraConfig

    def __init__(self, config: SubnetElectraConfig) -> None:
        """Build the stock model and cut it down."""
        super().__init__(config)
        cut_down(self, ELECTRA)


ELECTRA = Family(
    model_type="electra",
    backbone="electra",
    layers="electra.encoder.layer",
    embedding_inputs=("input_ids", "token_type_ids"),
    neurons_name="intermediate_size",
    norms=("attention.output.LayerNorm", "output.LayerNorm"),
    parts=PARTS,
    positions_after_padding=False,
    subnet_config=SubnetElectraConfig,
    subnet_model=SubnetElectraForSequenceClassification,
    head=classifier_head,
    attend=attend,
    feed_forward=feed_forward,
)
