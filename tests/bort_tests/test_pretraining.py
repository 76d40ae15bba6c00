"""Distillation at masked positions, then on the task: losses, resuming, networks."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    PreTrainedModel,
)

from paretobert.baselines.finished import FINISHED, FinishedOptions
from paretobert.bort.method import METHOD, BortOptions
from paretobert.bort.pretraining import last_states, pretrain, state_loss, word_loss
from paretobert.bort.training import IGNORED, draws_of, mask_words
from paretobert.encoders.extraction import architecture_of, extract
from paretobert.encoders.families import family_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.batches import encode_texts, padded, training_batches
from paretobert.training.classifier import load_stored
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Making

from ..learnable import assert_same_weights, make_task, opinionated

UNEVEN = "L0.2-H2.1-F32.16"
ELIMINATING = "L0.1.3-H2-F32-P70.50.1"
FULL = "L0.1.2.3-H4-F64"
OTHER_WIDTH = "D2-A2-H16-I24"
OPTIONS = BortOptions(
    network=UNEVEN,
    pretraining_steps=5,
    pretraining_rate=1e-3,
    steps=5,
    learning_rate=1e-3,
    batch_size=8,
    precision="fp32",
    checkpoint_steps=2,
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def place(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a head for words, one without, and a fine-tuned model; no dropout."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    config = BertConfig.from_pretrained(tiny_checkpoint)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    torch.manual_seed(3)
    words = BertForMaskedLM(config)
    with torch.no_grad():
        for parameter in words.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    words.save_pretrained(folder / "words")
    words.bert.save_pretrained(folder / "states")
    for name in ("words", "states"):
        tokenizer.save_pretrained(folder / name)
    opinionated(folder / "states", folder / "teacher")
    return folder


def making(
    place: Path,
    folder: Path,
    checkpoint: str = "words",
    progress: Callable[[TrainingProgress], None] = lambda state: None,
) -> Making:
    def cut(config: SubnetConfig) -> PreTrainedModel:
        return extract(load_stored(place / "teacher"), config)

    return Making(
        place / "teacher",
        cut,
        make_task(),
        folder,
        progress,
        checkpoint=lambda: place / checkpoint,
    )


def first_masked(place: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The first batch of the training texts with words masked, and these."""
    tokenizer = AutoTokenizer.from_pretrained(place / "teacher")
    texts = encode_texts(make_task().train, tokenizer, max_length=32)
    indices = next(iter(training_batches(texts, batch_size=8, seed=0, epoch=0)))
    batch = padded(texts, indices, device=CPU)
    batch["input_ids"], words = mask_words(
        batch["input_ids"],
        special=torch.tensor(sorted(set(tokenizer.all_special_ids))),
        mask_token=tokenizer.mask_token_id,
        vocab_size=len(tokenizer),
        generator=draws_of(0, 0),
    )
    return batch, words


def losses(place: Path, folder: Path, checkpoint: str, options: BortOptions) -> list[float]:
    """The losses of the steps of pre-training."""
    seen: list[TrainingProgress] = []
    METHOD.make(making(place, folder, checkpoint, seen.append), options)
    return [state.loss for state in seen if state.stage == "pre-train"]


def test_the_published_loss_by_hand() -> None:
    """Two words of three: 0.1 MLM + 0.5 T^2 KL, T = 2, summed in plain Python."""
    student, teacher, words = (
        [[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]],
        [[2.0, 0.0, 1.0], [1.0] * 3],
        [1, 0],
    )

    def shares(logits: list[float], temperature: float) -> list[float]:
        powers = [math.exp(value / temperature) for value in logits]
        return [power / sum(powers) for power in powers]

    expected = 0.0
    for ours, theirs, word in zip(student, teacher, words, strict=True):
        pairs = zip(shares(theirs, 2), shares(ours, 2), strict=True)
        divergence = sum(p * math.log(p / q) for p, q in pairs)
        expected += (0.1 * -math.log(shares(ours, 1)[word]) + 0.5 * 4 * divergence) / 2
    found = word_loss(torch.tensor(student), torch.tensor(teacher), torch.tensor(words))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_states_are_compared_by_their_mean_squared_difference() -> None:
    student, teacher = torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[0.0] * 2, [1.0] * 2])
    assert state_loss(student, teacher).item() == pytest.approx((1 + 4 + 1 + 9) / 4)


def test_where_nothing_is_masked_nothing_is_lost() -> None:
    none = torch.zeros(0, 3, requires_grad=True)
    assert word_loss(none, none.detach(), torch.zeros(0, dtype=torch.long)).item() == 0
    assert state_loss(none, none.detach()).item() == 0


