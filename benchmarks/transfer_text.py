"""What texts without labels bring: unlabelled ones, and variants of the training texts.

    paretobert train runs/rte --model minilm --task RTE --data ../shared/data/glue/RTE
    python benchmarks/transfer_text.py runs/rte --unlabelled pairs.tsv --augment 3 \
        --out benchmarks/transfer_text/rte.json

Every arm starts from the run's fine-tuned teacher and has the run's settings but for its texts and
its epochs. More texts make an epoch longer, so each arm has a control: the training texts alone
for as many steps, to the next whole epoch. Sub-networks are scored on the report split and
compared with the same ones of the first arm, which has the run's own texts and epochs.

`--half FOLDER` makes data for a run that knows half of the labels, and ends: a GLUE folder whose
train.tsv has every second row, and `unlabelled.txt` with the texts of the others.
"""

import argparse
import csv
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from arms import Scores, in_turn, trained
from collect import command, relative

from paretobert.pipeline.run import Run
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json, write_text
from paretobert.tasks.transfer import load_unlabelled

Arm = Callable[[], tuple[Scores, dict[str, Any]]]


def halve(data: Path, into: Path) -> None:
    """Write every second row of a folder's training texts, and the texts of the others."""
    into.mkdir(parents=True)
    with (data / "train.tsv").open(encoding="utf-8", newline="\n") as file:
        head, *rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    text = head.index("sentence")
    kept = "\n".join("\t".join(row) for row in [head, *rows[::2]])
    write_text(into / "train.tsv", kept + "\n")
    write_text(into / "unlabelled.txt", "".join(f"{row[text]}\n" for row in rows[1::2]))
    for split in ("dev.tsv", "test.tsv"):
        if (data / split).exists():
            shutil.copy(data / split, into / split)


def main() -> None:
    """Train every arm and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run folder with a fine-tuned teacher, or data")
    parser.add_argument("--half", type=Path, help="write halved data here, and end")
    parser.add_argument("--unlabelled", type=Path)
    parser.add_argument("--augment", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.half is not None:
        halve(arguments.run, arguments.half)
        return
    run, environment = Run.open(arguments.run), Environment.capture()
    options = replace(run.request.training, teacher_epochs=0, teacher_rates=(), augment=0)
    labelled = len(run.task.train)
    found = (
        load_unlabelled([arguments.unlabelled], run.task, request=run.request.task)
        if arguments.unlabelled is not None
        else None
    )
    arms: dict[str, Arm] = {"training texts": lambda: trained(run, options)}

    def control(times: float) -> Arm:
        """The training texts alone, for so many times the epochs."""
        longer = replace(
            options,
            width_epochs=math.ceil(options.width_epochs * times),
            depth_epochs=math.ceil(options.depth_epochs * times),
        )
        return lambda: trained(run, longer)

    if found is not None:
        texts = found.texts
        arms["unlabelled texts"] = lambda: trained(run, options, unlabelled=texts)
        arms["training texts, steps as with unlabelled texts"] = control(1 + len(texts) / labelled)
    if arguments.augment:
        more = replace(options, augment=arguments.augment)
        arms["variants"] = lambda: trained(run, more)
        arms["training texts, steps as with variants"] = control(1 + arguments.augment)
        if found is not None:
            arms["unlabelled texts and variants"] = lambda: trained(
                run, more, unlabelled=found.texts
            )

    def keep(rows: list[dict[str, Any]]) -> None:
        record = {
            "command": command(),
            "task": relative(run.task.summary()),
            "training": options.to_dict(),
            "unlabelled": (None if found is None else [each.to_dict() for each in found.files]),
            "augment": arguments.augment,
            "environment": environment.to_dict(),
            "arms": rows,
        }
        write_json(arguments.out, record)

    in_turn(arms, finished=keep)


if __name__ == "__main__":
    main()
