"""mysql2 for Node."""

from __future__ import annotations

from functools import partial

from tests.drivers.adapter import Adapter
from tests.drivers.remote import Program, RemoteClient, failure
from tests.drivers.toolchains import missing, prepared, run

VERSION = "3.24.6"


def command() -> list[str]:
    folder = prepared("node", VERSION)
    if not (folder / "node_modules" / "mysql2").exists():
        run(["npm", "install", "--no-audit", "--no-fund", "--no-save", f"mysql2@{VERSION}"], folder)
    return ["node", str(folder / "driver.js")]


ADAPTER = Adapter(
    "node-mysql2",
    partial(RemoteClient, Program(command)),
    failure,
    prepares=True,
    language="Node",
    # it makes objects of them, which it does not write as such
    unable=("POINT", "GEOMETRY"),
    unable_prepared=("POINT", "GEOMETRY"),
    missing=missing("node", "npm"),
)
