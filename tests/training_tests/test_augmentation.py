"""Variants of texts: which words are replaced, by which, how many, and after a kill."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from paretobert.errors import InputError
from paretobert.tasks.batches import encode_texts
from paretobert.tasks.task import Texts
from paretobert.training import augmentation
from paretobert.training.augmentation import Augmented, augment
from paretobert.training.language_model import masked_model

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = tuple(f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(30))
PIECES = ("##s", "##ed")
OTHERS = (".", "7")
VOCABULARY = {token: i for i, token in enumerate((*SPECIAL, *WORDS, *PIECES, *OTHERS))}
WORD_IDS = {VOCABULARY[word] for word in WORDS}
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY),
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=64,
)


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", VOCABULARY["[SEP]"]), ("[CLS]", VOCABULARY["[CLS]"])
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


TOKENIZER = make_tokenizer()


def randomised(model: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint without a language-model head."""
    folder = tmp_path_factory.mktemp("encoder")
    randomised(BertModel(CONFIG)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with one."""
    folder = tmp_path_factory.mktemp("masked")
    randomised(BertForMaskedLM(CONFIG)).save_pretrained(folder)
    return folder


def make(
    checkpoint: Path,
    folder: Path,
    *texts: str,
    second: tuple[str, ...] | None = None,
    variants: int = 20,
    seed: int = 0,
    held_out: frozenset[tuple[int, ...]] = frozenset(),
    tokenizer: PreTrainedTokenizerBase = TOKENIZER,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Augmented:
    return augment(
        Texts(texts, second),
        checkpoint=checkpoint,
        tokenizer=tokenizer,
        max_length=32,
        variants=variants,
        seed=seed,
        held_out=held_out,
        folder=folder,
        device=torch.device("cpu"),
        dtype=torch.float32,
        progress=progress,
    )


def ids_of(text: str) -> tuple[int, ...]:
    return encode_texts(Texts((text,), None), TOKENIZER, max_length=32).input_ids[0]


def rows_of(found: Augmented) -> tuple[tuple[int, ...], ...]:
    assert found.texts is not None
    return found.texts.input_ids


def replacements(found: Augmented, text: str) -> list[set[int]]:
    """What stands at each place of a text's variants, where no word has several pieces."""
    return [
        set(column) - {original}
        for original, *column in zip(ids_of(text), *rows_of(found), strict=True)
    ]


def test_single_words_get_the_language_models_best(masked: Path, tmp_path: Path) -> None:
    """Against one masked copy a word, through the whole model."""
    text = "wab wac . wad 7 wae"
    found = make(masked, tmp_path, text, variants=100)
    model = BertForMaskedLM.from_pretrained(masked).eval()
    for place, seen in enumerate(replacements(found, text)):
        original = ids_of(text)[place]
        if original not in WORD_IDS:
            assert not seen
            continue
        ids = torch.tensor([ids_of(text)])
        ids[0, place] = TOKENIZER.mask_token_id
        with torch.no_grad():
            logits = model(ids).logits[0, place]
        best = sorted(WORD_IDS - {original}, key=lambda i: -logits[i].item())[:15]
        assert seen <= set(best)
        assert len(seen) > 8


def nearest(checkpoint: Path, pieces: list[int], *, among: set[int]) -> set[int]:
    table = BertModel.from_pretrained(checkpoint).get_input_embeddings().weight
    mean = table[pieces].mean(0)
    closeness = nn.functional.cosine_similarity(table, mean[None])
    return set(sorted(among, key=lambda i: -closeness[i].item())[:15])


def test_without_a_head_words_get_their_nearest_neighbours(encoder: Path, tmp_path: Path) -> None:
    text = "wab wac . wad 7"
    for place, seen in enumerate(replacements(make(encoder, tmp_path, text, variants=100), text)):
        original = ids_of(text)[place]
        if original in WORD_IDS:
            assert seen <= nearest(encoder, [original], among=WORD_IDS - {original})
            assert len(seen) > 8
        else:
            assert not seen


@pytest.mark.parametrize("kind", ["encoder", "masked"])
def test_words_of_several_pieces_become_one_near_word(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    checkpoint = request.getfixturevalue(kind)
    found = make(checkpoint, tmp_path, *["waded"] * 8, variants=100)
    pieces = [VOCABULARY["wad"], VOCABULARY["##ed"]]
    cls, sep = VOCABULARY["[CLS]"], VOCABULARY["[SEP]"]
    assert ids_of("waded") == (cls, *pieces, sep)
    assert all(row[0] == cls and row[2:] == (sep,) for row in rows_of(found))
    assert {row[1] for row in rows_of(found)} == nearest(checkpoint, pieces, among=WORD_IDS)


def test_a_broken_head_is_no_head(masked: Path, encoder: Path, tmp_path: Path) -> None:
    model = BertForMaskedLM.from_pretrained(masked)
    tensors = model.state_dict()
    del tensors["cls.predictions.transform.dense.weight"]
    model.save_pretrained(tmp_path / "broken", state_dict=tensors)
    assert masked_model(masked) is not None
    assert masked_model(tmp_path / "broken") is None
    assert masked_model(encoder) is None


def test_four_in_ten_words_are_replaced(encoder: Path, tmp_path: Path) -> None:
    draw = Random(1)
    texts = [" ".join(draw.choices(WORDS, k=20)) for _ in range(30)]
    found = make(encoder, tmp_path, *texts, variants=10)
    originals = [ids_of(text) for text in texts for _ in range(10)]
    assert len(rows_of(found)) == len(originals)
    changed = sum(
        a != b
        for one, row in zip(originals, rows_of(found), strict=True)
        for a, b in zip(one, row, strict=True)
    )
    assert changed / (20 * len(originals)) == pytest.approx(0.4, abs=0.03)


def test_a_long_text_takes_seven_passes(
    masked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    batches = augmentation.evaluation_batches

    def spy(encoded, *, batch_size):
        read.append(encoded.input_ids)
        return batches(encoded, batch_size=batch_size)

    monkeypatch.setattr(augmentation, "evaluation_batches", spy)
    make(masked, tmp_path, " ".join(WORDS[:20]), "wab wac", variants=50)
    (rows,) = read
    masks = [row.count(VOCABULARY["[MASK]"]) for row in rows]
    assert masks == [3, 3, 3, 3, 3, 3, 2, 1, 1]


def test_both_texts_of_a_pair_and_their_segments(encoder: Path, tmp_path: Path) -> None:
    typed = make_tokenizer()
    typed.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, VOCABULARY[name]) for name in ("[CLS]", "[SEP]")],
    )
    typed.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    found = make(encoder, tmp_path, "wab waded", second=("wacs wae 7",), tokenizer=typed)
    assert found.texts is not None
    assert found.texts.token_type_ids is not None
    lengths = set()
    for ids, types in zip(found.texts.input_ids, found.texts.token_type_ids, strict=True):
        assert ids.count(VOCABULARY["[SEP]"]) == 2
        middle = ids.index(VOCABULARY["[SEP]"]) + 1
        assert types == (0,) * middle + (1,) * (len(ids) - middle)
        lengths.add((middle, len(ids) - middle))
    assert lengths == {(a, b) for a in (4, 5) for b in (4, 5)}


