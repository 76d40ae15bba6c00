import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from paretobert.dynabert import training
from paretobert.dynabert.gradients import (
    distillation_gradients,
)
from paretobert.dynabert.learners import same_width_teacher
from paretobert.dynabert.losses import read_losses
from paretobert.dynabert.options import TrainingOptions
from paretobert.dynabert.repairs import RepairOptions, read_options
from paretobert.dynabert.supernet import Supernet
from paretobert.dynabert.training import train_supernet
from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.encoders.extraction import extract
from paretobert.encoders.families import shape_of
from paretobert.errors import InputError
from paretobert.networks.subnet import SubnetConfig
from paretobert.tasks.batches import encode, padded
from paretobert.tasks.task import Task, Texts, TextSplit
from paretobert.training.classifier import load_classifier
from paretobert.training.distillation import DEPTH_STAGE
from paretobert.training.loop import TrainingProgress, linear_decay

WORDS = [f"w{chr(97 + i // 5)}{chr(97 + i % 5)}" for i in range(30)]
WIDTHS = DEPTHS = (1.0, 0.5)
OPTIONS = TrainingOptions(
    widths=WIDTHS,
    depths=DEPTHS,
    teacher_epochs=2,
    width_epochs=1,
    depth_epochs=2,
    learning_rate=1e-3,
    batch_size=8,
    precision="fp32",
    checkpoint_steps=3,
)
TOKENS = replace(OPTIONS, tokens=(1.0, 0.4), token_epochs=2)
AUGMENTED = replace(TOKENS, augment=2, teacher_rates=(5e-4, 1e-3))


