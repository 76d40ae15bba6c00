"""How much the texts that a repair reads change what it gives: several draws side by side.

    for seed in 1 2 3; do
        python benchmarks/closed_form.py runs/sst2s --seed $seed --widths .5 .33 .25 \
            --proposals 0 --out benchmarks/closed_form/sst2-draw-$seed.json
    done
    python benchmarks/closed_form_draws.py benchmarks/closed_form/sst2-draw-*.json \
        --out benchmarks/closed_form_draws/sst2.json

All are of one full model and one report split. A row is a pair of a width and a depth; its losses
are against the full model, mean and extremes over the draws.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collect import command

from paretobert.storage import read_json, write_json

POINTS = 0.03


def row(width: float, depth: float, networks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the draws of one pair say.

    Args:
        width: The width multiplier.
        depth: The depth multiplier.
        networks: The entries of `closed_form.py`, one of each draw.
    """
    losses = [entry["loss"]["value"] for entry in networks]
    return {
        "width": width,
        "depth": depth,
        "operations_ratio": networks[0]["operations_ratio"],
        "cut": networks[0]["cut"]["value"],
        "repaired": statistics.mean(entry["repaired"]["value"] for entry in networks),
        "loss": {
            "mean": statistics.mean(losses),
            "least": min(losses),
            "most": max(losses),
        },
        "ties_with_the_full_model": sum(entry["loss"]["tie"] for entry in networks),
        "within_3_points": sum(loss <= POINTS for loss in losses),
    }


def together(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the draws say together.

    Args:
        records: What `closed_form.py` wrote of each.
    """
    pairs: dict[tuple[float, float], list[dict[str, Any]]] = {}
    for record in records:
        for entry in record["sub_networks"]:
            if not entry["proposed"]:
                pairs.setdefault((entry["width"], entry["depth"]), []).append(entry)
    return {
        "task": records[0]["task"],
        "texts": records[0]["texts"],
        "seeds": [record["seed"] for record in records],
        "examples": records[0]["outcomes"]["n"],
        "full": records[0]["full"],
        "collecting_cpu_s": [record["collecting"]["cpu_s"] for record in records],
        "ordering_cpu_s": [record["ordering"]["cpu_s"] for record in records],
        "pairs": [row(*pair, entries) for pair, entries in pairs.items()],
    }


def main() -> None:
    """Read the draws and write what they say together."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("draws", type=Path, nargs="+", help="files of closed_form.py")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    record = together([read_json(path) for path in arguments.draws])
    write_json(arguments.out, {"command": command(), **record})


if __name__ == "__main__":
    main()
