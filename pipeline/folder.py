"""The run folder: where each step's files lie, and `run.json`, what was asked (no torch).

    run.json            the request with every option resolved, the task's summary, versions
    teacher/ supernet/  checkpoints; a killed training keeps its own beside them
    costs/*.jsonl       one table of parameters, FLOPs, latency, sizes for each measuring protocol
    costs/*.selftest.json   what the measuring self-test found
    costs/predictors/   latency predictors and the measurements behind them
    study.journal       the search
    evaluations.jsonl   per-example outcomes of each sub-network on the search and report splits
    deliveries.jsonl    the answers of queries: latency measured again
    training.jsonl      the wall time of each training stage
    power.jsonl         PoWER-BERT networks, scored and measured; power/*/ holds each
    steps.jsonl         the wall time of each step
    report/             index.html with figures/ and tables/

`run.json` is written once. A later call with the same request resumes the run; with another
request it is refused, naming what differs.
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..storage import read_json, write_json

SCHEMA = 1
"""The version of `run.json`."""

_PACKAGES = ("paretobert", "torch", "transformers", "optuna", "numpy", "scikit-learn")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths inside a run folder.

    Attributes:
        root: The run folder itself.
    """

    root: Path

    @property
    def manifest(self) -> Path:
        """What was asked."""
        return self.root / "run.json"

    @property
    def supernet(self) -> Path:
        """The trained supernet's checkpoint."""
        return self.root / "supernet"

    @property
    def costs(self) -> Path:
        """The folder of cost tables."""
        return self.root / "costs"

    def self_test(self, slug: str) -> Path:
        """What the self-test found, by the protocol's slug."""
        return self.costs / f"{slug}.selftest.json"

    @property
    def predictors(self) -> Path:
        """The folder of latency predictors and of the measurements behind them."""
        return self.costs / "predictors"

    def predictor(self, slug: str) -> Path:
        """A latency predictor, by the protocol's slug."""
        return self.predictors / f"{slug}.json"

    @property
    def powers(self) -> Path:
        """The PoWER-BERT networks, scored and measured."""
        return self.root / "power.jsonl"

    def power(self, slug: str) -> Path:
        """The folder of a PoWER-BERT network, by its target."""
        return self.root / "power" / slug

    @property
    def study(self) -> Path:
        """The search's journal."""
        return self.root / "study.journal"

    @property
    def evaluations(self) -> Path:
        """Outcomes on the search and report splits."""
        return self.root / "evaluations.jsonl"

    @property
    def deliveries(self) -> Path:
        """The answers of queries, with the latency measured again."""
        return self.root / "deliveries.jsonl"

    @property
    def steps(self) -> Path:
        """The wall time of each step that did something."""
        return self.root / "steps.jsonl"

    @property
    def report(self) -> Path:
        """The report's folder."""
        return self.root / "report"


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Read what a run was asked.

    Raises:
        InputError: When the folder is no run folder, or its manifest is damaged.
    """
    if not folder.manifest.exists():
        raise InputError(
            f"{folder.root} is not a run folder (it has no run.json): "
            f"start one with `paretobert run --out {folder.root}`."
        )
    manifest = read_json(folder.manifest)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("request"), dict):
        raise InputError(f"{folder.manifest} does not describe a run: the file is damaged.")
    if manifest.get("schema") != SCHEMA:
        raise InputError(
            f"{folder.manifest} has schema {manifest.get('schema')!r}, but this version of "
            f"paretobert reads schema {SCHEMA}: start a new run."
        )
    return manifest


def claim(
    folder: RunFolder,
    request: Mapping[str, Any],
    *,
    task: Mapping[str, Any],
    upgrade: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> None:
    """Make the folder a run's own: write its manifest, or find the same request already there.

    Args:
        folder: The run folder, which may not exist yet.
        request: Everything that was asked, as JSON types.
        task: The summary of the loaded task.
        upgrade: Gives a request of an earlier version the settings that it did not have.

    Raises:
        InputError: When the folder holds another run or other files.
    """
    if folder.manifest.exists():
        manifest = read_manifest(folder)
        refuse_difference(folder, upgrade(manifest["request"]), request)
        refuse_difference(folder, {"task": manifest["task"]}, {"task": task})
        return
    if folder.root.exists() and (not folder.root.is_dir() or any(folder.root.iterdir())):
        raise InputError(
            f"{folder.root} exists and is not a run folder: give --out a new or empty folder."
        )
    write_json(
        folder.manifest,
        {"schema": SCHEMA, "request": request, "task": task, "versions": versions()},
    )


def refuse_difference(
    folder: RunFolder, existing: Mapping[str, Any], asked: Mapping[str, Any]
) -> None:
    """Raise if what is asked differs from what the folder's run was asked.

    Raises:
        InputError: Naming up to three settings that differ, with both values.
    """
    found = list(_differences(existing, asked))
    if found:
        shown = "; ".join(f"{name} is {old!r} there, {new!r} here" for name, old, new in found[:3])
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        raise InputError(
            f"{folder.root} holds another run ({shown}{more}): "
            "ask for the same to resume it, or choose another folder."
        )


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide a run's numbers."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys((*old, *new)):
        a, b = old.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _differences(a, b, f"{prefix}{name}.")
        elif a != b:
            yield f"{prefix}{name}", a, b