def make_checkpoint(folder: Path, model) -> Path:
    """Save a tiny model with a tokenizer of a few words."""
    vocabulary = {"[UNK]": 0, "[PAD]": 1, **{word: i for i, word in enumerate(WORDS, start=2)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=40
    ).save_pretrained(folder)
    return folder


def make_task(num_train: int = 64) -> Task:
    """Whether the first word is among the first, middle or last third of the vocabulary."""

    def split(size: int, offset: int) -> TextSplit:
        starts = [(7 * i + offset) % 30 for i in range(size)]
        texts = tuple(
            " ".join([WORDS[start], *WORDS[i % 9 : i % 9 + i % 5]])
            for i, start in enumerate(starts)
        )
        return TextSplit(texts, None, tuple(start // 10 for start in starts))

    return Task(
        name="thirds",
        kind="classification",
        label_names=("first", "middle", "last"),
        metric="accuracy",
        other_metrics=(),
        train=split(num_train, 0),
        search=split(30, 3),
        report=split(30, 5),
        max_length=16,
        source="made in a test",
    )


def make_unlabelled() -> Texts:
    return Texts(tuple(f"{WORDS[i]} {WORDS[29 - i]} " * (1 + i % 3) for i in range(20)), None)


def ignore(progress: TrainingProgress) -> None:
    pass


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.fixture(scope="module")
def plain(tiny_model, tmp_path_factory) -> Path:
    """A checkpoint, and a run of it without any ablation."""
    root = tmp_path_factory.mktemp("plain")
    train_supernet(
        model=make_checkpoint(root / "model", tiny_model("bert")),
        task=make_task(),
        folder=root / "run",
        options=OPTIONS,
        progress=ignore,
    )
    return root


@pytest.mark.parametrize(
    "ablation",
    [
        {},
        {"rewiring": "none"},
        {"rewiring": "necessity"},
        {"start": "repaired"},
        {"distillation": "none"},
        {"distillation": "in-place"},
    ],
)
def test_ablations_alone_train_to_other_weights(ablation, plain, tmp_path):
    train_supernet(
        model=plain / "run/teacher",
        task=make_task(),
        folder=tmp_path,
        options=replace(OPTIONS, teacher_epochs=0, **ablation),
        progress=ignore,
    )
    supernets, teachers = (
        [(root / part / "model.safetensors").read_bytes() for root in (plain / "run", tmp_path)]
        for part in ("supernet", "teacher")
    )
    assert (supernets[0] == supernets[1]) == (not ablation)
    assert teachers[0] == teachers[1]


def test_what_learns_from_labels_takes_no_other_texts():
    options = replace(OPTIONS, distillation="none")
    assert options.distillation_epochs == 0
    assert options.labelled_epochs == OPTIONS.labelled_epochs + OPTIONS.distillation_epochs
    with pytest.raises(InputError, match="no stage distils"):
        replace(options, augment=1)


@pytest.mark.parametrize(
    ("space", "width_epochs", "same_width"),
    [("grid", 1, True), ("grid", 0, False), ("uniform", 1, False), ("layerwise", 1, False)],
)
def test_beyond_the_grid_and_without_stage_1_the_full_model_teaches(
    space, width_epochs, same_width, tiny_checkpoint, tmp_path, monkeypatch
):
    taught = {}

    def watch(supernet, teacher, batch, configs, **rest):
        taught.update(configs if rest["weights"] is DEPTH_STAGE else {})
        return distillation_gradients(supernet, teacher, batch, configs, **rest)

    monkeypatch.setattr(training, "distillation_gradients", watch)
    options = replace(
        OPTIONS,
        recipe="sandwich",
        space=space,
        teacher_epochs=1,
        width_epochs=width_epochs,
        depth_epochs=1,
    )
    train_supernet(
        model=tiny_checkpoint,
        task=make_task(num_train=16),
        folder=tmp_path,
        options=options,
        progress=lambda state: None,
    )
    shape = find_checkpoint(str(tiny_checkpoint)).shape
    full = SubnetConfig.full(shape)
    assert len(taught) > 2
    for config, teacher in taught.items():
        assert teacher == (same_width_teacher(config, shape) if same_width else full)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": (1.0, 0.5)}, r"\(1.0, 0.5\) do not go with 0 token epochs"),
        ({"token_epochs": 1}, r"\(1.0,\) do not go with 1 token epochs"),
        ({"tokens": (0.5,), "token_epochs": 1}, "tokens .* lack 1"),
        ({"tokens": (1.0, 0.0), "token_epochs": 1}, "tokens .* must be multipliers"),
        ({"tokens": (1.0, 0.5), "token_epochs": -1}, "do not go with -1|must not be negative"),
        ({"widths": (0.5,)}, "widths .* lack 1"),
        ({"recipe": "closed-form", "final_epochs": 1}, "closed-form trains no sub-networks"),
        ({"recipe": "closed-form", "rewiring": "none"}, "closed-form sorts and repairs by itself"),
        (
            {"recipe": "closed-form", "start": "repaired"},
            "closed-form sorts and repairs by itself",
        ),
        ({"space": "layerwise"}, "recipe paper trains every .* take the recipe sandwich"),
        (
            {"space": "uniform", "recipe": "sandwich", "sandwich_random": 0},
            "space uniform is never drawn from: give sandwich_random",
        ),
        ({"space": "hat"}, "space 'hat' is not one of grid, uniform, layerwise"),
        ({"rewiring": "random"}, "rewiring 'random' is not one of importance, necessity"),
        ({"start": "random"}, "start 'random' is not one of inherited, repaired"),
        ({"distillation": "self"}, "distillation 'self' is not one of teacher, in-place, none"),
        ({"augment": 101}, "augment must be at most 100"),
        ({"augment": 1, "width_epochs": 0, "depth_epochs": 0}, "no stage distils: leave them out"),
    ],
)
def test_bad_options_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(**change)


def test_options_survive_records():
    assert TrainingOptions.from_dict(json.loads(json.dumps(TOKENS.to_dict()))) == TOKENS


def test_the_learning_rate_rises_and_falls_linearly():
    rates = [linear_decay(step, 10, warmup_share=0.2) for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])


@pytest.mark.parametrize("recipe", ["paper", "sandwich"])
def test_all_stages_learn_and_leave_two_checkpoints(recipe, tiny_model, tmp_path):
    torch.manual_seed(0)
    fresh = AutoModelForSequenceClassification.from_config(tiny_model("bert").config)
    checkpoint = make_checkpoint(tmp_path / "model", fresh)
    options = replace(
        OPTIONS,
        recipe=recipe,
        sandwich_random=0,
        teacher_epochs=8,
        teacher_learning_rate=5e-3,
        final_epochs=1,
    )
    seen: list[TrainingProgress] = []
    folder = tmp_path / "run"
    train_supernet(
        model=checkpoint, task=make_task(), folder=folder, options=options, progress=seen.append
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "supernet",
        "teacher",
        "training.jsonl",
    ]
    stages = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert [stage["stage"] for stage in stages] == ["teacher", "width", "depth", "final"]
    assert [stage["examples"] for stage in stages] == [512, 64, 128, 64]
    teacher_losses = [progress.loss for progress in seen if progress.stage == "teacher"]
    assert sum(teacher_losses[-8:]) < 0.7 * sum(teacher_losses[:8])
    supernet = Supernet.from_pretrained(folder / "supernet")
    assert supernet.space == OPTIONS.space_of(supernet.shape)
    before = seen.copy()
    train_supernet(
        model=checkpoint, task=make_task(), folder=folder, options=options, progress=seen.append
    )
    assert seen == before


