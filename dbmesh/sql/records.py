"""The records of a LOAD DATA file, parted as the servers part them, byte for byte.

The rules are those of MySQL's ``READ_INFO``: the manual's 15.2.9 under "Field and Line Handling", and for what it does
not say (extra fields, a quote without its end, ``\\N`` and NULL) the servers themselves, which the tests ask.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from dbmesh.errors import MeshError

LONGEST: Final = 64 << 20  # bytes of one record
_UNESCAPED: Final = {ord(k): v for k, v in {"n": 10, "t": 9, "r": 13, "b": 8, "0": 0, "Z": 26}.items()}


class Missing:
    """A field that its record is too short for."""


MISSING: Final = Missing()
Field = bytes | None | Missing  # None: NULL


class Record(NamedTuple):
    """``raw``: the bytes of the file; ``fields``: those that were wanted, in that order."""

    raw: bytes
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Separators:
    """``enclosed`` and ``escaped`` are one byte or none. Empty ones do not separate."""

    terminated: bytes = b"\t"
    enclosed: bytes = b""
    escaped: bytes = b"\\"
    starting: bytes = b""
    lines: bytes = b"\n"


class Records:
    """Fed with chunks, gives the records that are whole. ``count``: fields that are read of each record.

    ``wanted``: indexes of the fields to give. ``skip``: lines at the beginning that are none.
    """

    def __init__(self, separators: Separators, count: int, wanted: Sequence[int], skip: int = 0) -> None:
        lines = b"" if separators.lines == separators.terminated else separators.lines
        self._terminated, self._lines, self._starting = separators.terminated, lines, separators.starting
        self._escape = separators.escaped[0] if separators.escaped else -1
        self._enclose = separators.enclosed[0] if separators.enclosed else -1
        self._count = count
        self._wanted = tuple(wanted)
        self._skip = skip
        self._data = b""
        self._ended = False
        self._enough = 0  # bytes that must be there before a record is tried again
        heads = {self._escape, *lines[:1], *separators.terminated[:1]}
        self._bare = _any_of(heads)
        self._inside = _any_of({self._escape, self._enclose})
        self._rest = _any_of({self._escape, *lines[:1]})
        self._plain = bool(lines and separators.terminated and not separators.starting) and not (
            set(lines) & set(separators.terminated)
        )
        self._special = _any_of({self._escape, self._enclose})

    def feed(self, chunk: bytes) -> Iterator[Record]:
        """The records that end in ``chunk``. Raises MeshError for one that is too long."""
        self._data += chunk
        if len(self._data) < self._enough:
            return iter(())
        return self._take()

    def finish(self) -> Iterator[Record]:
        """The records that end with the file."""
        self._ended = True
        return self._take()

    def _take(self) -> Iterator[Record]:
        pos = 0
        try:
            while self._skip and (pos < len(self._data) or self._ended):
                pos = self._rest_of_line(pos)
                self._skip -= 1
            if not self._skip:
                pos = yield from self._plain_records(pos)
            while pos < len(self._data):
                record, pos = self._record(pos)
                if record is not None:
                    yield record
        except _More:
            pass
        self._data = self._data[pos:]
        self._enough = 0 if pos else 2 * len(self._data)
        if len(self._data) > LONGEST:
            raise MeshError(f"A record of the file is longer than {LONGEST} bytes")

    def _plain_records(self, pos: int) -> Generator[Record, None, int]:
        """Records in which nothing is escaped or enclosed: those lines can be split."""
        end = self._data.rfind(self._lines, pos) if self._plain else -1
        if end < 0 or self._special.search(self._data, pos, end):
            return pos
        most = max(self._wanted, default=-1) + 1
        for line in self._data[pos:end].split(self._lines):
            values = line.split(self._terminated, most)
            yield Record(line + self._lines, tuple([self._plain_field(values, n) for n in self._wanted]))
        return end + len(self._lines)

    def _plain_field(self, values: list[bytes], number: int) -> Field:
        if number >= len(values):
            return MISSING
        return None if self._enclose >= 0 and values[number] == b"NULL" else values[number]

    def _record(self, start: int) -> tuple[Record | None, int]:
        pos = start
        if self._starting:
            found = self._data.find(self._starting, pos)
            if found < 0:
                if not self._ended:
                    raise _More
                return None, len(self._data)
            pos = found + len(self._starting)
        fields: list[Field] = []
        ends_line = False
        while len(fields) < self._count and not ends_line:
            if pos >= len(self._data):
                if not self._ended:
                    raise _More
                break
            value, pos, ends_line = self._field(pos)
            fields.append(value)
        if not ends_line and pos < len(self._data):
            pos = self._rest_of_line(pos)
        elif not ends_line and not self._ended and self._lines:
            raise _More
        if not fields:
            return None, pos
        wanted = [fields[n] if n < len(fields) else MISSING for n in self._wanted]
        return Record(self._data[start:pos], tuple(wanted)), pos

    def _rest_of_line(self, pos: int) -> int:
        """What follows the fields that are read. Quotes do not count here."""
        if not self._lines:
            return pos
        while found := self._rest.search(self._data, pos):
            pos = found.start()
            if self._data[pos] == self._escape:
                pos += 2
            elif self._is_at(self._lines, pos):
                return pos + len(self._lines)
            else:
                pos += 1
        if not self._ended:
            raise _More
        return len(self._data)

    def _field(self, pos: int) -> tuple[Field, int, bool]:
        """Value, where the next one begins, whether the line ends."""
        data, opening = self._data, pos
        enclosed = data[pos] == self._enclose
        pos += enclosed
        value = bytearray()
        null = False
        special = self._inside if enclosed else self._bare
        while found := special.search(data, pos):
            at = found.start()
            value += data[pos:at]
            byte = data[at]
            if byte == self._escape and (at + 1 < len(data) or not self._ended):
                following = self._byte(at + 1)
                if self._escape != self._enclose or following == self._escape:
                    null = null or following == 78
                    value.append(_UNESCAPED.get(following, following))
                    pos = at + 2
                    continue
            if enclosed and byte == self._enclose:
                if at + 1 >= len(data) and self._ended:
                    return bytes(value), at + 1, True
                if self._byte(at + 1) == self._enclose:
                    value.append(byte)
                    pos = at + 2
                    continue
                if self._is_at(self._lines, at + 1):
                    return bytes(value), at + 1 + len(self._lines), True
                if self._is_at(self._terminated, at + 1):
                    return bytes(value), at + 1 + len(self._terminated), False
            elif not enclosed:
                if self._is_at(self._lines, at):
                    return self._bare_value(value, null), at + len(self._lines), True
                if self._is_at(self._terminated, at):
                    return self._bare_value(value, null), at + len(self._terminated), False
            value.append(byte)
            pos = at + 1
        if not self._ended:
            raise _More
        value += data[pos:]
        whole = data[opening : opening + 1] + value if enclosed else value
        return self._bare_value(bytearray(whole), null), len(data), True

    def _bare_value(self, value: bytearray, null: bool) -> Field:
        if (null and value == b"N") or (self._enclose >= 0 and value == b"NULL"):
            return None
        return bytes(value)

    def _byte(self, at: int) -> int:
        if at >= len(self._data):
            raise _More
        return self._data[at]

    def _is_at(self, separator: bytes, at: int) -> bool:
        if not separator:
            return False
        if not self._ended and len(self._data) - at < len(separator) and separator.startswith(self._data[at:]):
            raise _More
        return self._data.startswith(separator, at)


class _More(Exception):
    """The record does not end in what has come so far."""


def _any_of(values: set[int]) -> re.Pattern[bytes]:
    known = bytes(sorted(value for value in values if value >= 0))
    return re.compile(b"[" + re.escape(known) + b"]", re.DOTALL) if known else re.compile(rb"(?!)")