def test_the_first_step_is_the_published_loss_of_transformers_models(
    place: Path, tmp_path: Path
) -> None:
    """The student's head is the teacher's, tied to its own embeddings."""
    options = replace(OPTIONS, network=FULL, pretraining_steps=1, steps=1)
    (found,) = losses(place, tmp_path / "made", "words", options)
    batch, words = first_masked(place)
    teacher = BertForMaskedLM.from_pretrained(place / "words").eval()
    student = BertForMaskedLM.from_pretrained(place / "words").eval()
    encoder = load_stored(place / "teacher").bert.state_dict()
    student.bert.load_state_dict({n: t for n, t in encoder.items() if "pooler" not in n})
    student.tie_weights()
    with torch.no_grad():
        ours, theirs = (model(**batch).logits[words != IGNORED] for model in (student, teacher))
    expected = word_loss(ours, theirs, words[words != IGNORED]).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_without_a_head_for_words_the_first_step_compares_states(
    place: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, network=FULL, pretraining_steps=1, steps=1)
    (found,) = losses(place, tmp_path / "made", "states", options)
    batch, words = first_masked(place)
    theirs = AutoModel.from_pretrained(place / "states").eval()
    ours = load_stored(place / "teacher").bert.eval()
    with torch.no_grad():
        first, second = (
            model(**batch).last_hidden_state[words != IGNORED] for model in (ours, theirs)
        )
    assert found == pytest.approx(functional.mse_loss(first, second).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("checkpoint", "network"),
    [
        ("words", UNEVEN),
        ("words", OTHER_WIDTH),
        ("states", ELIMINATING),
        ("states", OTHER_WIDTH),
    ],
)
def test_pre_training_learns_and_keeps_the_sizes(
    place: Path, tmp_path: Path, checkpoint: str, network: str
) -> None:
    options = replace(
        OPTIONS, network=network, pretraining_steps=20, pretraining_rate=1e-2, steps=1
    )
    found = losses(place, tmp_path / "made", checkpoint, options)
    assert sum(found[-5:]) < 0.9 * sum(found[:5])
    model = load_stored(tmp_path / "made" / "network")
    shape, config = architecture_of(model.config)
    if network == OTHER_WIDTH:
        assert isinstance(model, BertForSequenceClassification)
        sizes = (shape.num_layers, shape.num_heads, shape.hidden_size, shape.ffn_size)
        assert sizes == (2, 2, 16, 24)
        assert list(model.config.id2label.values()) == ["warm", "cold"]
    else:
        asked = SubnetConfig.from_key(network)
        assert (config.heads, config.neurons) == (asked.heads, asked.neurons)
        assert config.tokens == asked.tokens


def test_only_what_computes_hidden_states_is_pre_trained(place: Path, tmp_path: Path) -> None:
    student = extract(load_stored(place / "teacher"), SubnetConfig.from_key(UNEVEN))
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    pretrain(
        making(place, tmp_path),
        OPTIONS,
        student,
        AutoTokenizer.from_pretrained(place / "teacher"),
        state_file=tmp_path / "state.safetensors",
    )
    after = student.state_dict()
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    assert same == {name for name in before if "pooler" in name or "classifier" in name}


def test_last_states_are_those_of_transformers(place: Path) -> None:
    model = load_stored(place / "teacher").eval()
    batch, _ = first_masked(place)
    with torch.no_grad():
        ours = last_states(model, family_of(model), batch)
        theirs = model.bert(**batch).last_hidden_state
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("stage", ["pre-train", "bort"])
def test_a_training_that_is_killed_ends_in_the_same_weights(
    place: Path, tmp_path: Path, stage: str
) -> None:
    METHOD.make(making(place, tmp_path / "whole"), OPTIONS)

    def kill(state: TrainingProgress) -> None:
        if (state.stage, state.step) == (stage, 3):
            raise KeyboardInterrupt

    killed = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        METHOD.make(making(place, killed, progress=kill), OPTIONS)
    assert not (killed / "network").exists()
    assert (killed / "pretrained").exists() == (stage == "bort")
    seen: list[TrainingProgress] = []
    METHOD.make(making(place, killed, progress=seen.append), OPTIONS)
    left = [("pre-train", step) for step in (3, 4, 5)] * (stage == "pre-train")
    taught = [("bort", step) for step in (range(1, 6) if left else range(3, 6))]
    assert [(state.stage, state.step) for state in seen] == [*left, *taught]
    assert_same_weights(tmp_path / "whole" / "network", killed / "network")
    assert {path.name for path in killed.iterdir()} == {"network", "training.jsonl"}
    METHOD.make(making(place, killed, progress=kill), OPTIONS)


def test_without_pre_training_a_sub_network_is_finished(place: Path, tmp_path: Path) -> None:
    METHOD.make(making(place, tmp_path / "bort"), replace(OPTIONS, pretraining_steps=0))
    asked = FinishedOptions(
        network=UNEVEN, steps=5, learning_rate=1e-3, batch_size=8, precision="fp32"
    )
    FINISHED.make(making(place, tmp_path / "finished"), asked)
    assert_same_weights(tmp_path / "bort" / "network", tmp_path / "finished" / "network")


def test_pre_training_and_its_start_change_the_network(place: Path, tmp_path: Path) -> None:
    found = []
    for number, changes in enumerate(
        ({}, {"pretraining_steps": 0}, {"weights": "fresh"}, {"weights": "fresh", "seed": 1})
    ):
        where = making(place, tmp_path / str(number))
        METHOD.make(where, replace(OPTIONS, **changes))
        model = load_stored(where.network)
        assert architecture_of(model.config)[1].heads == (2, 1)
        found.append(model.state_dict()["bert.encoder.layer.0.intermediate.dense.weight"])
    assert all(
        not torch.equal(first, second)
        for place, first in enumerate(found)
        for second in found[:place]
    )


def test_a_tokenizer_without_a_mask_cannot_be_pre_trained_with(
    place: Path, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(place / "teacher")
    tokenizer.mask_token = None
    student = load_stored(place / "teacher")
    with pytest.raises(InputError, match="has no mask to pre-train with: give 0"):
        pretrain(
            making(place, tmp_path), OPTIONS, student, tokenizer, state_file=tmp_path / "state"
        )


def test_texts_too_long_for_an_architecture(place: Path, tmp_path: Path) -> None:
    where = making(place, tmp_path)
    long = replace(where, task=replace(where.task, max_length=513))
    with pytest.raises(InputError, match="reads at most 512 tokens, and the task's texts have up"):
        METHOD.make(long, replace(OPTIONS, network=OTHER_WIDTH))