def test_the_closed_form_trains_the_teacher_alone(tiny_model, tmp_path):
    checkpoint = make_checkpoint(tmp_path / "model", tiny_model("bert"))
    folder = tmp_path / "run"
    options, seen = replace(OPTIONS, recipe="closed-form", seed=4), []
    train_supernet(
        model=checkpoint, task=make_task(), folder=folder, options=options, progress=seen.append
    )
    counted = {state.stage: (state.step, state.total_steps) for state in seen}
    assert list(counted) == ["teacher", "collect", "removal"]
    assert counted["collect"] == (64, 64)
    assert counted["removal"] == (4, 4)
    assert sorted(path.name for path in folder.iterdir()) == [
        "supernet",
        "teacher",
        "training.jsonl",
    ]
    assert read_options(folder / "supernet") == RepairOptions(seed=4)
    losses = read_losses(folder / "supernet")
    assert losses is not None
    for known in losses.layers:
        assert [size for size, _ in known.heads] == [0, 1, 2, 3, 4]
        assert [loss for _, loss in known.neurons] == sorted(
            (loss for _, loss in known.neurons), reverse=True
        )
    teacher = AutoModelForSequenceClassification.from_pretrained(folder / "teacher")
    supernet = Supernet.from_pretrained(folder / "supernet")
    batch = {"input_ids": torch.arange(2, 12)[None], "attention_mask": torch.ones(1, 10).long()}
    with torch.inference_mode():
        torch.testing.assert_close(supernet(batch), teacher(**batch).logits, rtol=1e-4, atol=1e-4)
    ours, theirs = (
        model.get_submodule("bert.encoder.layer.0.output.dense").weight
        for model in (supernet.model, teacher)
    )
    assert not torch.equal(ours, theirs)
    assert torch.equal(ours.sort(dim=1).values, theirs.sort(dim=1).values)


def test_the_token_stage_comes_between_depth_and_the_labels(tiny_model, tmp_path):
    checkpoint = make_checkpoint(tmp_path / "model", tiny_model("distilbert"))
    options = replace(TOKENS, teacher_epochs=1, depth_epochs=1, final_epochs=1)
    seen: list[TrainingProgress] = []
    folder = tmp_path / "run"
    train_supernet(
        model=checkpoint, task=make_task(), folder=folder, options=options, progress=seen.append
    )
    stages = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    names = ["teacher", "width", "depth", "tokens", "final"]
    assert [stage["stage"] for stage in stages] == names
    assert list(dict.fromkeys(progress.stage for progress in seen)) == names
    supernet = Supernet.from_pretrained(folder / "supernet")
    assert supernet.space == TOKENS.space_of(supernet.shape)


def test_the_token_stage_brings_the_smallest_subnetwork_closer_to_the_fine_tuned_model(
    tiny_model, tmp_path
):
    torch.manual_seed(0)
    fresh = AutoModelForSequenceClassification.from_config(tiny_model("bert").config)
    checkpoint = make_checkpoint(tmp_path / "model", fresh)
    task = make_task()
    with_stage = replace(
        TOKENS, teacher_epochs=12, width_epochs=0, depth_epochs=0, learning_rate=5e-3
    )
    without = replace(with_stage, tokens=(1.0,), token_epochs=0)
    for name, options in (("with", with_stage), ("without", without)):
        folder = tmp_path / name
        if name == "without":
            shutil.copytree(tmp_path / "with" / "teacher", folder / "teacher")
        train_supernet(
            model=checkpoint, task=task, folder=folder, options=options, progress=ignore
        )
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    encoded = encode(task.search, tokenizer, max_length=task.max_length)
    batch = padded(encoded, range(len(encoded)), device=torch.device("cpu"))
    del batch["labels"]
    shape = shape_of(fresh.config)
    *_, smallest = TOKENS.space_of(shape).landmarks

    def logits(folder, config):
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / folder)
        with torch.inference_mode():
            return extract(model, config)(**batch).logits

    target = logits("with/teacher", SubnetConfig.full(shape))
    distances = {
        name: (logits(f"{name}/supernet", smallest) - target).square().mean()
        for name in ("with", "without")
    }
    assert distances["with"] < 0.5 * distances["without"]


