"""The one exception that stands for a mistake in what we were given, and how it shows values."""

from collections.abc import Iterable

_LISTED = 10


class InputError(Exception):
    """Bad input: the message is one sentence saying what was wrong, where, and how to mend it.

    The command line prints the message alone, without a traceback, and exits with status 2.
    """


def shortened(value: object, *, length: int = 80) -> str:
    """Any value as a message can show it: as Python writes it, cut in the middle.

    >>> shortened("a" * 100, length=13)
    "'aaaa...aaaa'"
    """
    text, half = repr(value), (length - 3) // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def listed(names: Iterable[str]) -> str:
    """Names as a message can list them: the first ten, and only odd ones in quotes.

    >>> listed(["text", "la" + chr(10) + "bel"]) == "text, " + repr("la" + chr(10) + "bel")
    True
    """
    everything = list(names)
    shown = [
        name if name.isprintable() and len(name) <= 80 else shortened(name)
        for name in everything[:_LISTED]
    ]
    more = f" and {len(everything) - _LISTED} more" if len(everything) > _LISTED else ""
    return ", ".join(shown) + more
