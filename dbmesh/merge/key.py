"""Values as MySQL compares them, turned into Python values that compare the same way, so that sorting runs in C.

NULL sorts first, descending keys are turned round here: everybody else only ever sorts upwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from dbmesh.errors import NotSupported
from dbmesh.merge.arithmetic import NOT_FIXED
from dbmesh.merge.spec import SortKey
from dbmesh.protocol import Collation, ColumnDefinition, FieldFlag, FieldType

Key: TypeAlias = Any  # one comparable value, or a tuple of them; of one kind within one merge
Convert: TypeAlias = Callable[[bytes | None], Key]

_FIRST = float("-inf")
_LAST = float("inf")

_INTEGERS = frozenset((
    FieldType.TINY, FieldType.SHORT, FieldType.INT24, FieldType.LONG, FieldType.LONGLONG, FieldType.YEAR,
))  # fmt: skip
_DECIMALS = frozenset((FieldType.DECIMAL, FieldType.NEWDECIMAL))
_AS_TEXT = frozenset((FieldType.DATE, FieldType.NEWDATE, FieldType.DATETIME, FieldType.NULL))
STRING_TYPES = frozenset((
    FieldType.VARCHAR, FieldType.VAR_STRING, FieldType.STRING, FieldType.TINY_BLOB, FieldType.BLOB,
    FieldType.MEDIUM_BLOB, FieldType.LONG_BLOB,
))  # fmt: skip
_COMPLEMENT = bytes(range(255, -1, -1))


def converter(key: SortKey, column: ColumnDefinition) -> Convert:
    """How the values of ``column`` become keys. Raises NotSupported where the text sent is not the value."""
    if key.pad is not None:
        return _padded(key.pad, key.descending)
    number = _number(column)
    if number is not None:
        return _descending_number(number) if key.descending else _ascending_number(number)
    if column.type in _AS_TEXT or _is_binary_string(column) or _is_stored_bit(column):
        return byte_order(key.descending)
    raise NotSupported(
        f"the values of column '{column.name.decode('utf-8', 'replace')}' cannot be compared outside of its server"
    )


def byte_order(descending: bool) -> Convert:
    """Values compare as the bytes of their text."""
    return _descending_bytes if descending else _ascending_bytes


def _number(column: ColumnDefinition) -> Callable[[bytes], Any] | None:
    if column.type in _INTEGERS:
        return int
    if column.type in _DECIMALS:
        return lambda text: Decimal(text.decode("ascii"))
    if column.type == FieldType.DOUBLE and column.decimals >= NOT_FIXED:
        return float
    if column.type == FieldType.TIME:
        return time_value
    return None


def _is_binary_string(column: ColumnDefinition) -> bool:
    return (
        column.type in STRING_TYPES
        and column.charset == Collation.BINARY
        and not column.flags & (FieldFlag.ENUM | FieldFlag.SET)
    )


def _is_stored_bit(column: ColumnDefinition) -> bool:
    """MariaDB sends a BIT as bytes from a column, which has no BINARY flag, and as a decimal text from a function."""
    return column.type == FieldType.BIT and not column.flags & FieldFlag.BINARY


def time_value(text: bytes) -> Decimal:
    """TIME as seconds: ``-838:59:59.5`` is longer than a day and less than zero."""
    hours, minutes, seconds = text.decode("ascii").lstrip("-").split(":")
    value = int(hours) * 3600 + int(minutes) * 60 + Decimal(seconds)
    return -value if text.startswith(b"-") else value


def _ascending_number(number: Callable[[bytes], Any]) -> Convert:
    return lambda text: _FIRST if text is None else number(text)


def _descending_number(number: Callable[[bytes], Any]) -> Convert:
    return lambda text: _LAST if text is None else -number(text)


def _ascending_bytes(value: bytes | None) -> bytes:
    return b"" if value is None else b"\x01" + value


def _descending_bytes(value: bytes | None) -> bytes:
    """Every byte complemented. The end mark is needed because a prefix sorts behind what continues it."""
    if value is None:
        return b"\xff"
    return (b"\x01" + value.replace(b"\0", b"\0\1") + b"\0\0").translate(_COMPLEMENT)


class Padded:
    """A weight string with a weight below the pad's: 'a\\t' sorts before 'a', because 'a' goes on as 'a '.

    Compares with the plain keys of its converter as well; those hold no such weight.
    """

    __slots__ = ("_descending", "_pad", "_value")

    def __init__(self, value: bytes, pad: bytes, descending: bool) -> None:
        self._value = value
        self._pad = pad
        self._descending = descending

    def _compared(self, other: object) -> int:
        raw = other._value if isinstance(other, Padded) else self._raw(other)
        if raw is None:
            return -1 if self._descending else 1
        size = max(len(self._value), len(raw))
        mine, others = _filled(self._value, self._pad, size), _filled(raw, self._pad, size)
        result = (mine > others) - (mine < others)
        return -result if self._descending else result

    def _raw(self, key: object) -> bytes | None:
        assert isinstance(key, bytes)
        if not self._descending:
            return key[1:] if key else None
        if key == b"\xff":
            return None
        return key.translate(_COMPLEMENT)[1:-2].replace(b"\0\1", b"\0")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes | Padded) and self._compared(other) == 0

    def __lt__(self, other: object) -> bool:
        return self._compared(other) < 0

    def __le__(self, other: object) -> bool:
        return self._compared(other) <= 0

    def __gt__(self, other: object) -> bool:
        return self._compared(other) > 0

    def __ge__(self, other: object) -> bool:
        return self._compared(other) >= 0

    def __hash__(self) -> int:
        return hash(self._value)


def _filled(value: bytes, pad: bytes, size: int) -> bytes:
    missing = size - len(value)
    return value + (pad * (missing // len(pad) + 1))[:missing]


def _padded(pad: bytes, descending: bool) -> Convert:
    """Trailing pads do not count. Behind that, bytes compare rightly unless a weight is below the pad's."""
    width = len(pad)
    never_below = _never_below(pad)
    plain = byte_order(descending)

    def convert(value: bytes | None) -> Key:
        if value is None:
            return plain(None)
        while value.endswith(pad) and len(value) % width == 0:
            value = value[:-width]
        return plain(value) if never_below(value) else Padded(value, pad, descending)

    return convert


