import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert")

SIZES = {
    "vocab_size": 53,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 34,
    "type_vocab_size": 2,
    "num_labels": 3,
}


def tiny_model(family: str = "bert", **changes: int) -> PreTrainedModel:
    sizes = SIZES | changes
    if family == "distilbert":
        sizes["hidden_dim"] = sizes.pop("intermediate_size")
        del sizes["type_vocab_size"]
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **sizes)
    return AutoModelForSequenceClassification.from_config(config).eval()


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param
