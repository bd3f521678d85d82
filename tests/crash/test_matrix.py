"""The failure matrix: what must be true after each request, answer, process and server fails at its worst moment.

A row says what happens to which request of a transfer over three shards, what its client may be told, and how it ends.
Rows that other tests play are in ELSEWHERE.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pymysql
import pytest

from dbmesh.sandbox import Sandbox, Server
from tests.crash.arena import SHARDS, TRANSFER, UNDONE, WHOLE, Arena, Client, arena
from tests.crash.proving_ground import Proxy, until_true
from tests.crash.relay import Kind

DEFERRED, EAGER = "base deferred", "base eager"
BEGIN_COMMITTING = "INSERT INTO .*g_tx"
COMMITTED = "UPDATE .*g_tx.*SET state='COMMITTED'"
LOST_TOLD = ("lost", "1213", "1180", "1105", "2013")


@dataclass
class Scene:
    """What a row's actions may reach. ``mesh``: the client's; of its own in rows that kill or stop it."""

    arena: Arena
    mesh: Proxy
    client: Client
    ids: dict[str, int]

    @property
    def helper(self) -> Proxy:
        """Another mesh."""
        return self.arena.proxies[1]


Act = Callable[[Scene], object]


@dataclass(frozen=True)
class Fault:
    """At a data source's request. ``do``: what happens besides, see `relay.Fault`.

    ``needed``: False when the request may not come any more after what another fault does.
    """

    where: str
    pattern: str
    kind: Kind
    do: Act | None = None
    seconds: float = 0.0
    needed: bool = True


@dataclass(frozen=True)
class Row:
    """``told``: what the client may be told; ``ends``: whole, undone or either; ``states``: of its row in the log.

    ``then``: looks at the world before anything is healed. ``within``: seconds that the client may wait for COMMIT.
    """

    id: str
    what: str
    faults: Sequence[Fault]
    told: Sequence[str]
    ends: str
    states: Sequence[str | None]
    mode: str = DEFERRED
    statements: Sequence[str] = TRANSFER
    whole: Sequence[tuple[int, str | None]] = WHOLE
    own_mesh: bool = False
    clock: int = 0
    then: Act | None = None
    within: float = 12.0

    @property
    def name(self) -> str:
        return f"{self.id} {self.what}"


def kill_mesh(scene: Scene) -> None:
    scene.mesh.kill()
    scene.mesh.killed()


def kill_shard(scene: Scene) -> None:
    scene.arena.server("ds_2").process.kill9()


def kill_log(scene: Scene) -> None:
    scene.arena.server("log").process.kill9()


def leave(scene: Scene) -> None:
    scene.client.leave()


def others_undone(scene: Scene) -> None:
    """D12 (a): what is certain is undone at once, the killed shard's part when it is back."""
    until_true(lambda: scene.arena.stored(scene.ids, SHARDS[:2]) == UNDONE[:2], "not undone while a shard is down")


def others_locked(scene: Scene) -> None:
    """D12 (b): nobody knows yet; the rows are there, and nobody may write them."""
    assert scene.arena.stored(scene.ids, SHARDS[:2]) == list(WHOLE[:2])
    with closing(scene.helper.connect()) as other, other.cursor() as cursor:
        with pytest.raises(pymysql.MySQLError) as error:
            cursor.execute(f"UPDATE account SET balance = 0 WHERE id = {scene.ids['a']}")
        assert error.value.args[0] == 1205


def writable(scene: Scene) -> None:
    """D16: the other shards' rows are free although one shard's locks could not be freed."""

    def free() -> bool:
        with closing(scene.helper.connect()) as other, other.cursor() as cursor:
            try:
                cursor.execute(f"UPDATE account SET balance = balance WHERE id = {scene.ids['a']}")
            except pymysql.MySQLError:
                return False
            return True

    until_true(free, "blocked by a lock of a committed transaction")


def take_lock(scene: Scene) -> None:
    """D04: another global transaction has one of the locks that are just being asked for."""
    relay = scene.arena.relays["ds_2"]
    asked = next(text for text in reversed(relay.requests) if re.search(journal("row_lock").encode(), text, re.DOTALL))
    found = re.search(rb"x'([0-9a-f]{64})'", asked)
    assert found is not None
    insert = f"INSERT INTO LOG.row_lock (lock_key, gtrid, ds, bseq, db, tbl) VALUES (x'{found[1].decode()}', {OTHER})"
    scene.arena.ask("ds_2", insert)


