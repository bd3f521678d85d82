"""A client that reads a sorted result at a limited rate, as a process of its own so that it can be killed.

``python -m benchmarks.slow_reader PORT USER PASSWORD DATABASE SQL BYTES_PER_SECOND`` prints a line of
JSON for every 50,000 rows, and one at its end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

_BATCH = 1_000
_REPORT = 50_000


def read(cursor: SSCursor, sql: str, rate: float) -> Iterator[dict[str, Any]]:
    """Now and then, and at the end: rows, bytes of values, seconds, and whether the first column came in order."""
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
        if rows % _REPORT == 0:
            yield {"rows": rows, "bytes": size}
        time.sleep(max(0.0, begin + size / rate - time.monotonic()))
    yield {"rows": rows, "bytes": size, "seconds": time.monotonic() - begin, "in_order": in_order}


def main(arguments: Sequence[str]) -> None:
    port, user, password, database, sql, rate = arguments
    options: dict[str, Any] = {"host": "127.0.0.1", "port": int(port), "user": user, "password": password}
    with closing(pymysql.connect(**options, database=database, cursorclass=SSCursor)) as connection:
        for line in read(connection.cursor(), sql, float(rate)):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
