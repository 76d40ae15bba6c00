"""The cost table of a model's sub-networks: counted, deployed, weighed, measured, saved.

Only deployed networks are measured (`deployed`). Their parameters and multiply-adds must equal the
closed form, otherwise what is measured is not what was asked for.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from ..dynabert.shape import EncoderShape
from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from .conditions import Conditions
from .counts import count_macs, count_parameters
from .deployed import bound_run, write_subnet
from .energy import EnergyCounter, energy_counter
from .environment import Environment
from .footprint import Footprint, FootprintLog, measure_footprint
from .inputs import Batch
from .latency import Clock, Progress, Run, measure, quiet
from .protocol import LatencyProtocol
from .rounds import RoundLog
from .statistics import Session
from .table import LatencySummary, LookupTable, Profile

logger = logging.getLogger(__name__)

_OFFSET_FAMILIES = ("roberta", "xlm-roberta", "camembert")
_POSITION_OFFSET = 2
_ENERGY_S = 1.0


def profile_grid(
    model: PreTrainedModel,
    configs: Iterable[SubnetConfig],
    protocol: LatencyProtocol,
    *,
    folder: Path,
    front: Collection[SubnetConfig] = (),
    calibration: Sequence[Batch] = (),
    with_footprints: bool = True,
    deploying: Callable[[int, int], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    clock: Clock | None = None,
) -> LookupTable:
    """Count, deploy and measure sub-networks, and write their table.

    The full model is measured with them, as the sentinel, and comes first in the table. Every
    finished round and every footprint is written to `folder/rounds`; called again, measuring goes
    on from there, and a table whose intervals are narrow enough is not measured again. The table
    itself is `table_path(folder, protocol)`.

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
        clock: Times the runs; by default the device's own.

    Returns:
        The table, already written.

    Raises:
        InputError: When a sub-network is not one of the model's, the sequence is too long for it,
            the device, the runtime or a package is absent, the logits are not finite, or the
            folder holds rounds of another measurement.
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
    log = RoundLog(folder / "rounds" / f"{protocol.slug}.jsonl", conditions, tuple(wanted))
    finished = log.read()
    if finished:
        logger.info("%d rounds were finished before and are kept", len(finished))
    sizes = FootprintLog(folder / "rounds" / f"{protocol.slug}.sizes.jsonl", conditions)
    footprints = sizes.read()
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for key, config in wanted.items():
            written = Path(scratch) / key
            write_subnet(model, config, protocol.deployment, written, calibration=calibration)
            if with_footprints and key not in footprints:
                footprints[key] = measure_footprint(written, protocol)
                sizes.append(footprints[key])
            runs[key] = bound_run(
                written,
                protocol,
                vocab_size=model.config.vocab_size,
                padding_id=model.config.pad_token_id,
            )
            shutil.rmtree(written)
            if deploying is not None:
                deploying(len(runs), len(wanted))
    session = measure(
        runs,
        protocol,
        sentinel=full.key,
        front={config.key for config in front},
        finished=finished,
        on_round=log.append,
        progress=progress,
        clock=clock,
    )
    table = _table(
        shape, wanted, session, footprints=footprints, energies=_energies(runs, protocol)
    )
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


def _energies(runs: Mapping[str, Run], protocol: LatencyProtocol) -> dict[str, float]:
    """Joules of one batch of each network; none where the machine has no counter."""
    counter = energy_counter(protocol.device)
    if counter is None:
        return {}
    num_batches = len(protocol.batch_lengths)
    with quiet(protocol):
        return {key: _energy_j(run, counter) / num_batches for key, run in runs.items()}


def _energy_j(run: Run, counter: EnergyCounter) -> float:
    start_s, start_j, num_runs = time.perf_counter(), counter.joules(), 0
    while num_runs == 0 or time.perf_counter() - start_s < _ENERGY_S:
        run()
        num_runs += 1
    return (counter.joules() - start_j) / num_runs


def _table(
    shape: EncoderShape,
    configs: Mapping[str, SubnetConfig],
    session: Session,
    *,
    footprints: Mapping[str, Footprint],
    energies: Mapping[str, float],
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
                energy_j=energies.get(key),
            )
        )
    return LookupTable(shape, protocol, session.environment, tuple(profiles), session.noise)
