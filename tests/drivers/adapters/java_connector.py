"""MySQL Connector/J."""

from __future__ import annotations

from functools import partial

from tests.drivers.adapter import Adapter
from tests.drivers.remote import Program, RemoteClient, failure
from tests.drivers.toolchains import missing, prepared, run

VERSION = "9.4.0"  # and in pom.xml


def command() -> list[str]:
    folder = prepared("java", VERSION)
    if not (folder / "lib").exists():
        run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], folder)
    run(["javac", "-cp", "lib/*", "Driver.java"], folder)
    return ["java", "-cp", f"{folder}/lib/*:{folder}", "Driver"]


# its times are times of the day, its dates are never zero, and it does not write back what it reads of these numbers
_UNABLE = ("TIME", "TIME(3)", "TIME(6)", "YEAR", "DATE NULL", "DATETIME(6) NULL")
ADAPTER = Adapter(
    "java-connector",
    partial(RemoteClient, Program(command)),
    failure,
    prepares=True,
    language="Java",
    unable=_UNABLE,
    unable_prepared=(*_UNABLE, "BIGINT UNSIGNED"),
    missing=missing("java", "javac", "mvn"),
)
