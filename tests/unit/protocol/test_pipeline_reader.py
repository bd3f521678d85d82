"""The answers to several commands at once are told apart, however their bytes arrive."""

from __future__ import annotations

import pytest

from dbmesh.protocol import Status, err_packet, ok_packet
from dbmesh.protocol.failures import ProtocolError
from dbmesh.protocol.pipeline_reader import PipelineReader
from dbmesh.protocol.resultset import decode_text_row
from tests.unit.protocol.test_tracker import result_set, wire


def answers(deprecate: bool) -> bytes:
    """An UPDATE's OK, a result of two rows, an error, and an empty result that ends in a transaction."""
    parts = [
        [ok_packet(3, 0, Status.AUTOCOMMIT, 1)],
        result_set([[b"1", None], [b"2", b"x"]], deprecate),
        [err_packet(1213, "40001", "Deadlock found")],
        result_set([], deprecate, Status.IN_TRANS),
    ]
    return b"".join(map(wire, parts))


@pytest.mark.parametrize("deprecate", [False, True])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_each_command_gets_its_own_answer(deprecate: bool, size: int) -> None:
    data = answers(deprecate)
    reader = PipelineReader(deprecate, [1, 1, 1, 1])
    for start in range(0, len(data), size):
        assert not reader.ended
        reader.feed(data[start : start + size])
    assert (reader.ended, reader.surplus) == (True, 0)
    assert reader.ok is not None
    assert reader.ok.status & Status.IN_TRANS
    update, rows, deadlock, empty = reader.answers
    assert (update[2] and update[2].affected, update[0], update[1]) == (3, [], [])
    assert [decode_text_row(row) for row in rows[1]] == [[b"1", None], [b"2", b"x"]]
    assert (deadlock[2], deadlock[3] and deadlock[3].errno) == (None, 1213)
    assert (len(empty[0]), empty[1], empty[3]) == (2, [], None)


def test_what_comes_behind_the_last_answer_is_seen() -> None:
    reader = PipelineReader(True, [1])
    reader.feed(wire([ok_packet(0, 0, Status.AUTOCOMMIT, 0)]) + b"\1")
    assert (reader.ended, reader.surplus) == (True, 1)


def test_an_answer_with_another_number_is_none() -> None:
    reader = PipelineReader(True, [2])
    with pytest.raises(ProtocolError):
        reader.feed(wire([ok_packet(0, 0, Status.AUTOCOMMIT, 0)]))
