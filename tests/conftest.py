"""Fixtures that several packages' tests share."""

from pathlib import Path

import pytest

COLOURS = {
    "warm": ("red", "orange", "yellow"),
    "cold": ("blue", "green", "cyan"),
    "plain": ("black", "white", "grey"),
}
FILLERS = ("a", "the", "bright", "old", "small", "coat", "house", "boat", "is", "was")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of benchmark data and published tables that may lie beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not present: benchmark data and published tables are optional")
    return SHARED


@pytest.fixture(scope="session")
def colours_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Own data that a tiny model can learn: the label is the kind of the colour in the text."""
    rows = [
        f"the {filler} {noun} is {colour},{kind}"
        for kind, colours in COLOURS.items()
        for colour in colours
        for filler in FILLERS
        for noun in FILLERS
    ]
    path = tmp_path_factory.mktemp("data") / "colours.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of four layers with a WordPiece tokenizer that knows the colours' words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = (*special, *FILLERS, *(colour for kind in COLOURS.values() for colour in kind))
    vocab = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"])
    )
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=len(vocab),
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    return folder
