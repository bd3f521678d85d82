"""Requests on a real server's connection: whole answers, streams with back-pressure, relays, and their ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from dbmesh.backend.cluster import Cluster
from dbmesh.backend.connection import HIGH_WATER, Connection, Result
from dbmesh.backend.pool import Capabilities
from dbmesh.backend.row_stream import RowStream
from dbmesh.backend.session_state import DEFAULT_STATE, SessionState, interned
from dbmesh.backend.statements import MOST_STATEMENTS, Execution, close_packets
from dbmesh.errors import BackendError, BackendLost, NotSupported
from dbmesh.protocol.constants import Status
from dbmesh.protocol.framing import Framer, frame
from dbmesh.protocol.parameters import Parameter
from dbmesh.sandbox import Server


class Recorder:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.first_sequence = 1
        self.data = b""
        self.ended = asyncio.get_running_loop().create_future()
        self.chunks = 0

    def relay_begun(self, connection: Connection) -> None:
        pass

    def relay_data(self, connection: Connection, data: bytes) -> None:
        self.chunks += 1
        self.data += data

    def relay_end(self, connection: Connection) -> None:
        self.ended.set_result(None)

    def relay_stale(self, connection: Connection) -> None:
        self.ended.set_exception(LookupError("the server has lost the statement"))

    def relay_lost(self, connection: Connection, error: BackendLost) -> None:
        self.ended.set_exception(error)

    def payloads(self) -> list[bytes]:
        framer = Framer(1 << 30, expected=1)
        framer.feed(self.data)
        return list(iter(framer.next, None))


def query(sql: str) -> bytes:
    return frame(b"\x03" + sql.encode(), 0)


def running(server: Server, marker: str) -> int:
    """How many of the server's threads run a statement with that marker."""
    [[count]] = server.rows(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE %s AND ID <> CONNECTION_ID()",
        (f"%{marker}%",),
    )
    return int(count)