def test_a_fine_tuned_checkpoint_is_its_own_teacher(tiny_model, tmp_path):
    model = tiny_model("bert")
    checkpoint = make_checkpoint(tmp_path / "model", model)
    options = replace(OPTIONS, teacher_epochs=0, width_epochs=0, depth_epochs=0)
    folder = tmp_path / "run"
    train_supernet(
        model=checkpoint, task=make_task(), folder=folder, options=options, progress=ignore
    )
    saved = load_file(folder / "teacher" / "model.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(saved[name], tensor)


def test_transfer_texts_are_for_distillation_alone(tiny_model, tmp_path):
    checkpoint = make_checkpoint(tmp_path / "model", tiny_model("bert"))
    folder = tmp_path / "run"
    train_supernet(
        model=checkpoint,
        task=make_task(),
        folder=folder,
        options=replace(TOKENS, final_epochs=1),
        progress=ignore,
        unlabelled=make_unlabelled(),
    )
    stages = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert {stage["stage"]: stage["examples"] / stage["epochs"] for stage in stages} == {
        "teacher": 64,
        "width": 84,
        "depth": 84,
        "tokens": 84,
        "final": 64,
    }


def test_distillation_never_sees_a_label(tiny_model, tmp_path):
    """Other labels of the training texts change nothing once the teacher is there."""
    checkpoint = make_checkpoint(tmp_path / "model", tiny_model("bert"))
    options = replace(TOKENS, teacher_epochs=0, depth_epochs=1, token_epochs=1)
    task = make_task()
    others = replace(task.train, labels=tuple((label + 1) % 3 for label in task.train.labels))
    for name, asked in (("one", task), ("other", replace(task, train=others))):
        train_supernet(
            model=checkpoint,
            task=asked,
            folder=tmp_path / name,
            options=options,
            progress=ignore,
            unlabelled=make_unlabelled(),
        )
    one, other = (
        load_file(tmp_path / name / "supernet" / "model.safetensors") for name in ("one", "other")
    )
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_head_for_other_classes_is_refused(tiny_model, tmp_path):
    model = tiny_model("bert")
    model.config.id2label = {0: "last", 1: "middle", 2: "first"}
    checkpoint = make_checkpoint(tmp_path / "model", model)
    with pytest.raises(InputError, match="classifies into last, middle, first, but the task"):
        load_classifier(checkpoint, make_task(), seed=0, fine_tuned=True)


def test_a_checkpoint_without_a_head_is_no_teacher(tiny_model, tmp_path):
    model = tiny_model("bert")
    checkpoint = make_checkpoint(tmp_path / "model", model)
    model.bert.save_pretrained(checkpoint)
    with pytest.raises(InputError, match="has no trained classification head"):
        load_classifier(checkpoint, make_task(), seed=0, fine_tuned=True)


def test_an_exploding_loss_is_reported(tiny_model, tmp_path):
    model = tiny_model("bert")
    with torch.no_grad():
        model.classifier.weight.fill_(float("inf"))
    checkpoint = make_checkpoint(tmp_path / "model", model)
    with pytest.raises(InputError, match="The loss of stage teacher is nan at step 1"):
        train_supernet(
            model=checkpoint,
            task=make_task(),
            folder=tmp_path / "run",
            options=OPTIONS,
            progress=ignore,
        )


def test_a_damaged_state_is_refused(tiny_model, tmp_path):
    checkpoint = make_checkpoint(tmp_path / "model", tiny_model("bert"))
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "teacher.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="teacher.safetensors is damaged or of another model"):
        train_supernet(
            model=checkpoint,
            task=make_task(),
            folder=tmp_path / "run",
            options=OPTIONS,
            progress=ignore,
        )


KILLED = """
import os
import signal
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from test_training import AUGMENTED, make_task, make_unlabelled
from paretobert.dynabert.training import train_supernet

def train(stop):
    def report(progress):
        if (progress.stage, progress.step) == stop:
            os.kill(os.getpid(), signal.SIGKILL)

    train_supernet(model=Path(sys.argv[1]), task=make_task(), folder=Path(sys.argv[2]),
                   options=AUGMENTED, progress=report, unlabelled=make_unlabelled())

for stop in (("rates-0.001", 5), ("teacher", 5), ("tokens", 14)):
    child = os.fork()
    if not child:
        train(stop)
        os._exit(1)
    print(*stop, os.WTERMSIG(os.waitpid(child, 0)[1]))
"""
"""Each training is a process of its own, forked before any computed: importing is slow."""


def test_a_killed_run_ends_in_the_weights_of_an_unbroken_one(tiny_model, tmp_path):
    """Kill for real, three times: in a trial and in two stages, between two checkpoints."""
    checkpoint = make_checkpoint(tmp_path / "model", tiny_model("bert"))
    train_supernet(
        model=checkpoint,
        task=make_task(),
        folder=tmp_path / "unbroken",
        options=AUGMENTED,
        progress=ignore,
        unlabelled=make_unlabelled(),
    )
    command = [sys.executable, "-c", KILLED, str(checkpoint), str(tmp_path / "broken")]
    done = subprocess.run([*command, str(Path(__file__).parent)], capture_output=True, text=True)
    assert done.stdout == "rates-0.001 5 9\nteacher 5 9\ntokens 14 9\n", done.stderr
    resumed: list[TrainingProgress] = []
    train_supernet(
        model=checkpoint,
        task=make_task(),
        folder=tmp_path / "broken",
        options=AUGMENTED,
        progress=resumed.append,
        unlabelled=make_unlabelled(),
    )
    learnt = [progress for progress in resumed if progress.stage != "augment"]
    assert (learnt[0].stage, learnt[0].step) == ("tokens", 13)
    logs = [(tmp_path / name / "training.jsonl").read_text() for name in ("unbroken", "broken")]
    one, other = ([json.loads(line) for line in log.splitlines()] for log in logs)
    assert [stage["examples"] for stage in one] == [stage["examples"] for stage in other]
    assert [stage.get("search") for stage in one] == [stage.get("search") for stage in other]
    assert [stage["stage"] for stage in one[:4]] == [
        "rates-0.0005",
        "rates-0.001",
        "teacher",
        "augment",
    ]
    assert 64 < one[3]["examples"] <= 128
    assert one[4]["examples"] == 64 + 20 + one[3]["examples"]
    unbroken = load_file(tmp_path / "unbroken" / "supernet" / "model.safetensors")
    broken = load_file(tmp_path / "broken" / "supernet" / "model.safetensors")
    assert unbroken.keys() == broken.keys()
    for name, tensor in unbroken.items():
        torch.testing.assert_close(broken[name], tensor, rtol=0, atol=1e-6)


def test_where_nothing_is_learnt_half_of_the_rate_is_taken(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on after a kill to the weights of a training that was given the lower rate."""
    fine_tuning = replace(OPTIONS, width_epochs=0, depth_epochs=0, settings="auto")
    told: list[str] = []

    def trained(name: str, options: TrainingOptions, killed_at: int = -1) -> Path:
        def watch(state: TrainingProgress) -> None:
            if len(verdicts) == 0 and state.step == killed_at:
                raise Killed

        train_supernet(
            model=plain / "model",
            task=make_task(),
            folder=tmp_path / name,
            options=options,
            progress=watch,
            tell=told.append,
        )
        return tmp_path / name

    verdicts = [False]
    monkeypatch.setattr(training, "has_learnt", lambda found: not verdicts or verdicts.pop())
    with pytest.raises(Killed):
        trained("halved", fine_tuning, killed_at=7)
    halved = trained("halved", fine_tuning)
    lower = trained("lower", replace(fine_tuning, teacher_learning_rate=5e-4))
    rates = [json.loads(line)["learning_rate"] for line in _lines(halved)]
    assert rates == [1e-3, 5e-4]
    assert told[1] == "stage 0 learnt nothing at 0.001: again at 0.0005"
    ours, theirs = (load_file(run / "teacher" / "model.safetensors") for run in (halved, lower))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    verdicts += [False]
    trained("by-hand", replace(fine_tuning, by_hand=("learning_rate",)))
    assert told[-1].startswith("stage 0 learnt nothing at 0.001: it answers its own training")


def _lines(run: Path) -> list[str]:
    lines = (run / "training.jsonl").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if json.loads(line)["stage"] == "teacher"]
