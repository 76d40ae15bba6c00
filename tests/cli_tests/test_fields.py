"""Options made from the fields of a record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import pytest
import typer
from typer.testing import CliRunner

from paretobert.cli.fields import FieldsOf, FieldsOfAny, Given, expanded
from paretobert.errors import InputError


@dataclass(frozen=True)
class Oven:
    """An oven.

    Attributes:
        heat_c: How hot, in degrees, of which
            there are many.
        trays: Which trays.
        mode: Fan or not.
        manual: Where to read.
        colour: Not an option.
    """

    heat_c: float = 180.0
    trays: tuple[int, ...] = (1, 3)
    mode: Literal["fan", "still"] = "fan"
    manual: Path | None = None
    colour: str = "white"


def bake(*words: str) -> tuple[dict, str]:
    given: dict = {}

    def command(
        dish: str,
        oven: Annotated[
            Given, FieldsOf(Oven, panel="Oven", names={"heat_c": "--heat"}, without=("colour",))
        ],
    ) -> None:
        given.update(oven, dish=dish)

    app = typer.Typer(add_completion=False)
    app.command()(expanded(command))
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return given, result.output


@dataclass(frozen=True)
class Grill:
    """A grill.

    Attributes:
        trays: Which trays.
        coal: Whether it burns coal.
    """

    trays: tuple[int, ...] = (2,)
    coal: bool = False


def cook(*words: str) -> tuple[dict, str]:
    given: dict = {}

    def command(
        dish: str, with_: Annotated[Given, FieldsOfAny({"oven": Oven, "grill": Grill})]
    ) -> None:
        given.update(with_, dish=dish)

    app = typer.Typer(add_completion=False)
    app.command()(expanded(command))
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return given, result.output


def test_fields_of_several_records_are_one_option_each() -> None:
    given, _ = cook("pie", "--trays", "4", "--heat-c", "90", "--coal")
    assert given == {"dish": "pie", "trays": (4,), "heat_c": 90.0, "coal": True}
    _, shown = cook("--help")
    assert shown.count("--trays") == 1
    assert "oven, grill" in shown


def test_a_default_is_shown_where_all_records_agree() -> None:
    @dataclass(frozen=True)
    class Stove:
        """A stove.

        Attributes:
            trays: Which trays.
            coal: Whether it burns coal.
        """

        trays: tuple[int, ...] = (1, 3)
        coal: bool = True

    def helps(**records: type) -> dict[str, object]:
        found = FieldsOfAny(records).parameters("given")
        return {
            name: option.help
            for name, parameter in found.items()
            for option in get_args(parameter.annotation)
            if hasattr(option, "help")
        }

    assert helps(oven=Oven, grill=Grill)["trays"] == "Which trays."
    assert helps(oven=Oven, stove=Stove)["trays"] == "Which trays. Default: 1,3."
    assert helps(grill=Grill, stove=Stove) == {
        "trays": "Which trays.",
        "coal": "Whether it burns coal.",
    }


def test_a_field_of_different_types_is_no_option() -> None:
    @dataclass(frozen=True)
    class Kiln:
        """A kiln.

        Attributes:
            trays: How many trays.
        """

        trays: int = 1

    with pytest.raises(TypeError, match="trays has different types in oven and kiln"):
        FieldsOfAny({"oven": Oven, "kiln": Kiln}).parameters("given")


def test_a_factor_is_a_number() -> None:
    assert bake("pie", "--heat", "1.5x")[0]["heat_c"] == 1.5
    with pytest.raises(InputError, match="'warm' is not a number"):
        bake("pie", "--heat", "warm")


def test_only_what_was_given_is_passed_on() -> None:
    assert bake("pie")[0] == {"dish": "pie"}


def test_values_have_the_fields_types() -> None:
    given, _ = bake("pie", "--heat", "200", "--trays", "1, 2", "--manual", "a.txt")
    assert given == {"dish": "pie", "heat_c": 200.0, "trays": (1, 2), "manual": Path("a.txt")}


def test_help_and_defaults_come_from_the_record() -> None:
    _, shown = bake("--help")
    assert "How hot, in degrees, of which there are many. Default: 180." in shown
    assert "Fan or not: fan, still. Default: fan." in shown
    assert "1,3" in shown
    assert "--colour" not in shown


def test_a_choice_outside_the_literal_is_refused() -> None:
    given, shown = bake("pie", "--mode", "grill")
    assert given == {}
    assert "grill" in shown


def test_a_tuple_of_something_else() -> None:
    with pytest.raises(InputError, match="'1,x' is not a list of numbers between commas"):
        bake("pie", "--trays", "1,x")


def test_a_field_of_a_type_that_no_option_has() -> None:
    @dataclass(frozen=True)
    class Odd:
        """Odd.

        Attributes:
            parts: Of a kind that cannot be typed in.
        """

        parts: dict

    def command(odd: Given) -> None: ...

    command.__annotations__["odd"] = Annotated[Given, FieldsOf(Odd, panel="Odd")]
    with pytest.raises(TypeError, match="no option type is known"):
        expanded(command)
