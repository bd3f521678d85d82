"""A deadlock over two servers whose two transactions are two mesh processes': they tell each other in the log."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pymysql

from tests.crash.proving_ground import Ground, until_true

CHANGE = "UPDATE account SET balance = balance + 1 WHERE id = {}"


def test_sessions_of_two_processes(ground: Ground) -> None:
    meshes = [ground.serve(), ground.serve()]
    told: list[Any] = [None, None]

    def change(number: int, cursor: Any, account: int) -> None:
        try:
            cursor.execute(CHANGE.format(account))
            told[number] = "OK"
        except pymysql.MySQLError as error:
            told[number] = error.args[0]

    with closing(meshes[0].connect()) as one, closing(meshes[1].connect()) as two:
        cursors = [one.cursor(), two.cursor()]
        for number, cursor in enumerate(cursors):
            cursor.execute("BEGIN")
            cursor.execute(CHANGE.format(number))
        threads = [threading.Thread(target=change, args=(n, cursors[n], 1 - n)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)  # a server's own wait for a lock ends after 50 s
            assert not thread.is_alive()
        assert sorted(map(str, told)) == ["1213", "OK"]
        for cursor in cursors:
            cursor.execute("ROLLBACK")
    until_true(lambda: ground.log_rows("SELECT * FROM LOG.lock_wait") == [], "notes are left")
    for mesh in meshes:
        mesh.kill()
        assert mesh.killed()
