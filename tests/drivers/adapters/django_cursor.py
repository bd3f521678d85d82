"""Django's database wrapper and cursor; models, migrations and the ORM are in ``test_django``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pymysql
import pymysql.constants
import pymysql.converters

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Answer, Client, Failure, Row
from tests.drivers.dbapi import answer

try:
    import MySQLdb  # noqa: F401
except ImportError:
    # Django's own driver is mysqlclient; this one takes its place where there is none. Its submodules as well: imported
    # anew under the other name they would replace PyMySQL's own, whose exceptions nobody would catch any more.
    pymysql.install_as_MySQLdb()
    for name in [name for name in sys.modules if name.startswith("pymysql.")]:
        sys.modules[name.replace("pymysql", "MySQLdb", 1)] = sys.modules[name]

import django
import django.db
from django.conf import settings
from django.db.backends.mysql.base import DatabaseWrapper

# with TLS and without, in the driver's words
_PYMYSQL = {True: {"ssl": {"check_hostname": False}}, False: {"ssl_disabled": True}}
_MYSQLCLIENT = {True: {"ssl_mode": "REQUIRED"}, False: {}}
TLS: dict[bool, dict[str, Any]] = _PYMYSQL if sys.modules["MySQLdb"] is pymysql else _MYSQLCLIENT

if not settings.configured:
    settings.configure(
        DATABASES={},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "tests.drivers.library"],
        USE_TZ=False,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()


class DjangoClient(Client):
    def __init__(self, wrapper: Any) -> None:
        self.wrapper = wrapper
        wrapper.ensure_connection()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        with closing(self.wrapper.cursor()) as cursor:
            cursor.execute(sql.replace("?", "%s"), list(parameters) or None)
            return answer(cursor)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with closing(self.wrapper.cursor()) as cursor:
            cursor.executemany(sql.replace("?", "%s"), rows)

    def stream(self, sql: str) -> Iterator[Row]:
        with closing(self.wrapper.chunked_cursor()) as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(1000):
                yield from rows

    def begin(self) -> None:
        self.wrapper.set_autocommit(False)

    def commit(self) -> None:
        self.wrapper.commit()
        self.wrapper.set_autocommit(True)

    def rollback(self) -> None:
        self.wrapper.rollback()
        self.wrapper.set_autocommit(True)

    def close(self) -> None:
        self.wrapper.close()


def failure(error: Exception) -> Failure | None:
    if not isinstance(error, django.db.Error) or not error.args or not isinstance(error.args[0], int):
        return None
    return Failure(type(error).__name__, error.args[0])


def connect(endpoint: Endpoint, database: str, tls: bool) -> Client:
    return DjangoClient(wrapper(endpoint, database, TLS[tls]))


def wrapper(endpoint: Endpoint, database: str, options: dict[str, Any]) -> Any:
    """Django's wrapper of one database connection."""
    address = endpoint.address()
    return DatabaseWrapper(
        {
            "ENGINE": "django.db.backends.mysql",
            "NAME": database,
            "HOST": address["host"],
            "PORT": address["port"],
            "USER": address["user"],
            "PASSWORD": address["password"],
            "OPTIONS": {"charset": "utf8mb4", **options},
            "TIME_ZONE": None,
            "CONN_MAX_AGE": 0,
            "CONN_HEALTH_CHECKS": False,
            "AUTOCOMMIT": True,
            "ATOMIC_REQUESTS": False,
            "TEST": {},
        },
        "default",
    )


# its TIME is a time of the day
ADAPTER = Adapter("django", connect, failure, unable=("TIME", "TIME(3)", "TIME(6)"))
