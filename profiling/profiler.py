"""The cost table of a model's sub-networks: counted, extracted, checked, measured, saved.

Only dense copies are measured. Their parameters and multiply-adds must equal the closed form,
otherwise what is measured is not what was asked for.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from ..dynabert.extraction import extract
from ..dynabert.shape import EncoderShape
from ..dynabert.subnet import SubnetConfig
from ..errors import InputError
from .conditions import Conditions
from .counts import count_macs, count_parameters
from .crosscheck import count_macs_by_fvcore
from .environment import Environment
from .latency import Clock, Progress, Run, measure
from .protocol import LatencyProtocol
from .rounds import RoundLog
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
    progress: Callable[[Progress], None] | None = None,
    clock: Clock | None = None,
) -> LookupTable:
    """Count and measure sub-networks, and write their table.

    The full model is measured with them, as the sentinel, and comes first in the table. Every
    finished round is written to `folder/rounds/<slug>.jsonl`; called again, measuring goes on
    from there, and a table whose intervals are narrow enough is not measured again. The table
    itself is `table_path(folder, protocol)`.

    Args:
        model: The full classification model, stock or a supernet's; it stays as it is.
        configs: The sub-networks; equal ones are measured once.
        protocol: How to measure.
        folder: Where tables and rounds are kept, usually a run's `costs`.
        front: Sub-networks that are to reach `protocol.front_half_width`.
        progress: Is told after every visit how far measuring has come.
        clock: Times the runs; by default the device's own.

    Returns:
        The table, already written.

    Raises:
        InputError: When a sub-network is not one of the model's, the sequence is too long for it,
            the device is absent, the logits are not finite, or the folder holds rounds of another
            measurement.
        RuntimeError: When a dense copy has other counts than the closed form.
    """
    shape = EncoderShape.from_config(model.config)
    full = SubnetConfig.full(shape)
    wanted = tuple(dict.fromkeys((full, *configs)))
    _check_length(shape, protocol)
    networks = _dense_copies(model, shape, wanted, protocol)
    conditions = Conditions(shape, protocol, Environment.capture(device=protocol.device))
    log = RoundLog(folder / "rounds" / f"{protocol.slug}.jsonl", conditions, tuple(networks))
    finished = log.read()
    if finished:
        logger.info("%d rounds were finished before and are kept", len(finished))
    session = measure(
        networks,
        protocol,
        sentinel=full.key,
        front={config.key for config in front},
        finished=finished,
        on_round=log.append,
        progress=progress,
        clock=clock,
    )
    table = _table(shape, wanted, session)
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


def self_test(
    network: PreTrainedModel | Run,
    protocol: LatencyProtocol,
    *,
    progress: Callable[[Progress], None] | None = None,
    clock: Clock | None = None,
) -> Session:
    """Measure one network under two names, "a" and "b": an A/A test.

    `session["a"].ties_with(session["b"])` must hold, and the half-width of their ratio is the
    machine's noise floor.
    """
    networks = {"sentinel": network, "a": network, "b": network}
    return measure(networks, protocol, sentinel="sentinel", progress=progress, clock=clock)


def _dense_copies(
    model: PreTrainedModel,
    shape: EncoderShape,
    configs: tuple[SubnetConfig, ...],
    protocol: LatencyProtocol,
) -> dict[str, PreTrainedModel]:
    """Extract and check; all copies use the first one's word embeddings, which saves memory."""
    copies: dict[str, PreTrainedModel] = {}
    embeddings = None
    for profile in count_grid(shape, configs, seq_len=protocol.seq_len):
        dense = extract(model, profile.config)
        _check_counts(dense, profile)
        embeddings = embeddings or dense.get_input_embeddings()
        dense.set_input_embeddings(embeddings)
        copies[profile.config.key] = dense.to(protocol.device)  # type: ignore[arg-type]
    return copies


def _check_counts(dense: PreTrainedModel, profile: Profile) -> None:
    for name, counted, expected in (
        ("parameters", dense.num_parameters(), profile.num_params),
        (
            "multiply-adds",
            count_macs_by_fvcore(dense, seq_len=profile.seq_len),
            profile.num_macs,
        ),
    ):
        if counted != expected:
            raise RuntimeError(
                f"{profile.config.key}: the dense copy has {counted} {name}, "
                f"the closed form {expected}"
            )


def _check_length(shape: EncoderShape, protocol: LatencyProtocol) -> None:
    offset = _POSITION_OFFSET if shape.family in _OFFSET_FAMILIES else 0
    longest = shape.num_positions - offset
    if protocol.seq_len > longest:
        raise InputError(
            f"The sequence length {protocol.seq_len} is more than the model's {longest} positions."
        )


def _table(
    shape: EncoderShape, configs: tuple[SubnetConfig, ...], session: Session
) -> LookupTable:
    protocol = session.protocol
    profiles = tuple(
        replace(profile, latency=LatencySummary.from_measurement(session[profile.config.key]))
        for profile in count_grid(shape, configs, seq_len=protocol.seq_len)
    )
    return LookupTable(shape, protocol, session.environment, profiles, session.noise)