async def until(server: Server, marker: str, count: int, seconds: float = 3.0) -> None:
    """Wait until that many statements with the marker run; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while await asyncio.to_thread(running, server, marker) != count:
        assert time.monotonic() < deadline, f"not {count} statements with {marker} after {seconds} s"


async def collect(stream: RowStream, rows: list[bytes]) -> None:
    while (batch := await stream.next_batch()) is not None:
        rows += batch


@pytest.fixture(params=[False, True], ids=["eof", "no_eof"])
async def connection(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Connection]:
    capabilities = Capabilities(deprecate_eof=request.param)
    [connection] = await cluster.acquire(["ds_0"], capabilities, DEFAULT_STATE)
    yield connection
    cluster.release(connection)


async def test_an_error_leaves_the_connection_usable(connection: Connection) -> None:
    with pytest.raises(BackendError) as error:
        await connection.execute("SELECT * FROM no_such_table")
    assert (error.value.errno, error.value.sqlstate) == (1146, "42S02")
    assert (await connection.execute("SELECT 1")).rows == [[b"1"]]


async def test_an_error_after_some_rows_comes_after_these_rows(connection: Connection) -> None:
    sql = "SELECT seq, IF(seq < 50000, seq, (SELECT 1 UNION SELECT 2)) FROM seq_1_to_100000"
    stream = await connection.stream(sql)
    rows: list[bytes] = []
    with pytest.raises(BackendError, match="Subquery returns more than 1 row"):
        await collect(stream, rows)
    assert 0 < len(rows) < 50000
    assert (await connection.execute("SELECT 1")).rows == [[b"1"]]


@pytest.fixture
def large_packets(server: Server) -> Iterator[None]:
    [[before]] = server.rows("SELECT @@global.max_allowed_packet")
    server.script(["SET GLOBAL max_allowed_packet = 64*1024*1024"])
    yield
    server.script([f"SET GLOBAL max_allowed_packet = {before}"])


@pytest.mark.usefixtures("large_packets")
async def test_twenty_mebibytes_there_and_back(cluster: Cluster) -> None:
    [connection] = await cluster.acquire(["ds_0"], Capabilities(), DEFAULT_STATE)
    text = b"a" * (20 << 20)
    assert (await connection.execute(b"SELECT '" + text + b"', 1")).rows == [[text, b"1"]]
    sink = Recorder()
    packet = frame(b"\x03SELECT '" + text + b"'", 0)
    with pytest.raises(NotSupported):
        connection.relay(packet, sink)
    sink.first_sequence = 2
    connection.relay(packet, sink)
    await sink.ended
    assert connection.tracker.rows == 1
    cluster.release(connection)


async def test_several_result_sets_give_the_first_and_leave_the_connection_idle(connection: Connection) -> None:
    await connection.execute("CREATE OR REPLACE PROCEDURE two() BEGIN SELECT 1; SELECT 2 FROM seq_1_to_5000; END")
    for _ in range(2):
        assert (await connection.execute("CALL two()")).rows == [[b"1"]]
        assert not connection.busy


async def test_status_flags_follow_the_transaction(connection: Connection) -> None:
    await connection.execute("BEGIN")
    assert connection.status & Status.IN_TRANS
    await connection.execute("ROLLBACK")
    assert not connection.status & Status.IN_TRANS


async def test_a_slow_reader_keeps_the_stream_s_memory_bounded(connection: Connection) -> None:
    stream = await connection.stream("SELECT REPEAT('x', 1000) FROM seq_1_to_200000")
    most = rows = turns = 0
    while (batch := await stream.next_batch()) is not None:
        rows += len(batch)
        for _ in range(3 if turns < 100 else 0):  # let the loop read as much as it wants
            await asyncio.sleep(0.001)
        turns += 1
        most = max(most, stream.reader.buffered)
    assert rows == 200_000
    assert turns > 100
    assert most <= HIGH_WATER + 2 * 256 * 1024


async def test_a_stream_that_is_closed_early_ends_the_server_s_work_within_a_second(
    connection: Connection, server: Server
) -> None:
    marker = "closed_early"
    stream = await connection.stream(f"SELECT /* {marker} */ a.seq FROM seq_1_to_1000000 a, seq_1_to_1000 b")
    assert await stream.next_batch()
    await until(server, marker, 1)
    stream.close()
    await until(server, marker, 0)
    assert connection.closed


async def test_a_cancelled_request_ends_the_server_s_work_within_a_second(
    connection: Connection, server: Server
) -> None:
    marker = "cancelled_sleep"
    task = asyncio.create_task(connection.execute(f"SELECT /* {marker} */ SLEEP(30)"))
    await until(server, marker, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(server, marker, 0)


async def test_a_request_over_its_time_limit_is_given_up(connection: Connection, server: Server) -> None:
    marker = "over_the_limit"
    with pytest.raises(BackendLost, match=r"no answer within 0\.1 s") as lost:
        await connection.execute(f"SELECT /* {marker} */ SLEEP(30)", time_limit=0.1)
    assert lost.value.started
    await until(server, marker, 0)


async def test_a_relay_passes_the_response_on_and_leaves_the_connection_idle(connection: Connection) -> None:
    for _ in range(2):
        sink = Recorder()
        connection.relay(query("SELECT seq FROM seq_1_to_100000"), sink)
        assert connection.busy
        await sink.ended
        assert not connection.busy
        assert connection.tracker.rows == 100000
        assert len(sink.payloads()) == 100000 + (3 if connection.capabilities.deprecate_eof else 4)
        assert sink.chunks > 1


async def test_a_relayed_error_is_told_as_one(connection: Connection) -> None:
    sink = Recorder()
    connection.relay(query("SELEC"), sink)
    await sink.ended
    assert (connection.tracker.is_error, connection.tracker.errno) == (True, 1064)
    assert sink.payloads()[0][0] == 0xFF


async def test_a_relay_to_a_sink_that_pauses_waits_and_goes_on(connection: Connection) -> None:
    sink = Recorder()
    connection.relay(query("SELECT REPEAT('x', 1000) FROM seq_1_to_20000"), sink)
    connection.pause_reading()
    await asyncio.sleep(0.1)
    paused_at = len(sink.data)
    await asyncio.sleep(0.1)
    assert len(sink.data) == paused_at
    connection.resume_reading()
    await sink.ended
    assert connection.tracker.rows == 20000


async def test_a_relay_that_is_interrupted_ends_with_error_1317_and_the_connection_is_not_used_again(
    connection: Connection, server: Server, cluster: Cluster
) -> None:
    sink = Recorder()
    connection.relay(query("SELECT SLEEP(30), 'interrupted_relay'"), sink)
    await until(server, "interrupted_relay", 1)
    connection.interrupt()
    await asyncio.wait_for(sink.ended, 1)
    # MariaDB's SLEEP returns 1 when it is killed; other statements end with 1317.
    assert connection.tracker.is_error or connection.tracker.rows == 1
    cluster.release(connection)
    assert connection.closed


async def test_a_killed_connection_in_the_middle_of_a_relay_is_lost_with_its_request_started(
    connection: Connection, server: Server
) -> None:
    sink = Recorder()
    connection.relay(query("SELECT SLEEP(30), 'killed_relay'"), sink)
    await until(server, "killed_relay", 1)
    await asyncio.to_thread(server.script, [f"KILL {connection.thread_id}"])
    await asyncio.wait([sink.ended])
    lost = sink.ended.exception()
    assert (isinstance(lost, BackendLost) and lost.started) or connection.tracker.is_error


async def test_a_byte_on_an_idle_connection_closes_it(connection: Connection) -> None:
    connection.data_received(frame(b"\xff\xbf\x0f#HY000The client was disconnected by the server", 0))
    assert connection.closed
    with pytest.raises(BackendLost, match="disconnected by the server") as lost:
        await connection.execute("SELECT 1")
    assert not lost.value.started


async def test_a_second_request_on_a_busy_connection_is_refused_and_the_first_goes_on(connection: Connection) -> None:
    stream = await connection.stream("SELECT seq FROM seq_1_to_300000")
    with pytest.raises(BackendLost, match="busy") as lost:
        await connection.execute("SELECT 1")
    assert not lost.value.started
    rows: list[bytes] = []
    await collect(stream, rows)
    assert len(rows) == 300_000


async def variables(connection: Connection, *names: str) -> list[bytes | None]:
    return (await connection.execute("SELECT " + ", ".join(names))).rows[0]


async def test_applying_a_state_sends_the_differences_only(connection: Connection) -> None:
    names = ("@@character_set_client", "@@collation_connection", "@@character_set_results", "@@sql_mode", "@a")
    default_mode = (await variables(connection, "@@sql_mode"))[0]
    gbk = SessionState("gbk", "latin1_swedish_ci", None, (("@a", "'é'"), ("sql_mode", "'ANSI_QUOTES'")))
    await connection.apply(interned(gbk))
    before = (await variables(connection, "@@session.last_insert_id"))[0]
    assert before == b"0"
    assert (await variables(connection, *names))[:4] == [b"gbk", b"latin1_swedish_ci", None, b"ANSI_QUOTES"]
    assert (await variables(connection, "HEX(CONVERT(@a USING utf8mb4))")) == ["é".encode().hex().upper().encode()]
    await connection.apply(DEFAULT_STATE)
    assert await variables(connection, *names) == [b"utf8mb4", b"utf8mb4_general_ci", b"utf8mb4", default_mode, None]


async def test_a_state_that_the_server_refuses_poisons_the_connection(connection: Connection) -> None:
    with pytest.raises(BackendError) as refused:
        await connection.apply(DEFAULT_STATE.with_variables({"sql_mode": "'NONSENSE'"}))
    assert refused.value.errno == 1231
    assert connection.poisoned


async def test_errors_and_warnings_come_in_logical_names(connection: Connection) -> None:
    connection.in_logical_names = lambda source, errno, message: f"{source} {errno} {message.replace('nosuch', 'such')}"
    sink = Recorder()
    connection.relay(query("SELECT * FROM nosuch"), sink)
    await sink.ended
    [relayed] = sink.payloads()
    assert relayed[9:].startswith(b"ds_0 1146 Table '")
    assert b".such'" in relayed
    sink = Recorder()
    connection.relay(query("SELECT CAST(1 AS UNSIGNED) - c FROM (SELECT 2 c) nosuch"), sink)
    await sink.ended
    assert b"ds_0 1690 BIGINT UNSIGNED" in sink.payloads()[-1]
    with pytest.raises(BackendError, match=r"ds_0 1146 .*\.such'"):
        await connection.execute("SELECT * FROM nosuch")
    await connection.execute("SELECT 1/0")
    assert await connection.warnings() == [[b"Warning", b"1365", b"ds_0 1365 Division by 0"]]


async def test_an_error_that_comes_in_pieces_is_held_back(connection: Connection) -> None:
    connection.in_logical_names = lambda source, errno, message: "short"
    sink = Recorder()
    connection.relay(query("SELECT SLEEP(0.2) FROM nosuch"), sink)
    data = frame(b"\xff\x7a\x04#42S02Table 'x' doesn't exist", 1)
    for piece in (data[:20], data[20:25], data[25:]):
        connection.data_received(piece)
    assert sink.payloads() == [b"\xff\x7a\x04#42S02short"]
    assert sink.chunks == 1
    connection.abandon()


async def test_a_prepared_statement_is_prepared_once_and_its_rows_are_text(connection: Connection) -> None:
    value = Parameter("i", "5", b"", b"\x05\0\0\0\0\0\0\0")
    execution = Execution("SELECT ? + 1 AS a, CAST('0.1' AS FLOAT), NULL", b"\x08\0", [value])
    for _ in range(3):
        assert (await connection.execute(execution)).rows == [[b"6", b"0.1", None]]
    first = await connection.prepare(execution.sql)
    assert await connection.prepare(execution.sql) is first
    assert (len(first.parameters), first.columns[0].name) == (1, b"a")


async def test_a_statement_that_the_server_has_lost_is_prepared_anew(connection: Connection) -> None:
    execution = Execution("SELECT 7")
    lost = await connection.prepare("SELECT 7")
    connection._transport.write(close_packets([lost]))
    assert (await connection.execute(execution)).rows == [[b"7"]]
    assert await connection.prepare("SELECT 7") is not lost


async def test_a_relay_of_a_lost_statement_gives_nothing_to_the_sink(connection: Connection) -> None:
    lost = await connection.prepare("SELECT 7")
    connection._transport.write(close_packets([lost]))
    sink = Recorder()
    connection.relay(Execution("SELECT 7").packets(lost), sink, connection.key("SELECT 7"))
    with pytest.raises(LookupError):
        await sink.ended
    assert sink.data == b""
    assert connection.statements.get(connection.key("SELECT 7")) is None
    again = Recorder()
    connection.relay(Execution("SELECT 7").packets(await connection.prepare("SELECT 7")), again)
    await again.ended
    assert again.payloads()[0] == b"\x01"


async def test_statements_that_are_not_used_any_more_are_closed(connection: Connection, server: Server) -> None:
    def kept() -> int:
        return int(server.rows("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1])

    before = await asyncio.to_thread(kept)
    for number in range(3 * MOST_STATEMENTS):
        await connection.prepare(f"SELECT {number}")
    assert await asyncio.to_thread(kept) - before <= MOST_STATEMENTS
    assert (await connection.execute("SELECT 1")).rows == [[b"1"]]


async def test_a_mistake_in_a_prepared_statement_leaves_the_connection_usable(connection: Connection) -> None:
    with pytest.raises(BackendError) as error:
        await connection.prepare("SELEC")
    assert error.value.errno == 1064
    assert (await connection.execute(Execution("SELECT 1"))).rows == [[b"1"]]


async def test_statements_that_are_sent_at_once_are_answered_in_order(connection: Connection) -> None:
    many = "SELECT seq, REPEAT('x', 100) FROM seq_1_to_20000"
    first, error, rows, last = await connection.execute_all(["DO 0", "SELECT * FROM no_such", many, b"SELECT 'last'"])
    assert isinstance(first, Result)
    assert isinstance(error, BackendError)
    assert error.errno == 1146
    assert isinstance(rows, Result)
    assert len(rows.rows) == 20_000
    assert isinstance(last, Result)
    assert last.rows == [[b"last"]]
    assert connection.clean
    assert (await connection.execute("SELECT 1")).rows == [[b"1"]]


async def test_statements_that_are_sent_at_once_are_given_up_together(connection: Connection) -> None:
    with pytest.raises(BackendLost, match="no answer within"):
        await connection.execute_all(["DO 0", "SELECT SLEEP(30)", "DO 0"], time_limit=0.1)
    assert connection.closed