@lru_cache
def _never_below(pad: bytes) -> Callable[[bytes], object]:
    """Matches weight strings made of whole weights (as wide as the pad) none of which is less than the pad."""
    greater: list[bytes] = []
    for place, byte in enumerate(pad):
        if byte < 255:
            rest = b"." * (len(pad) - place - 1)
            greater.append(re.escape(pad[:place]) + b"[\\x%02x-\\xff]" % (byte + 1) + rest)
    alternatives = b"|".join([*greater, re.escape(pad)])
    return re.compile(b"(?:" + alternatives + b")*+", re.DOTALL).fullmatch


class KeyReader:
    """Reads keys out of row payloads without decoding the rest of the row.

    ``columns``: definitions of the whole row; ``derived``: how many of them, at its end, the client does not see.
    """

    __slots__ = ("_columns", "_converters", "_order", "_visible")

    def __init__(self, keys: Sequence[SortKey], columns: Sequence[ColumnDefinition], derived: int = 0) -> None:
        total = len(columns)
        numbers = [key.column % total for key in keys]
        self._converters = [converter(key, columns[n]) for key, n in zip(keys, numbers, strict=True)]
        self._columns = sorted(set(numbers))
        self._order = [self._columns.index(n) for n in numbers]
        self._visible = total - derived

    def key(self, payload: bytes) -> Key:
        """One value for one key, a tuple for several."""
        fields = read_fields(payload, self._columns)
        if len(self._order) == 1:
            return self._converters[0](fields[0])
        return tuple([convert(fields[n]) for convert, n in zip(self._converters, self._order, strict=True)])

    def pairs(self, batch: Sequence[bytes]) -> list[tuple[Key, bytes]]:
        """(key, payload) of each row."""
        key = self.key
        return [(key(payload), payload) for payload in batch]


def read_fields(payload: bytes, columns: Sequence[int]) -> list[bytes | None]:
    """The fields with these numbers, which must be ascending; None for NULL."""
    fields: list[bytes | None] = []
    pos = 0
    current = 0
    for column in columns:
        while current < column:
            pos = skip_field(payload, pos) if payload[pos] > 250 else pos + payload[pos] + 1
            current += 1
        size = payload[pos]
        if size < 251:
            stop = pos + 1 + size
            fields.append(payload[pos + 1 : stop])
            pos = stop
        elif size == 251:
            fields.append(None)
            pos += 1
        else:
            stop = skip_field(payload, pos)
            fields.append(payload[pos + _HEADER[size] : stop])
            pos = stop
        current += 1
    return fields


_HEADER = {252: 3, 253: 4, 254: 9}


def skip_field(payload: bytes, pos: int) -> int:
    """The position behind the field at ``pos``."""
    size = payload[pos]
    if size < 251:
        return pos + 1 + size
    if size == 251:
        return pos + 1
    start = pos + _HEADER[size]
    return start + int.from_bytes(payload[pos + 1 : start], "little")


def cut(payload: bytes, columns: int) -> bytes:
    """The row's first ``columns`` fields."""
    pos = 0
    for _ in range(columns):
        size = payload[pos]
        pos = pos + size + 1 if size < 251 else skip_field(payload, pos)
    return payload[:pos]