def test_held_out_texts_are_dropped_and_counted(encoder: Path, tmp_path: Path) -> None:
    found = make(encoder, tmp_path / "all", "wab wac", variants=30)
    held_out = frozenset(rows_of(found)[::2])
    less = make(encoder, tmp_path / "less", "wab wac", variants=30, held_out=held_out)
    assert rows_of(less) == rows_of(found)[1::2]
    assert (found.held_out, less.held_out) == (0, len(held_out))
    none = make(encoder, tmp_path / "none", ". 7")
    assert none.texts is None


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    texts=st.lists(
        st.lists(st.sampled_from((*WORDS, "wads", "waes", "odd", *OTHERS)), min_size=1).map(
            " ".join
        ),
        min_size=1,
        max_size=7,
    ),
    variants=st.integers(1, 4),
    seed=st.integers(0, 5),
    stop=st.integers(2, 6),
)
def test_variants_are_the_same_after_a_kill(
    texts: list[str],
    variants: int,
    seed: int,
    stop: int,
    masked: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("variants")

    def killed(done: int, total: int) -> None:
        if done >= stop:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmentation, "TEXTS_PER_PART", 2)
        whole = make(masked, folder / "one", *texts, variants=variants, seed=seed)
        with suppress(KeyboardInterrupt):
            make(masked, folder / "two", *texts, variants=variants, seed=seed, progress=killed)
        kept = {path: path.read_bytes() for path in (folder / "two").iterdir()}
        again = make(masked, folder / "two", *texts, variants=variants, seed=seed)
    assert kept
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert replace(again, seconds=0) == replace(whole, seconds=0)
    if whole.texts is not None:
        rows = rows_of(whole)
        assert len(rows) <= variants * len(texts)
        fixed = {i for text in texts for i in ids_of(text)}
        assert {i for row in rows for i in row} <= WORD_IDS | fixed


def test_another_seed_makes_other_variants(encoder: Path, tmp_path: Path) -> None:
    text = " ".join(WORDS[:10])
    one, other = (make(encoder, tmp_path / str(seed), text, seed=seed) for seed in (0, 1))
    assert not set(rows_of(one)) & set(rows_of(other))


def test_a_damaged_part_is_named(encoder: Path, tmp_path: Path) -> None:
    make(encoder, tmp_path, "wab wac")
    (part,) = tmp_path.iterdir()
    part.write_bytes(b"damaged")
    with pytest.raises(InputError, match="000000000.safetensors are damaged"):
        make(encoder, tmp_path, "wab wac")


def test_a_tokenizer_without_words_is_refused(encoder: Path, tmp_path: Path) -> None:
    vocabulary = {token: i for i, token in enumerate((*SPECIAL, "1", "2"))}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")),
        unk_token="[UNK]",
        pad_token="[PAD]",
    )
    with pytest.raises(InputError, match="no words of one piece .*: leave out --augment"):
        make(encoder, tmp_path, "1 2", tokenizer=tokenizer)
    assert not list(tmp_path.iterdir())
