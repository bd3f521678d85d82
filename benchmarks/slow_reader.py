"""A client that reads a sorted result at a limited rate, as a process of its own so that it can be killed.

``python -m benchmarks.slow_reader PORT USER PASSWORD DATABASE SQL BYTES_PER_SECOND`` prints one JSON object at its end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

_BATCH = 1_000


def read(cursor: SSCursor, sql: str, rate: float) -> dict[str, Any]:
    """Rows, bytes of values, seconds, and whether the first column came in order."""
    begin = time.monotonic()
    cursor.execute(sql)
    rows = size = 0
    in_order, last = True, ""
    while batch := cursor.fetchmany(_BATCH):
        rows += len(batch)
        size += sum(len(str(value)) for row in batch for value in row)
        keys = [row[0] for row in batch]
        in_order = in_order and last <= keys[0] and keys == sorted(keys)
        last = keys[-1]
        time.sleep(max(0.0, begin + size / rate - time.monotonic()))
    return {"rows": rows, "bytes": size, "seconds": time.monotonic() - begin, "in_order": in_order}


def main(arguments: Sequence[str]) -> None:
    port, user, password, database, sql, rate = arguments
    options: dict[str, Any] = {"host": "127.0.0.1", "port": int(port), "user": user, "password": password}
    with closing(pymysql.connect(**options, database=database, cursorclass=SSCursor)) as connection:
        print(json.dumps(read(connection.cursor(), sql, float(rate))))


if __name__ == "__main__":
    main(sys.argv[1:])
