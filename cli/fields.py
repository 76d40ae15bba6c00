"""Command-line options made from the fields of a frozen record.

A command asks for them with a parameter annotated `Annotated[Given, FieldsOf(Record, ...)]` and
receives a dictionary of those that the user gave; the rest keep the record's own defaults. So
every option is a field of a record, its help is the field's line in the record's docstring, and
its default cannot drift from the record's.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import typer

from ..errors import InputError, shortened

Given = dict[str, Any]
"""Values by field name, of the fields that the user gave."""


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """Which fields of a record become options.

    Attributes:
        record: A dataclass with an "Attributes:" section in its docstring.
        panel: The heading that the options are listed under.
        names: The option of each field that is not simply `--field-name`.
        without: Fields that become no option.
    """

    record: type[Any]
    panel: str
    names: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    @property
    def hints(self) -> dict[str, Any]:
        """The type of each field."""
        return get_type_hints(self.record)

    def parameters(self, prefix: str) -> dict[str, inspect.Parameter]:
        """The option of each field, as a parameter named with `prefix`."""
        helps = _attribute_lines(self.record)
        return {
            entry.name: _parameter(
                f"{prefix}__{entry.name}",
                self.hints[entry.name],
                words=option_words(entry.name, self.names),
                help=helps[entry.name],
                default=_shown_default(entry),
                panel=self.panel,
            )
            for entry in fields(self.record)
            if entry.name not in self.without
        }


@dataclass(frozen=True, slots=True)
class FieldsOfAny:
    """The fields of several records, one of which is chosen; equal names are one option.

    An option's default is shown where all records that have it agree.

    Attributes:
        records: By name, dataclasses with an "Attributes:" section in their docstrings.
        names: The option of each field that is not simply `--field-name`.
        without: Fields that become no option.
    """

    records: Mapping[str, type[Any]]
    names: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    def parameters(self, prefix: str) -> dict[str, inspect.Parameter]:
        """The option of each field, listed under the names of the records that have it.

        Raises:
            TypeError: When a field has other types in other records.
        """
        owners: dict[str, list[str]] = {}
        for name, record in self.records.items():
            for entry in fields(record):
                if entry.name not in self.without:
                    owners.setdefault(entry.name, []).append(name)
        return {field: self._option(field, names, prefix) for field, names in owners.items()}

    @property
    def hints(self) -> dict[str, Any]:
        """The type of each field."""
        return {
            name: hint
            for record in self.records.values()
            for name, hint in get_type_hints(record).items()
        }

    def _option(self, name: str, owners: Sequence[str], prefix: str) -> inspect.Parameter:
        """The option of a field that some records have."""
        records = [self.records[owner] for owner in owners]
        types = {_without_none(get_type_hints(record)[name]) for record in records}
        if len(types) > 1:
            raise TypeError(f"{name} has different types in {' and '.join(owners)}")
        defaults = {
            _shown_default(entry)
            for record in records
            for entry in fields(record)
            if entry.name == name
        }
        return _parameter(
            f"{prefix}__{name}",
            self.hints[name],
            words=option_words(name, self.names),
            help=_attribute_lines(records[0])[name],
            default=defaults.pop() if len(defaults) == 1 else "",
            panel=", ".join(owners),
        )


def option_words(name: str, names: Mapping[str, str]) -> list[str]:
    """The words of a field's option, the one to name it by first.

    >>> option_words("num_trials", {})
    ['--num-trials']
    """
    return names.get(name, "--" + name.replace("_", "-")).split()


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return `command` with each `FieldsOf` parameter replaced by that record's options."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, dict[str, inspect.Parameter]] = {}
    records: dict[str, FieldsOf | FieldsOfAny] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        marker = next(
            (m for m in get_args(hints[name]) if isinstance(m, FieldsOf | FieldsOfAny)), None
        )
        if marker is None:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=kind, annotation=hints[name]))
        else:
            records[name] = marker
            groups[name] = marker.parameters(name)
            parameters.extend(groups[name].values())

    def flat(**values: Any) -> None:
        for group, options in groups.items():
            given = {entry: values.pop(option.name) for entry, option in options.items()}
            types = records[group].hints
            values[group] = {
                entry: _field_value(value, types[entry])
                for entry, value in given.items()
                if value is not None
            }
        command(**values)

    flat.__name__ = command.__name__
    flat.__doc__ = _reflowed(command.__doc__ or "")
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {p.name: p.annotation for p in parameters}
    return flat


def _parameter(
    name: str, hint: Any, *, words: Sequence[str], help: str, default: str, panel: str
) -> inspect.Parameter:
    """A parameter that typer makes an option of, None where it is not given."""
    kind = _without_none(hint)
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if not all(choice in help for choice in choices):
        help = f"{help.rstrip('.')}: {', '.join(choices)}."
    option = typer.Option(
        *words,
        help=help + f" Default: {default}." * bool(default),
        show_default=False,
        metavar=_metavar(kind),
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[_option_type(hint) | None, option],
    )


def _metavar(kind: Any) -> str | None:
    """What stands for an option's value; None where typer's word is as good."""
    if get_origin(kind) is tuple:
        return "<list>"
    if get_origin(kind) is Literal:
        return "<choice>"
    return "<number>" if kind is float else None


def _reflowed(text: str) -> str:
    """A docstring with one line for each paragraph, which help then breaks where it must."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _option_type(hint: Any) -> Any:
    """The type that typer parses: a tuple is given as words between commas."""
    hint = _without_none(hint)
    return str if get_origin(hint) is tuple or hint is float else hint


def _field_value(value: Any, hint: Any) -> Any:
    hint = _without_none(hint)
    if hint is float and isinstance(value, str):
        return _number(value)
    if get_origin(hint) is not tuple:
        return value
    item = get_args(hint)[0]
    try:
        return tuple(item(part.strip()) for part in value.split(","))
    except ValueError:
        raise InputError(f"{shortened(value)} is not a list of numbers between commas.") from None


def _number(text: str) -> float:
    """A number as it is typed: plain, or a factor such as 3x."""
    try:
        return float(text.strip().removesuffix("x"))
    except ValueError:
        raise InputError(f"{shortened(text)} is not a number.") from None


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if hint not in (int, float, str, bool, Path) and get_origin(hint) not in (tuple, Literal):
        raise TypeError(f"no option type is known for {hint}")
    return hint


def _shown_default(entry: Field[Any]) -> str:
    """A default as it would be typed; empty where there is none to show."""
    default = entry.default
    if default is None or default is MISSING or default is False:
        return ""
    if isinstance(default, tuple):
        return ",".join(map(_typed, default))
    return _typed(default)


def _typed(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _attribute_lines(record: type[Any]) -> dict[str, str]:
    """Each field's line, a record's own before those of the records that it extends."""
    lines: dict[str, str] = {}
    for parent in reversed(record.__mro__):
        section = inspect.cleandoc(parent.__dict__.get("__doc__") or "")
        _, _, section = section.partition("Attributes:\n")
        entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section, flags=re.MULTILINE)
        for name, text in entries:
            lines[name] = " ".join(cast(str, text).replace("`", "").split())
    return lines
