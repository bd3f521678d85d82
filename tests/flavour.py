"""Which servers the tests run on: what MariaDB and MySQL do differently is data of the tests that see it."""

from __future__ import annotations

import pytest

from dbmesh.sandbox import ensure_server

MYSQL = ensure_server().is_mysql
DEFAULT_COLLATION = "utf8mb4_0900_ai_ci" if MYSQL else "utf8mb4_general_ci"


def mariadb_only(why: str) -> pytest.MarkDecorator:
    """For a test that means nothing on MySQL."""
    return pytest.mark.skipif(MYSQL, reason=f"MariaDB only: {why}")


def numbers(most: int) -> str:
    """What FROM can name to have the numbers 1, 2 … ``most`` in a column ``seq``, made as they are read.

    On MySQL in any order, and ``most`` is one followed by zeros.
    """
    if not MYSQL:
        return f"seq_1_to_{most}"
    places = range(len(str(most)) - 1)
    assert most == 10 ** len(places)
    digits = ", ".join(f"ROW({digit})" for digit in range(10))
    seq = " + ".join(f"d{place}.n * {10**place}" for place in places)
    return f"(SELECT 1 + {seq} AS seq FROM {', '.join(f'(VALUES {digits}) d{place} (n)' for place in places)}) numbers"
