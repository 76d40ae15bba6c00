"""Outcomes of examples as bytes, and many networks' outcomes as one array (numpy, no torch).

A class among sixteen takes one, two or four bits, whichever holds the largest of the column;
anything else is an `array` whose bytes are compressed.
"""

import struct
import zlib
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = {"1": 1, "2": 2, "4": 4}
"""Bits of a class by code; the other codes are those of `array`."""

_LENGTH = struct.Struct("<I")
"""Before the bits: how many classes there are."""


def packed(column: Sequence[float]) -> tuple[str, bytes]:
    r"""Class indices or scores as a code and bytes.

    >>> packed(array("B", [0, 1, 1]))
    ('1', b'\x03\x00\x00\x00`')
    """
    values = column if isinstance(column, array) else array("d", column)
    if values.typecode == "B":
        classes = np.frombuffer(values, dtype=np.uint8)
        largest = int(classes.max(initial=0))
        for code, bits in _BITS.items():
            if largest < 2**bits:
                planes = classes[:, None] >> np.arange(bits, dtype=np.uint8) & 1
                return code, _LENGTH.pack(len(values)) + np.packbits(planes).tobytes()
    return values.typecode, zlib.compress(values.tobytes(), 1)


def unpacked(code: str, data: bytes) -> "array[Any]":
    """Read back what `packed` gave.

    Raises:
        ValueError: When the bytes are damaged.
    """
    if code in _BITS:
        (classes,) = _classes(code, [data])
        return array("B", classes.tobytes())
    values: array[Any] = array(code)
    values.frombytes(zlib.decompress(data))
    return values


def unpacked_rows(rows: Sequence[tuple[str, bytes]]) -> NDArray[Any]:
    """Read back equally long columns: (columns, examples).

    Raises:
        ValueError: When the bytes are damaged, or the columns are not equally long.
    """
    by_code: dict[str, list[int]] = {}
    for place, (code, _) in enumerate(rows):
        by_code.setdefault(code, []).append(place)
    parts = {}
    for code, places in by_code.items():
        columns = [rows[place][1] for place in places]
        if code in _BITS:
            parts[code] = _classes(code, columns)
        else:
            parts[code] = np.stack([np.asarray(unpacked(code, column)) for column in columns])
    if len(parts) == 1:
        return next(iter(parts.values()))
    found = np.empty(
        (len(rows), next(iter(parts.values())).shape[1]), np.result_type(*parts.values())
    )
    for code, places in by_code.items():
        found[places] = parts[code]
    return found


def _classes(code: str, columns: Sequence[bytes]) -> NDArray[np.uint8]:
    bits = _BITS[code]
    (length,) = _LENGTH.unpack_from(columns[0]) if len(columns[0]) >= _LENGTH.size else (-1,)
    size = _LENGTH.size + -(-length * bits // 8)
    damage = "outcomes are damaged, or of different numbers of examples"
    if set(map(len, columns)) != {size}:
        raise ValueError(damage)
    rows = np.frombuffer(b"".join(columns), dtype=np.uint8).reshape(len(columns), size)
    lengths, kept = np.split(rows, [_LENGTH.size], axis=1)
    if (lengths != lengths[0]).any():
        raise ValueError(damage)
    planes = np.unpackbits(kept, axis=1, count=length * bits)
    if bits == 1:
        return planes
    weights = (1 << np.arange(bits)).astype(np.uint8)
    return np.asarray(planes.reshape(len(columns), length, bits) @ weights)
