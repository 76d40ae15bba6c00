"""A cut network trained on by itself, from the supernet's weights or from the teacher's."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from paretobert.baselines.finished import (
    ALONE,
    FINISHED,
    AloneOptions,
    FinishedOptions,
    finished_key,
)
from paretobert.dynabert.importance import task_importance
from paretobert.dynabert.rewiring import rewire
from paretobert.encoders.extraction import architecture_of, extract
from paretobert.errors import InputError
from paretobert.networks.network import Cut, Network, Stored
from paretobert.networks.shape import EncoderShape
from paretobert.networks.spaces import Layerwise
from paretobert.networks.subnet import SubnetConfig, grid
from paretobert.tasks.batches import encode, padded
from paretobert.tasks.heads import CLASSIFICATION
from paretobert.tasks.task import Texts
from paretobert.training.classifier import load_stored
from paretobert.training.distillation import logit_loss
from paretobert.training.loop import TrainingProgress
from paretobert.training.method import Known, Making

from ..learnable import assert_same_weights, make_task, save_with_head

UNEVEN = "L0.2-H2.1-F32.16"
ELIMINATING = "L0.1.3-H2-F32-P70.50.1"
FINISH = FinishedOptions(
    network=UNEVEN,
    steps=8,
    learning_rate=1e-3,
    batch_size=8,
    precision="fp32",
    checkpoint_steps=3,
)
BARELY = replace(FINISH, learning_rate=1e-12, weight_decay=0.0)
SHAPE = EncoderShape("bert", 4, 4, 8, 32, 64, 32, 27, 64, 2, 2)
SPACE = Layerwise(SHAPE)


@pytest.fixture(scope="module")
def place(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a teacher and a supernet whose answers differ from text to text."""
    folder = tmp_path_factory.mktemp("models")
    for number, name in enumerate(("teacher", "supernet")):
        save_with_head(tiny_checkpoint, folder / name, num_labels=2)
        model = AutoModelForSequenceClassification.from_pretrained(folder / name)
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        model.save_pretrained(folder / name)
    return folder


def making(
    place: Path, folder: Path, progress: Callable[[TrainingProgress], None] = lambda state: None
) -> Making:
    def cut(config: SubnetConfig) -> PreTrainedModel:
        return extract(load_stored(place / "supernet"), config)

    return Making(place / "teacher", cut, make_task(), folder, progress)


def logits(model: PreTrainedModel, place: Path) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(place / "teacher")
    encoded = encode(make_task().search, tokenizer, max_length=32)
    batch = padded(encoded, range(len(encoded)))
    del batch["labels"]
    with torch.inference_mode():
        return model.eval()(**batch).logits


@pytest.mark.parametrize("key", [UNEVEN, ELIMINATING])
def test_it_starts_as_the_network_that_is_cut(place: Path, tmp_path: Path, key: str) -> None:
    where = making(place, tmp_path / "made")
    FINISHED.make(where, replace(BARELY, network=key))
    cut = extract(load_stored(place / "supernet"), SubnetConfig.from_key(key))
    made = load_stored(where.network)
    torch.testing.assert_close(logits(made, place), logits(cut, place))
    assert made.num_parameters() == cut.num_parameters()
    for ours, theirs in zip(
        architecture_of(made.config), architecture_of(cut.config), strict=True
    ):
        assert ours == theirs
    assert {path.name for path in where.folder.iterdir()} == {"network", "training.jsonl"}


def test_alone_it_starts_as_the_teacher_cut_by_importance(place: Path, tmp_path: Path) -> None:
    where = making(place, tmp_path / "made")
    ALONE.make(where, AloneOptions(**{**BARELY.to_dict(), "network": UNEVEN}))
    model = load_stored(place / "teacher")
    tokenizer = AutoTokenizer.from_pretrained(place / "teacher")
    rewire(model, task_importance(model, tokenizer, make_task(), batch_size=32))
    cut = extract(model, SubnetConfig.from_key(UNEVEN))
    torch.testing.assert_close(logits(load_stored(where.network), place), logits(cut, place))


@pytest.mark.parametrize("key", [UNEVEN, ELIMINATING])
@pytest.mark.parametrize(
    ("method", "options"), [(FINISHED, FinishedOptions), (ALONE, AloneOptions)]
)
def test_it_learns_what_the_teacher_says(
    place: Path, tmp_path: Path, method: object, options: type, key: str
) -> None:
    target = logits(load_stored(place / "teacher"), place)

    def loss(**change: object) -> float:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        record = {**FINISH.to_dict(), "network": key, "steps": 60, "learning_rate": 5e-3}
        method.make(making(place, folder), options(**(record | change)))
        return logit_loss(
            logits(load_stored(folder / "network"), place), target, head=CLASSIFICATION
        ).item()

    least = logit_loss(target.softmax(-1).log(), target, head=CLASSIFICATION).item()
    before = loss(learning_rate=1e-12, weight_decay=0.0, steps=1)
    assert loss() - least < 0.7 * (before - least)


