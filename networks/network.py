"""What a network is, whatever made it: the noun of everything that is scored, timed and shipped.

A network is *cut* from a run's supernet, *stored* in a folder of its own (whatever a method or a
user brings), or *printed*: known from a publication and never run here. Its id is a hash of how it
comes to be, so that two requests for the same network are one: nothing is trained, scored or timed
twice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal, Self

from ..errors import InputError, listed, shortened
from ..storage import is_name
from .shape import EncoderShape
from .space import Space
from .subnet import SubnetConfig

ID_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Cut:
    """A sub-network of the run's supernet.

    Attributes:
        shape: Sizes of the supernet's full model.
        config: What is kept of it.
    """

    kind: ClassVar[Literal["cut"]] = "cut"

    shape: EncoderShape
    config: SubnetConfig

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which network this is."""
        return {"cut": self.config.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"kind": self.kind, "shape": self.shape.to_dict(), "config": self.config.to_dict()}


@dataclass(frozen=True, slots=True)
class Stored:
    """A network in a folder of its own, `networks/<id>` of the run.

    Attributes:
        method: Name of the method that made it.
        asked: What the method was asked, as JSON types.
        shape: Sizes of the model that `config` is a part of: its own, not the supernet's.
        config: What is kept of it.
    """

    kind: ClassVar[Literal["stored"]] = "stored"

    method: str
    asked: Mapping[str, Any]
    shape: EncoderShape
    config: SubnetConfig

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which network this is; its sizes may be known only when it is made."""
        return stored_identity(self.method, self.asked)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {
            "kind": self.kind,
            "method": self.method,
            "asked": dict(self.asked),
            "shape": self.shape.to_dict(),
            "config": self.config.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Printed:
    """A network that is known from a publication.

    Attributes:
        source: Where its numbers were read.
    """

    kind: ClassVar[Literal["printed"]] = "printed"

    source: str

    @property
    def identity(self) -> dict[str, Any]:
        """What decides which network this is, beside its label."""
        return {"printed": self.source}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"kind": self.kind, "source": self.source}


Kind = Literal["cut", "stored", "printed"]
Recipe = Cut | Stored | Printed


@dataclass(frozen=True)
class Network:
    """A network and how it comes to be.

    Attributes:
        label: What people call it.
        recipe: Where it is from.
    """

    label: str
    recipe: Recipe

    def __post_init__(self) -> None:
        """Check the label, which people will see.

        Raises:
            InputError: When the label cannot be written or shown.
        """
        if not self.label.strip():
            raise ValueError("a network has a label")
        if not is_name(self.label):
            raise InputError(
                f"The network's label {shortened(self.label)} cannot be written or shown: choose "
                "another."
            )

    @cached_property
    def id(self) -> str:
        """Its short name among all networks of a run, safe as a file name: a hash."""
        label = {"label": self.label} if isinstance(self.recipe, Printed) else {}
        return identifier(self.recipe.identity | label)

    @property
    def kind(self) -> Kind:
        """What kind of recipe it has."""
        return self.recipe.kind

    @property
    def config(self) -> SubnetConfig | None:
        """What it keeps of a model of `shape`; None for a printed one."""
        return None if isinstance(self.recipe, Printed) else self.recipe.config

    @property
    def shape(self) -> EncoderShape | None:
        """The sizes that `config` refers to; None for a printed one."""
        return None if isinstance(self.recipe, Printed) else self.recipe.shape

    @property
    def is_cut(self) -> bool:
        """Whether it is a sub-network of the run's supernet."""
        return isinstance(self.recipe, Cut)

    @property
    def is_full(self) -> bool:
        """Whether it is the supernet's full model, which latencies are relative to."""
        recipe = self.recipe
        return isinstance(recipe, Cut) and recipe.config == SubnetConfig.full(recipe.shape)

    @property
    def name(self) -> str:
        """What sentences call it: a sub-network's key, which says what it is, else the label."""
        return self.recipe.config.key if isinstance(self.recipe, Cut) else self.label

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return {"label": self.label, "recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote.

        Raises:
            ValueError: When the recipe is of no known kind.
        """
        recipe = record["recipe"]
        if recipe["kind"] == "printed":
            return cls(record["label"], Printed(recipe["source"]))
        shape = _shape(tuple(recipe["shape"].items()))
        config = SubnetConfig.from_dict(recipe["config"])
        if recipe["kind"] == "cut":
            return cls(record["label"], Cut(shape, config))
        if recipe["kind"] == "stored":
            stored = Stored(recipe["method"], dict(recipe["asked"]), shape, config)
            return cls(record["label"], stored)
        raise ValueError(f"{recipe['kind']!r} is no kind of network")


def find_network(networks: Mapping[str, Network], name: str) -> Network:
    """A network by its id or the beginning of it, its label, its key, or `full`.

    Raises:
        InputError: When none or several are meant; the message lists the networks.
    """
    found = {
        network.id: network
        for network in networks.values()
        if name in (network.id, network.label, network.name)
        or (name == "full" and network.is_full)
    } or {
        identifier: network
        for identifier, network in networks.items()
        if len(name) >= 4 and identifier.startswith(name)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    reason = "Several networks are" if found else "There is no network"
    known = listed(f"{n.id} ({n.label})" for n in (found or networks).values())
    raise InputError(f"{reason} called {name!r}: the run has {known}.")


def find_of_space(networks: Mapping[str, Network], space: Space, name: str) -> Network:
    """A network by what it is called (`find_network`), or any of the space by its key.

    Raises:
        InputError: When there is no such network, or several are meant.
    """
    try:
        return find_network(networks, name)
    except InputError as refusal:
        try:
            config = SubnetConfig.from_key(name)
        except InputError:
            raise refusal from None
        if not space.contains(config):
            raise
        return Network(config.key, Cut(space.shape, config))


def find_cut(networks: Mapping[str, Network], space: Space, name: str) -> SubnetConfig:
    """What a sub-network of the supernet keeps, by any name of it; see `find_of_space`.

    Raises:
        InputError: When there is no such network, or it is not cut from the supernet.
    """
    network = find_of_space(networks, space, name)
    if not isinstance(network.recipe, Cut):
        raise InputError(
            f"{network.label} has weights of its own: name a network that is cut from the "
            "supernet."
        )
    return network.recipe.config


@lru_cache(maxsize=64)
def _shape(items: tuple[tuple[str, Any], ...]) -> EncoderShape:
    """A shape read back; the networks of a run share few."""
    return EncoderShape.from_dict(dict(items))


def stored_identity(method: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What decides which network a method makes; its folder is named before it is made."""
    return {"method": method, "asked": dict(asked)}


def identifier(identity: Mapping[str, Any]) -> str:
    """A short hash of JSON types, the same on every machine."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]