def free_lock(scene: Scene) -> None:
    scene.arena.ask("ds_2", "DELETE FROM LOG.row_lock WHERE gtrid = 'dm-other'")


def journal(table: str) -> str:
    return f"INSERT .*{table}"


ALONE = ((80, None), *UNDONE[1:])
NOTHING = (None, "ROLLED_BACK")
ANY = (None, "COMMITTED", "ROLLED_BACK")
DONE = ("COMMITTED",)
DIES_BETWEEN = (Fault("ds_0", "^COMMIT", Kind.CUT_AFTER, kill_mesh),
                *(Fault(name, "^COMMIT", Kind.CUT_BEFORE, needed=False) for name in SHARDS[1:]))  # fmt: skip
OTHER = "'dm-other', 'ds_2', 1, 'arena_2', 'account'"
DEFERRED_ROWS = [
    Row("D01", "the client goes between two statements",
        [Fault("ds_1", "^UPDATE", Kind.DELAY, leave, 0.2)], ["lost"], "undone", [None]),
    Row("D02", "the mesh dies before the only shard's COMMIT",
        [Fault("ds_0", "^COMMIT", Kind.CUT_BEFORE, kill_mesh)], ["lost"], "undone", [None],
        statements=TRANSFER[:1], whole=ALONE, own_mesh=True),
    Row("D02", "the only shard's COMMIT has no answer",
        [Fault("ds_0", "^COMMIT", Kind.CUT_AFTER)], LOST_TOLD, "either", [None], statements=TRANSFER[:1], whole=ALONE),
    *(Row("D03", f"{table}: {kind.name}", [Fault("ds_2", journal(table), kind)], LOST_TOLD, "undone", NOTHING)
      for table in ("row_lock", "branch", "undo_record") for kind in (Kind.CUT_BEFORE, Kind.CUT_AFTER)),
    Row("D03", "the shard dies in its journal",
        [Fault("ds_2", journal("branch"), Kind.CUT_BEFORE, kill_shard)], LOST_TOLD, "undone", NOTHING),
    Row("D04", "another transaction has a lock", [Fault("ds_2", journal("row_lock"), Kind.DELAY, take_lock)], ["1213"],
        "undone", [None], then=free_lock),
    Row("D05", "the log's answer is lost",
        [Fault("log", BEGIN_COMMITTING, Kind.CUT_AFTER)], ["OK", *LOST_TOLD], "either", ANY),
    Row("D05", "the log does not get it",
        [Fault("log", BEGIN_COMMITTING, Kind.CUT_BEFORE)], ["OK", *LOST_TOLD], "either", ANY),
    *(Row("D07", f"COMMIT does not reach {name}", [Fault(name, "^COMMIT", Kind.CUT_BEFORE)], ["1213"], "undone",
          ["ROLLED_BACK"]) for name in SHARDS),
    *(Row("D08", f"COMMIT on {name} has no answer", [Fault(name, "^COMMIT", Kind.CUT_AFTER)], ["OK"], "whole", DONE)
      for name in SHARDS),
    Row("D09", "COMMIT goes into a black hole", [Fault("ds_0", "^COMMIT", Kind.SWALLOW)], ["1213"], "undone",
        ["ROLLED_BACK"]),
    Row("D09", "COMMIT's answer goes into a black hole", [Fault("ds_0", "^COMMIT", Kind.SWALLOW_ANSWER)], ["OK"],
        "whole", DONE),
    Row("D10", "the mesh dies as one shard has committed, and two others sweep (D18)",
        DIES_BETWEEN,
        ["lost"], "undone", ["ROLLED_BACK"], own_mesh=True),
    *(Row("C11", f"the mesh that dies there has a clock {hours} h wrong",
          DIES_BETWEEN,
          ["lost"], "undone", ["ROLLED_BACK"], own_mesh=True, clock=hours * 3600) for hours in (-1, 1)),
    Row("D11", "a shard refuses COMMIT", [Fault("ds_1", "^COMMIT", Kind.REFUSE)], ["1213"], "undone", ["ROLLED_BACK"]),
    Row("D12", "a shard dies before its COMMIT is sent",
        [Fault("log", BEGIN_COMMITTING, Kind.DELAY, kill_shard, 0.3)], ["1180"], "undone", ["ROLLED_BACK"],
        then=others_undone),
    Row("D12", "a shard dies as its COMMIT is sent", [Fault("ds_2", "^COMMIT", Kind.CUT_BEFORE, kill_shard)], ["1180"],
        "undone", ["ROLLED_BACK"], then=others_locked),
    Row("D12", "a shard dies as it has committed", [Fault("ds_2", "^COMMIT", Kind.CUT_AFTER, kill_shard)], ["1180"],
        "whole", DONE, then=others_locked),
    Row("D14", "the answer to COMMITTED is lost", [Fault("log", COMMITTED, Kind.CUT_AFTER)], ["OK"], "whole", DONE),
    Row("D15", "the client goes during COMMIT", [Fault("ds_1", "^COMMIT", Kind.DELAY, leave, 0.2)], ["lost"], "whole",
        DONE),
    Row("D16", "a shard dies as its locks are freed",
        [Fault("ds_2", "DELETE FROM .*row_lock", Kind.CUT_BEFORE, kill_shard)], ["OK"], "whole", DONE, then=writable),
    Row("D19", "the log is down at COMMIT", [Fault("log", BEGIN_COMMITTING, Kind.CUT_BEFORE, kill_log)],
        LOST_TOLD, "undone", NOTHING),
    Row("D20", "the log dies when all have committed", [Fault("log", COMMITTED, Kind.CUT_BEFORE, kill_log)],
        ["OK"], "whole", DONE),
    Row("D20", "the log dies before the shards commit",
        [Fault("ds_0", "^COMMIT", Kind.CUT_BEFORE, kill_log)], ["1180"], "undone", ["ROLLED_BACK"]),
    # MySQL sends it
    Row("D21", "a value too long for MariaDB to send its image", [], ["1235", "OK"], "either", [None, "COMMITTED"],
        statements=[*TRANSFER, "UPDATE account SET body = REPEAT('x', 600000) WHERE id = {c}"]),
    Row("D21", "an undo record larger than the shard's max_allowed_packet", [], ["1180"], "undone", [None],
        statements=[*TRANSFER, *(f"UPDATE account SET body = REPEAT('{x}', 400000) WHERE id = {{c}}" for x in "xy")]),
]  # fmt: skip
EAGER_ROWS = [
    Row("E01", "the mesh dies as a statement has committed on one shard",
        [Fault("ds_1", "^COMMIT", Kind.CUT_AFTER, kill_mesh)], ["lost"], "undone", ["ROLLED_BACK"], own_mesh=True),
    *(Row("E02", f"a statement's COMMIT: {kind.name}", [Fault("ds_1", "^COMMIT", kind)], told, "either",
          ["COMMITTED", "ROLLED_BACK"])
      for kind, told in ((Kind.CUT_AFTER, ["OK"]), (Kind.CUT_BEFORE, ["1213", *LOST_TOLD]))),
    Row("E03", "the client goes between two statements", [Fault("ds_2", "^UPDATE", Kind.DELAY, leave, 0.2)], ["lost"],
        "undone", ["ROLLED_BACK"]),
    *(Row("E04", f"the log's COMMIT: {kind.name}", [Fault("log", COMMITTED, kind)], ["OK"], "whole", DONE)
      for kind in (Kind.CUT_AFTER, Kind.CUT_BEFORE)),
    Row("E07", "the third shard of a statement dies",
        [Fault("ds_2", "^INSERT INTO `?ledger", Kind.CUT_BEFORE, kill_shard)],
        LOST_TOLD, "undone", ["ROLLED_BACK"], then=others_undone),
]  # fmt: skip
SAGA = "tests/integration/test_saga.py::test_"
MATRIX = "tests/integration/test_saga_matrix.py::test_"
KILLS = "tests/crash/test_kill9.py::test_at_every_failpoint"
# What other tests play of each row: all kill -9 of the mesh, its pauses, and what needs no process of its own.
ELSEWHERE = {
    **{f"D{n:02d}": f"{KILLS}_of_a_deferred_transaction" for n in (1, 3, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "D17": "tests/crash/test_pauses.py::test_a_mesh_that_is_paused_in_a_deferred_commit_tells_the_truth",
    "D18": f"{MATRIX}two_sweepers_at_once_compensate_once",
    "C01": "tests/crash/test_kill9.py::test_while_another_proxy_recovers",
    "C02": f"{MATRIX}a_lost_connection_during_compensation_is_repeated",
    "C03": f"{SAGA}a_foreign_write_to_a_touched_column_parks_the_transaction",
    "C04": f"{SAGA}a_foreign_write_to_another_column_is_kept",
    "C05": f"{MATRIX}what_cannot_be_restored_is_parked_untouched",
    "C06": f"{MATRIX}a_unique_value_taken_outside_the_mesh_parks",
    "C07": f"{MATRIX}a_child_row_from_outside_parks",
    "C08": f"{MATRIX}a_column_that_became_too_narrow_is_never_truncated_silently",
    "C09": f"{SAGA}a_row_being_compensated_sends_the_next_writer_away_at_once",
    "C10": f"{MATRIX}a_shard_that_is_down_is_undone_when_it_returns",
    "C12": f"{MATRIX}what_cannot_be_restored_is_parked_untouched",
    "C13": f"{SAGA}undo_is_never_purged_before_the_end",
    "C14": "tests/integration/test_saga_oracle.py::test_rollback_restores_the_very_same_bytes",
    "E01": KILLS,
    "E05": f"{SAGA}a_transaction_past_its_deadline_is_undone_and_its_client_told",
    "E06": KILLS,
    "E08": "tests/crash/test_pauses.py::test_a_paused_mesh_changes_nothing_any_more",
    "E09": f"{SAGA}another_transaction_waits_for_a_locked_row_and_gets_1205",
    "E10": f"{MATRIX}other_writers_and_the_saga_itself_do_not_block_each_other",
}
WANTED = [f"D{n:02d}" for n in range(1, 22)] + [f"C{n:02d}" for n in range(1, 15)] + [f"E{n:02d}" for n in range(1, 11)]
ROWS = [*DEFERRED_ROWS, *(replace(row, mode=EAGER) for row in EAGER_ROWS)]


def test_every_row_of_the_matrix_is_played_somewhere() -> None:
    assert {row.id for row in ROWS} | ELSEWHERE.keys() == set(WANTED)
    for place in ELSEWHERE.values():
        path, _, name = place.partition("::")
        assert f"def {name}(" in Path(path).read_text(), place


@pytest.fixture
def stage(house: Arena) -> Iterator[Arena]:
    """Everything works when a row begins."""
    yield house
    house.heal()


@pytest.fixture(scope="module")
def house(sandbox: Sandbox, servers: tuple[Server, Server]) -> Iterator[Arena]:
    shard = sandbox.start("arena_2", ["--max-allowed-packet=1M"])
    log = sandbox.start("arena_log")
    sources = {"ds_0": (servers[0], "arena_0"), "ds_1": (servers[1], "arena_1"), "ds_2": (shard, "arena_2"),
               "log": (log, "arena_log")}  # fmt: skip
    with arena(sources, sandbox.folder / "arena") as made:
        made.serve()
        made.serve()
        for proxy in made.proxies:
            proxy.connect().close()
        yield made
    sandbox.discard("arena_2")
    sandbox.discard("arena_log")


def play(stage: Arena, row: Row) -> Scene:
    """The transaction, with the row's faults; the client has been told."""
    mesh = stage.serve(clock=row.clock) if row.own_mesh else stage.proxies[0]
    scene = Scene(stage, mesh, Client(mesh), stage.ids())
    assert stage.stored(scene.ids) == UNDONE
    needed = []
    for fault in row.faults:
        act = None if fault.do is None else lambda do=fault.do: do(scene)
        armed = stage.relays[fault.where].fail(fault.pattern, fault.kind, seconds=fault.seconds, do=act)
        needed += [armed] if fault.needed else []
    scene.client.play(row.mode, [statement.format(**scene.ids) for statement in row.statements], "COMMIT")
    scene.client.wait(40)
    for armed in needed:
        assert armed.done.wait(10), f"{armed.pattern} was not reached: {scene.client}"
    return scene


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(stage: Arena, row: Row) -> None:
    before = len(stage.transactions())
    scene = play(stage, row)
    assert scene.client.told in row.told, (scene.client.told, scene.client)
    assert scene.client.seconds < row.within, scene.client.seconds
    if row.then is not None:
        row.then(scene)
    stage.heal()
    stage.settle()
    stored = stage.stored(scene.ids)
    whole = list(row.whole)
    assert stored in {"whole": [whole], "undone": [UNDONE], "either": [whole, UNDONE]}[row.ends], stored
    if scene.client.told == "OK":
        assert stored == whole
    if scene.client.told == "1213":
        assert stored == UNDONE
    made = stage.transactions()[before:]
    assert [state for _, state, _ in made] or [None] in ([state] for state in row.states)
    stage.check(made)
    writable(scene)