@pytest.mark.parametrize(
    ("method", "options"), [(FINISHED, FinishedOptions), (ALONE, AloneOptions)]
)
def test_a_training_that_is_killed_ends_in_the_same_weights(
    place: Path, tmp_path: Path, method: object, options: type
) -> None:
    asked = options(**{**FINISH.to_dict(), "checkpoint_steps": 3})
    method.make(making(place, tmp_path / "whole"), asked)

    def kill(state: TrainingProgress) -> None:
        if state.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        method.make(making(place, tmp_path / "killed", kill), asked)
    assert not (tmp_path / "killed" / "network").exists()
    seen: list[TrainingProgress] = []
    method.make(making(place, tmp_path / "killed", seen.append), asked)
    assert [state.step for state in seen] == [4, 5, 6, 7, 8]
    assert_same_weights(tmp_path / "whole" / "network", tmp_path / "killed" / "network")


def test_unlabelled_texts_are_learnt_from_too(place: Path, tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    where = replace(
        making(place, tmp_path / "made", seen.append), unlabelled=Texts(("a red boat",) * 16, None)
    )
    FINISHED.make(where, replace(FINISH, steps=None, epochs=1))
    assert len(seen) == (48 + 16) / 8


def networks(*recipes: tuple[str, object]) -> dict[str, Network]:
    found = (Network(label, recipe) for label, recipe in recipes)
    return {network.id: network for network in found}


def test_every_name_asks_for_the_same_network() -> None:
    config = SubnetConfig.from_key(UNEVEN)
    known = networks(("small", Cut(SHAPE, config)), ("mine", Stored("own", {}, SHAPE, config)))
    (small, _) = known
    known = Known(SPACE, known, lengths=tuple)
    for name in ("small", small, small[:6], UNEVEN):
        assert FINISHED.resolve(replace(FINISH, network=name), known).to_dict() == FINISH.to_dict()
    unknown = SPACE.smallest.key
    assert FINISHED.resolve(replace(FINISH, network=unknown), known).network == unknown
    with pytest.raises(InputError, match="There is no network called 'huge': the run has"):
        FINISHED.resolve(replace(FINISH, network="huge"), known)
    with pytest.raises(InputError, match="mine has weights of its own: name a network that is"):
        ALONE.resolve(AloneOptions(network="mine"), known)


def test_a_target_is_the_nearest_network_of_the_supernet() -> None:
    cut = networks(*((config.key, Cut(SHAPE, config)) for config in grid(SHAPE)))
    known = Known(SPACE, cut, lengths=lambda: (5, 9, 30))
    for target, key in ((1.01, "L0.1.2.3-H3-F48"), (4, "L0.1.2.3-H1-F16"), (99, "L1.3-H1-F16")):
        found = ALONE.resolve(AloneOptions(target_speedup=target), known)
        assert found.to_dict() == AloneOptions(network=key).to_dict()
    only_full = networks(("full", Cut(SHAPE, SubnetConfig.full(SHAPE))))
    with pytest.raises(InputError, match="The supernet has no sub-network but the full model"):
        ALONE.resolve(AloneOptions(target_speedup=2), replace(known, networks=only_full))


@pytest.mark.parametrize("given", [{}, {"network": UNEVEN, "target_speedup": 2.0}])
def test_a_network_is_named_or_a_target_given(given: dict) -> None:
    with pytest.raises(InputError, match="Name a network that is cut from the supernet, or give"):
        FinishedOptions(**given)


def test_what_decides_the_network_and_what_does_not() -> None:
    asked = FINISH.to_dict()
    assert json.loads(json.dumps(asked)) == asked
    assert replace(FINISH, checkpoint_steps=99).to_dict() == asked
    for change in ({"steps": 1}, {"network": "L0-H1-F1"}, {"seed": 1}, {"learning_rate": 1e-4}):
        assert replace(FINISH, **change).to_dict() != asked
    assert FINISH.label == f"{UNEVEN}, finished"
    assert AloneOptions(network=UNEVEN).label == f"{UNEVEN}, alone"


def test_a_finished_network_names_the_one_that_it_was() -> None:
    config = SubnetConfig.from_key(UNEVEN)
    made = Network(FINISH.label, Stored("finished", FINISH.to_dict(), SHAPE, config))
    assert finished_key(made) == UNEVEN
    assert finished_key(Network("a", Stored("alone", FINISH.to_dict(), SHAPE, config))) is None
    assert finished_key(Network("b", Cut(SHAPE, config))) is None


def test_steps_beyond_reason_are_refused() -> None:
    with pytest.raises(InputError, match="steps must be at most 1,000,000"):
        replace(FINISH, steps=10**7)
