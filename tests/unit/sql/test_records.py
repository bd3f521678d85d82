"""The records of a LOAD DATA file; that servers part them alike is tested with servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.sql.records import MISSING, Field, Records, Separators

CSV = Separators(terminated=b",", enclosed=b'"')
CASES = {
    "plain lines are split": (Separators(), b"1\ta\n2\tb\n", [(b"1\ta\n", b"1", b"a"), (b"2\tb\n", b"2", b"b")]),
    "the last line needs no end": (Separators(), b"1\ta\n2\tb", [(b"1\ta\n", b"1", b"a"), (b"2\tb", b"2", b"b")]),
    "what is escaped ends no field": (Separators(), b"1\\\t2\ta\\\nb\n", [(b"1\\\t2\ta\\\nb\n", b"1\t2", b"a\nb")]),
    "NULL is an escaped N": (Separators(), b"\\N\t\\Nx\n", [(b"\\N\t\\Nx\n", None, b"Nx")]),
    "or the bare word, where fields are enclosed": (CSV, b'NULL,"NULL"\n', [(b'NULL,"NULL"\n', None, b"NULL")]),
    "a doubled quote is a quote": (CSV, b'"a""b",c\n', [(b'"a""b",c\n', b'a"b', b"c")]),
    "an enclosed field may hold separators": (CSV, b'"a,\nb",c\n', [(b'"a,\nb",c\n', b"a,\nb", b"c")]),
    "a quote amid a field is none": (CSV, b'a"b,c"\n', [(b'a"b,c"\n', b'a"b', b'c"')]),
    "a quote that nothing follows does not close": (CSV, b'"a"b",c\n', [(b'"a"b",c\n', b'a"b', b"c")]),
    "a quote without its end takes the rest": (CSV, b'"a,b\n', [(b'"a,b\n', b'"a,b\n', MISSING)]),
    "further fields are skipped": (CSV, b'1,2,3,"\n4,5\n', [(b'1,2,3,"\n', b"1", b"2"), (b"4,5\n", b"4", b"5")]),
    "missing ones are told": (CSV, b"1\n\n", [(b"1\n", b"1", MISSING), (b"\n", b"", MISSING)]),
    "lines may begin with a mark": (
        Separators(starting=b">>"),
        b"x>>1\t2\ny\n>>3\t4\n",
        [(b"x>>1\t2\n", b"1", b"2"), (b"y\n>>3\t4\n", b"3", b"4")],
    ),
    "without lines the count of fields parts records": (
        Separators(terminated=b",", lines=b""),
        b"1,2,3,4,",
        [(b"1,2,", b"1", b"2"), (b"3,4,", b"3", b"4")],
    ),
    "a line's end may begin with a field's": (
        Separators(terminated=b",", lines=b",n"),
        b"1,2,n3,4,n",
        [(b"1,2,n", b"1", b"2"), (b"3,4,n", b"3", b"4")],
    ),
}  # fmt: skip


def parted(separators: Separators, data: bytes, size: int, skip: int = 0) -> list[tuple[Field, ...]]:
    records = Records(separators, 2, (0, 1), skip)
    found = [record for at in range(0, len(data), size) for record in records.feed(data[at : at + size])]
    found += records.finish()
    return [(record.raw, *record.fields) for record in found]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_records_are_parted_whatever_the_chunks(name: str, size: int) -> None:
    separators, data, expected = CASES[name]
    assert parted(separators, data, size) == expected


def test_lines_to_skip_are_no_records() -> None:
    assert parted(CSV, b'a,"\nb\\\n,c\n1,2\n', 2, skip=2) == [(b"1,2\n", b"1", b"2")]
    assert parted(CSV, b"a\nb", 1, skip=5) == []


@given(st.lists(st.sampled_from([b",", b'"', b"\\", b"\n", b"a", b"N", b"NULL"]), max_size=40), st.integers(1, 7))
def test_no_byte_is_lost_and_chunks_make_no_difference(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    found = parted(CSV, data, size)
    assert b"".join(raw for raw, *_ in found if isinstance(raw, bytes)) == data
    assert found == parted(CSV, data, len(data) + 1)
