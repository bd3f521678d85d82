"""Which servers the tests run on: what MariaDB and MySQL do differently is data of the tests that see it."""

from __future__ import annotations

import pytest

from dbmesh.sandbox import ensure_server

MYSQL = ensure_server().is_mysql
DEFAULT_COLLATION = "utf8mb4_0900_ai_ci" if MYSQL else "utf8mb4_general_ci"


def mariadb_only(why: str) -> pytest.MarkDecorator:
    """For a test that means nothing on MySQL."""
    return pytest.mark.skipif(MYSQL, reason=f"MariaDB only: {why}")
