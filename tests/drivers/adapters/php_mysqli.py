"""PHP's mysqli, over its own library mysqlnd."""

from __future__ import annotations

from functools import partial

from tests.drivers.adapter import Adapter
from tests.drivers.remote import Program, RemoteClient, failure
from tests.drivers.toolchains import SOURCES, missing


def command() -> list[str]:
    return ["php", str(SOURCES / "php" / "driver.php")]


_BITS = ("BIT(1)", "BIT(12)", "BIT(64)")  # read as numbers in text, and that text is no such number when it is written
ADAPTER = Adapter(
    "php-mysqli",
    partial(RemoteClient, Program(command)),
    failure,
    prepares=True,
    language="PHP",
    unable=_BITS,
    unable_prepared=_BITS,
    missing=missing("php"),
)
