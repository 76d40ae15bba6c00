"""The cost table of a model's sub-networks: counted, deployed, weighed, measured, saved.

Only deployed networks are measured (`deployed`). Their parameters and multiply-adds must equal the
closed form, otherwise what is measured is not what was asked for.
"""

import logging
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from ..deploy.runner import Inputs
from ..errors import InputError
from ..networks.shape import EncoderShape
from ..networks.subnet import SubnetConfig
from .conditions import Conditions
from .counts import count_macs, count_parameters
from .deployed import write_subnet
from .environment import Environment
from .footprint import Footprint, FootprintLog, measure_footprint
from .fresh import FreshProcesses, Written
from .measuring import MeasuringProgress, Starter, measure
from .processes import ProcessLog
from .protocol import LatencyProtocol
from .statistics import Session
from .table import LatencySummary, LookupTable, Profile

logger = logging.getLogger(__name__)

_OFFSET_FAMILIES = ("roberta", "xlm-roberta", "camembert")
_POSITION_OFFSET = 2


def profile_grid(
    model: PreTrainedModel,
    configs: Iterable[SubnetConfig],
    protocol: LatencyProtocol,
    *,
    folder: Path,
    front: Collection[SubnetConfig] = (),
    calibration: Sequence[Inputs] = (),
    with_footprints: bool = True,
    deploying: Callable[[int, int], None] | None = None,
    progress: Callable[[MeasuringProgress], None] | None = None,
    starter: Callable[[FreshProcesses], Starter] = lambda fresh: fresh,
) -> LookupTable:
    """Count, deploy and measure sub-networks, and write their table.

    The full model is measured with them, as the sentinel, and comes first in the table. Every
    finished process and every footprint is written to `folder/rounds`; called again, measuring
    goes on from there, and a table whose intervals are narrow enough is not measured again. The
    table itself is `table_path(folder, protocol)`.

    Args:
        model: The full classification model, stock or a supernet's; it stays as it is.
        configs: The sub-networks; equal ones are measured once.
        protocol: How to measure.
        folder: Where tables and rounds are kept, usually a run's `costs`.
        front: Sub-networks that are to reach `protocol.front_half_width`.
        calibration: Batches of real text, for runtimes that quantise with them.
        with_footprints: Whether sizes and memory are wanted too; a process per network.
        deploying: Is told how many networks are deployed and weighed, and of how many.
        progress: Is told after every visit how far measuring has come.
        starter: Gives what measures in place of fresh processes.

    Returns:
        The table, already written.

    Raises:
        InputError: When a sub-network is not one of the model's, the sequence is too long for it,
            the device, the runtime or a package is absent, the logits are not finite, or the
            folder holds another measurement.
        RuntimeError: When a dense copy has other counts than the closed form.
    """
    protocol.deployment.require(protocol.device)
    shape = EncoderShape.from_config(model.config)
    full = SubnetConfig.full(shape)
    wanted = {config.key: config for config in (full, *configs)}
    for config in wanted.values():
        config.validate_for(shape)
    _check_length(shape, protocol)
    environment = Environment.capture(device=protocol.device, runtime=protocol.runtime)
    conditions = Conditions(shape, protocol, environment)
    log = ProcessLog(
        folder / "rounds" / f"{protocol.slug}.jsonl", uuid.uuid4().hex, conditions, tuple(wanted)
    )
    name, finished = log.read()
    if finished:
        logger.info("%d processes were finished before and are kept", len(finished))
    sizes = FootprintLog(folder / "rounds" / f"{protocol.slug}.sizes.jsonl", conditions)
    footprints = sizes.read()
    with tempfile.TemporaryDirectory() as scratch:
        subjects = {key: Written(Path(scratch) / key) for key in wanted}
        for number, (key, config) in enumerate(wanted.items(), start=1):
            written = subjects[key].folder
            write_subnet(model, config, protocol.deployment, written, calibration=calibration)
            if with_footprints and key not in footprints:
                footprints[key] = measure_footprint(written, protocol)
                sizes.append(footprints[key])
            if deploying is not None:
                deploying(number, len(wanted))
        fresh = FreshProcesses(
            subjects,
            protocol,
            sentinel=full.key,
            vocab_size=model.config.vocab_size,
            padding_id=model.config.pad_token_id,
        )
        session = measure(
            starter(fresh),
            protocol,
            networks=wanted,
            sentinel=full.key,
            name=name,
            front={config.key for config in front},
            finished=finished,
            on_process=log.append,
            progress=progress,
        )
    table = _table(shape, wanted, session, footprints=footprints)
    table.save(table_path(folder, protocol))
    return table


def table_path(folder: Path, protocol: LatencyProtocol) -> Path:
    """Where `profile_grid` writes the table of a protocol."""
    return folder / f"{protocol.slug}.jsonl"


def count_grid(
    shape: EncoderShape, configs: Iterable[SubnetConfig], *, seq_len: int
) -> tuple[Profile, ...]:
    """Closed-form profiles without latency, equal sub-networks once."""
    return tuple(
        Profile(
            config=config,
            num_params=count_parameters(shape, config),
            num_macs=count_macs(shape, config, seq_len=seq_len),
            seq_len=seq_len,
        )
        for config in dict.fromkeys(configs)
    )


def _check_length(shape: EncoderShape, protocol: LatencyProtocol) -> None:
    offset = _POSITION_OFFSET if shape.family in _OFFSET_FAMILIES else 0
    longest = shape.num_positions - offset
    asked = max(protocol.seq_len, *protocol.lengths, 1)
    if asked > longest:
        raise InputError(
            f"The sequence length {asked} is more than the model's {longest} positions."
        )


def _table(
    shape: EncoderShape,
    configs: Mapping[str, SubnetConfig],
    session: Session,
    *,
    footprints: Mapping[str, Footprint],
) -> LookupTable:
    protocol = session.protocol
    counts = count_grid(shape, configs.values(), seq_len=protocol.seq_len)
    profiles = []
    for key, profile in zip(configs, counts, strict=True):
        footprint = footprints.get(key)
        profiles.append(
            replace(
                profile,
                latency=LatencySummary.from_measurement(session[key]),
                size_bytes=None if footprint is None else footprint.size_bytes,
                peak_memory_bytes=None if footprint is None else footprint.peak_memory_bytes,
                energy_j=session.energies_j.get(key),
            )
        )
    return LookupTable(shape, protocol, session.environment, tuple(profiles), session.noise)
