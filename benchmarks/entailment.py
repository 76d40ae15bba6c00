"""Write MNLI with two classes: what a teacher for RTE can learn first.

    python benchmarks/entailment.py ../shared/data/glue/MNLI/train-subset.tsv runs/mnli.tsv
    paretobert train runs/mnli --model minilm --task files --data runs/mnli.tsv \
        --teacher-epochs 3 --teacher-learning-rate 1e-4 --width-epochs 0 --depth-epochs 0
    paretobert train runs/rte --model runs/mnli/teacher --task RTE \
        --data ../shared/data/glue/RTE --teacher-epochs 5 --teacher-learning-rate 5e-5 \
        --width-epochs 0 --depth-epochs 0

RTE has 2,490 examples, from which alone the encoder learns little. To train on a larger task of
the same kind first is what Phang, Févry and Bowman (2018) do. What is neutral or contradicts is
not entailed, as RTE has it.
"""

import argparse
import csv
from pathlib import Path

import pandas as pd

from paretobert.storage import write_text


def main() -> None:
    """Read, join two classes, and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnli", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    rows = pd.read_csv(arguments.mnli, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False)
    pairs = rows[["sentence1", "sentence2"]].assign(
        label=rows["gold_label"].where(rows["gold_label"] == "entailment", "not_entailment")
    )
    write_text(
        arguments.out,
        pairs.to_csv(sep="\t", index=False, quoting=csv.QUOTE_NONE, lineterminator="\n"),
    )


if __name__ == "__main__":
    main()
