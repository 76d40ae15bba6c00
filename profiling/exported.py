"""Measuring exported folders where they will run: no run folder, no data, no training packages.

For ONNX Runtime and OpenVINO neither torch nor transformers is needed: each folder says in its
`deployment.json` what the network is fed and which network of which run it is.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ..deploy.artefact import fingerprint, read_sealed
from ..deploy.deployment import Deployment, require_cores
from ..errors import InputError
from ..networks.network import Network
from .carried import Carried, CarriedNetwork
from .footprint import weighing
from .fresh import FreshProcesses, Written
from .measuring import MeasuringProgress, measure
from .protocol import LatencyProtocol
from .table import LatencySummary


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported folder.

    Attributes:
        folder: Where it lies.
        network: Which network it is.
        deployment: Runtime and precision.
        run: The run that it was exported from.
        protocol: How its latency was measured there.
        max_tokens: The longest text that it takes, in tokens.
    """

    folder: Path
    network: Network
    deployment: Deployment
    run: str
    protocol: LatencyProtocol
    max_tokens: int

    @property
    def key(self) -> str:
        """Network and deployment as one word."""
        return f"{self.network.id}/{self.deployment.slug}"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what a folder says of itself.

        Raises:
            InputError: When it is no exported network, or damaged.
        """
        record = read_sealed(folder)
        origin = record.get("origin")
        if not isinstance(origin, dict):
            raise InputError(
                f"{folder} does not say which network it is: export it again with "
                "`paretobert export`."
            )
        try:
            found = cls(
                folder=folder,
                network=Network.from_dict(origin["network"]),
                deployment=Deployment(record["runtime"], record["precision"]),
                run=str(origin["run"]),
                protocol=LatencyProtocol.from_dict(origin["protocol"]),
                max_tokens=record["max_tokens"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{folder} is damaged ({type(error).__name__}: {error}): export it again."
            ) from None
        if found.network.id != origin.get("id"):
            raise InputError(f"{folder} is damaged (its network has another id): export it again.")
        return found


def read_exports(folders: Sequence[Path]) -> list[Exported]:
    """Read folders that are to be measured together.

    Raises:
        InputError: When one is no exported network, or two are the same one.
    """
    found: dict[str, Exported] = {}
    for folder in folders:
        entry = Exported.read(folder)
        if entry.key in found:
            raise InputError(
                f"{found[entry.key].folder} and {folder} are the same network on "
                f"{entry.deployment.title}: name one of them."
            )
        found[entry.key] = entry
    return list(found.values())


def reference_of(exports: Sequence[Exported], folder: Path | None = None) -> Exported:
    """What ratios refer to: the folder named, else the full model, else the first.

    Raises:
        InputError: When the folder named is not among them.
    """
    if folder is not None:
        for entry in exports:
            if entry.folder.resolve() == folder.resolve():
                return entry
        raise InputError(f"The reference {folder} is not among the folders: name it twice.")
    return next((entry for entry in exports if entry.network.is_full), exports[0])


def protocol_for(reference: Exported, given: Mapping[str, Any]) -> LatencyProtocol:
    """How to measure: as the reference was measured in its run, changed by what is given.

    Args:
        reference: What ratios refer to.
        given: Fields of the protocol; with a device the rest is that device's default.
    """
    base = reference.protocol
    if given.get("device", base.device) != base.device:
        base = LatencyProtocol.of({"device": given["device"]})
    if "seq_len" in given:
        base = replace(base, lengths=())
    deployment = reference.deployment
    return replace(base, **given, runtime=deployment.runtime, precision=deployment.precision)


def measure_exports(
    exports: Sequence[Exported],
    protocol: LatencyProtocol,
    *,
    reference: Exported,
    machine: str | None = None,
    on_weighed: Callable[[int, int], None] | None = None,
    progress: Callable[[MeasuringProgress], None] | None = None,
) -> Carried:
    """Weigh exported networks and time them together in fresh processes.

    Args:
        exports: The folders.
        protocol: How to measure.
        reference: The one that ratios refer to.
        machine: What the machine is to be called; None for a name made of what it is.
        on_weighed: Is told how many networks are weighed, and of how many.
        progress: Is told after every visit how far measuring has come.

    Raises:
        InputError: When the device or a package is absent, texts are longer than a network
            takes, or logits are not finite.
    """
    longest = max(protocol.seq_len, *protocol.lengths, 1)
    for entry in exports:
        entry.deployment.require_to_run(protocol.device)
        require_cores(protocol.threads, device=protocol.device)
        if longest > entry.max_tokens:
            raise InputError(
                f"{entry.folder} takes texts of at most {entry.max_tokens} tokens, not of "
                f"{longest}: use a smaller --seq-len."
            )
    footprints = {}
    for number, entry in enumerate(exports, start=1):
        with weighing(protocol) as weigh:
            footprints[entry.key] = weigh(entry.key, entry.folder)
        if on_weighed is not None:
            on_weighed(number, len(exports))
    subjects = {entry.key: Written(entry.folder) for entry in exports}
    session = measure(
        FreshProcesses(subjects, protocol, sentinel=reference.key),
        protocol,
        networks=subjects,
        sentinel=reference.key,
        name=uuid.uuid4().hex,
        progress=progress,
    )
    return Carried(
        session=session.name,
        protocol=protocol,
        environment=replace(session.environment, name=machine),
        reference=reference.key,
        networks=tuple(
            CarriedNetwork(
                network=entry.network,
                deployment=entry.deployment,
                run=entry.run,
                fingerprint=fingerprint(entry.folder),
                latency=LatencySummary.from_measurement(session[entry.key]),
                size_bytes=footprints[entry.key].size_bytes,
                peak_memory_bytes=footprints[entry.key].peak_memory_bytes,
            )
            for entry in exports
        ),
        noise=session.noise,
        processes=session.processes,
    )
