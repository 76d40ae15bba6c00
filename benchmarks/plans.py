"""What trainings would cost, by model and data, on one thread: what `paretobert run --plan` says.

    python benchmarks/plans.py --data ../shared/data --out benchmarks/plans.json

MiniLM is the checkpoint; the other models have its vocabulary, sizes of BERT's published family
(Turc et al. 2019) and random weights, since costs do not depend on weights. A plan trains a few
steps of each stage and scales their times up. Settings are the default ones, so that epochs
differ with the number of texts.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from collect import command
from launched import printed
from transformers import AutoTokenizer, BertConfig, BertModel

from paretobert.encoders.checkpoints import find_checkpoint
from paretobert.profiling.environment import Environment
from paretobert.storage import write_json

MINILM = "minilm"
SIZES = {
    "BERT-small": {"num_hidden_layers": 4, "hidden_size": 512, "num_attention_heads": 8},
    "BERT-base": {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12},
}
TASKS = {"SST-2": "sst2-sentence", "QNLI": "glue/QNLI"}
"""Each task with its data's folder: single sentences, and pairs of about twice their length."""

ASKED = ((MINILM, "SST-2"), (MINILM, "QNLI"), ("BERT-small", "SST-2"), ("BERT-base", "SST-2"))


def checkpoint_of(name: str, folder: Path) -> str:
    """A model as `--model` takes it, written where it has random weights."""
    if name == MINILM:
        return name
    tokenizer = AutoTokenizer.from_pretrained(find_checkpoint(MINILM).folder)
    sizes = SIZES[name]
    config = BertConfig(
        vocab_size=len(tokenizer), intermediate_size=4 * sizes["hidden_size"], **sizes
    )
    BertModel(config).save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
    return str(folder / name)


def plan(model: str, task: str, data: Path) -> dict[str, Any]:
    """The plan of a run, from a process of its own, whose peak memory it tells."""
    asked = ("--model", model, "--task", task, "--data", str(data), "--plan", "--json")
    with tempfile.TemporaryDirectory() as scratch:
        text = printed("run", f"{scratch}/run", *asked, OMP_NUM_THREADS="1")
    found: dict[str, Any] = json.loads(text)
    return found


def main() -> None:
    """Plan each, and write what was said."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    environment, plans = Environment.capture(), []
    with tempfile.TemporaryDirectory() as written:
        for name, task in ASKED:
            found = plan(checkpoint_of(name, Path(written)), task, arguments.data / TASKS[task])
            print(name, task, round(found["seconds"] / 60), file=sys.stderr)
            plans.append({"model": name, "task": task, **found})
            write_json(
                arguments.out,
                {"command": command(), "environment": environment.to_dict(), "plans": plans},
            )


if __name__ == "__main__":
    main()
