"""A run with transfer texts: what it records, learns from, and refuses when they have changed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paretobert import InputError, Run, TaskRequest, TrainingOptions
from paretobert.pipeline.request import RunRequest
from paretobert.pipeline.steps.report import _transfer
from paretobert.profiling.protocol import LatencyProtocol

TRAINING = TrainingOptions(
    widths=(1.0, 0.5),
    depths=(1.0, 0.5),
    teacher_epochs=1,
    width_epochs=1,
    depth_epochs=1,
    learning_rate=3e-3,
    precision="fp32",
)


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    """Two files: plain lines, some of them held out or known, and a table."""
    lines = [
        f"the {noun} was old and {colour}"
        for noun in ("coat", "boat")
        for colour in ("red", "blue")
    ]
    plain = tmp_path / "b.txt"
    plain.write_text("\n".join([*lines, "", "the old coat is red", "The a boat is green."]) + "\n")
    table = tmp_path / "a.csv"
    table.write_text("text,when\na bright house was grey and small,1\n")
    return [plain, table]


def create(
    folder: Path,
    data: Path,
    checkpoint: Path,
    texts: list[Path],
    *,
    training: TrainingOptions = TRAINING,
) -> Run:
    return Run.create(
        folder,
        model=checkpoint,
        task=TaskRequest("files", data=data, max_length=32),
        training=training,
        protocol=LatencyProtocol(seq_len=8),
        unlabelled=texts,
    )


def test_a_run_keeps_its_files_and_learns_from_them(
    texts: list[Path],
    colours_csv: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = create(tmp_path / "run", colours_csv, tiny_checkpoint, [Path("b.txt"), Path("a.csv")])
    request = json.loads((tmp_path / "run" / "run.json").read_text())["request"]
    assert list(request["unlabelled"]) == [str(path) for path in sorted(texts)]
    plain = request["unlabelled"][str(texts[0])]
    assert (plain["rows"], plain["empty"], plain["kept"]) == (7, 1, 4)
    assert plain["held_out"] + plain["in_training"] == 2
    assert RunRequest.from_dict(request) == run.request
    Run.open(tmp_path / "run").train()
    log = (tmp_path / "run" / "training.jsonl").read_text().splitlines()
    examples = {stage["stage"]: stage["examples"] for stage in map(json.loads, log)}
    assert examples["width"] == examples["depth"] == examples["teacher"] + 5
    texts[0].unlink()
    Run.open(tmp_path / "run").train()
    shown = f"1 of 1 in {texts[1]}, 4 of 7 in {texts[0]}"
    assert _transfer(run.request) == {"unlabelled texts": shown}


def test_a_changed_file_is_named(
    texts: list[Path], colours_csv: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    create(folder, colours_csv, tiny_checkpoint, texts)
    create(folder, colours_csv, tiny_checkpoint, list(reversed(texts)))
    with pytest.raises(InputError, match="unlabelled.*b.txt is .* there, None here"):
        create(folder, colours_csv, tiny_checkpoint, texts[1:])
    original = texts[0].read_text()
    texts[0].write_text(original + "a new boat\n")
    with pytest.raises(InputError, match=r"unlabelled.*/b.txt.fingerprint is"):
        create(folder, colours_csv, tiny_checkpoint, texts)
    with pytest.raises(InputError, match=r"unlabelled.*/b.txt.fingerprint is"):
        Run.open(folder).train()
    texts[0].unlink()
    with pytest.raises(InputError, match="b.txt does not exist"):
        Run.open(folder).train()
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_closed_form_repair_learns_from_them_too(
    texts: list[Path], colours_csv: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Training texts alone are drawn where all of them fit; the files add theirs."""
    closed = replace(TRAINING, recipe="closed-form")
    weights = {}
    for name, files in (("with", texts), ("without", [])):
        run = create(tmp_path / name, colours_csv, tiny_checkpoint, files, training=closed)
        run.train()
        network = list(run.context.subnets().values())[-1]
        model = run.context.workshop.build(network)
        weights[name] = torch.cat([parameter.flatten() for parameter in model.parameters()])
    assert not torch.equal(weights["with"], weights["without"])
    texts[0].write_text("another text\n")
    again = Run.open(tmp_path / "with").context
    assert again.workshop.build(list(again.subnets().values())[-1])
    with pytest.raises(InputError, match="b.txt.fingerprint is"):
        again.workshop.build(list(again.subnets().values())[1])
    with pytest.raises(InputError, match="no stage distils"):
        replace(closed, augment=1)
