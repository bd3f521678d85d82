"""go-sql-driver/mysql."""

from __future__ import annotations

from functools import partial

from tests.drivers.adapter import Adapter
from tests.drivers.remote import Program, RemoteClient, failure
from tests.drivers.toolchains import missing, prepared, run

VERSION = "1.10.1"


def command() -> list[str]:
    folder = prepared("go", VERSION)
    run(["go", "mod", "tidy"], folder)
    run(["go", "build", "-o", "driver", "."], folder)
    return [str(folder / "driver")]


ADAPTER = Adapter(
    "go-sql-driver",
    partial(RemoteClient, Program(command)),
    failure,
    prepares=True,
    language="Go",
    # it reads them as bytes, and writes bytes as _binary, which is another value to these types
    unable=("INET6", "INET4", "UUID"),
    missing=missing("go"),
)
