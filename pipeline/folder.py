"""The run folder: where each step's files lie, and `run.json`, what was asked (no torch).

    run.json            the request with every option resolved, the task's summary, versions
    teacher/ supernet/  checkpoints; a killed training keeps its own beside them
    variants/           variants of the training texts, which supernet and students learn from
    networks/<id>/      networks that a method or the user brought; `network/` is the checkpoint
    ledger.db           everything learnt about networks: scores, latencies, sizes (`ledger`)
    predictors/         latency predictors and the measurements behind them
    study.journal       the search
    training.jsonl      the wall time of each training stage
    steps.jsonl         the wall time of each step
    log.txt             what each command said
    report/             index.html with figures/ and tables/

`run.json` is written once. A later call with the same request resumes the run; with another
request it is refused, naming what differs.
"""

import platform
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..storage import read_json, write_json

SCHEMA = 2
"""The version of `run.json`; 1 was that of paretobert 0.1."""

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
    def teacher(self) -> Path:
        """The fine-tuned full model's checkpoint."""
        return self.root / "teacher"

    @property
    def ledger(self) -> Path:
        """Everything learnt about networks, where no other database was asked for."""
        return self.root / "ledger.db"

    def network(self, identifier: str) -> Path:
        """The folder of a stored network, by its id."""
        return self.root / "networks" / identifier

    @property
    def repaired(self) -> Path:
        """What was solved for repaired sub-networks, a file for each."""
        return self.root / "repaired"

    def predictor(self, conditions_id: str) -> Path:
        """A latency predictor, by the id of the conditions that it holds under."""
        return self.root / "predictors" / f"{conditions_id}.json"

    @property
    def study(self) -> Path:
        """The search's journal."""
        return self.root / "study.journal"

    @property
    def training(self) -> Path:
        """How each training stage went."""
        return self.root / "training.jsonl"

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
            f"start one with `paretobert run {folder.root} --model ... --task ...`."
        )
    manifest = read_json(folder.manifest)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("request"), dict):
        raise InputError(f"{folder.manifest} does not describe a run: the file is damaged.")
    if manifest.get("schema") == 1:
        raise InputError(
            f"{folder.root} was written by paretobert 0.1, whose run folders this version does "
            "not read: start a new run in another folder."
        )
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
) -> None:
    """Make the folder a run's own: write its manifest, or find the same request already there.

    Args:
        folder: The run folder, which may not exist yet.
        request: Everything that was asked, as JSON types.
        task: The summary of the loaded task.

    Raises:
        InputError: When the folder holds another run or other files.
    """
    if folder.manifest.exists():
        manifest = read_manifest(folder)
        refuse_difference(folder, manifest["request"], request)
        refuse_difference(folder, {"task": manifest["task"]}, {"task": task})
        return
    if folder.root.exists() and (not folder.root.is_dir() or any(folder.root.iterdir())):
        raise InputError(
            f"{folder.root} exists and is not a run folder: give a new or empty folder."
        )
    write_json(
        folder.manifest,
        {
            "schema": SCHEMA,
            "run": uuid.uuid4().hex,
            "request": request,
            "task": task,
            "versions": versions(),
        },
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
