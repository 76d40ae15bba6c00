"""Which head a transformers model has, and the class that loads it."""

from typing import Any

import transformers
from transformers import PreTrainedConfig

from ..tasks.heads import Head, head_with


def head_of(config: PreTrainedConfig) -> Head:
    """The head of a model with that config."""
    return head_with(config.num_labels or 1)


def auto_model(head: Head) -> Any:
    """The class of transformers that loads any encoder with such a head."""
    return getattr(transformers, head.auto_class)
