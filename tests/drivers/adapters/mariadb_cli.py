"""The ``mariadb`` command line in batch mode: statements in, tab-separated rows out."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from dbmesh.sandbox.endpoint import Endpoint
from tests.drivers.adapter import Adapter, Answer, Client, Failure, Row
from tests.programs import mariadb

_ERROR = re.compile(rb"^ERROR (\d+) \((\w+)\)", re.MULTILINE)
_ESCAPE = re.compile(rb"\\([ntr0\\])")
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
_MARK = b"--- end of answer ---"


class CliError(Exception):
    """What the command line printed to its error output."""


class CliClient(Client):
    """One process for the whole session. Values are the bytes that it prints; NULL is printed as a word."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=1 << 20
        )
        try:
            self.execute("SELECT 1")
        except BaseException:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        lines = list(self._answer(_filled(sql, parameters)))
        if not lines:
            return Answer()
        names, *rows = [tuple(_ESCAPE.sub(lambda m: _ESCAPED[m[1]], v) for v in line.split(b"\t")) for line in lines]
        return Answer(names, rows)

    def stream(self, sql: str) -> Iterator[Row]:
        lines = self._answer(sql.encode())
        next(lines)
        for line in lines:
            number, *others = line.split(b"\t")
            yield (int(number), *others)

    def _answer(self, sql: bytes) -> Iterator[bytes]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._errors.seek(0)
        self._errors.truncate()
        stdin.write(sql + b";\nSELECT '" + _MARK + b"' AS `" + _MARK + b"`;\n")
        stdin.flush()
        while (line := stdout.readline()) != _MARK + b"\n":
            if not line:
                break
            yield line[:-1]
        stdout.readline()
        self._errors.seek(0)
        if printed := self._errors.read():
            raise CliError(printed)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()
        self._errors.close()


def _filled(sql: str, parameters: Sequence[Any]) -> bytes:
    first, *others = sql.encode().split(b"?")
    return first + b"".join(_literal(value) + part for value, part in zip(parameters, others, strict=True))


def _literal(value: Any) -> bytes:
    if isinstance(value, int):
        return str(value).encode()
    data = value.encode() if isinstance(value, str) else bytes(value)
    if data == b"NULL":
        return data
    try:
        data.decode()
        kind = b""
    except UnicodeDecodeError:
        kind = b"_binary"
    for letter in (b"\\", b"'", b"\0", b"\n"):
        data = data.replace(letter, b"\\" + {b"\0": b"0", b"\n": b"n"}.get(letter, letter))
    return kind + b"'" + data + b"'"


def arguments(endpoint: Endpoint, *options: str) -> list[str]:
    """What follows the name of one of MariaDB's client programs."""
    account = endpoint.account
    where = [f"--host={endpoint.host}", f"--port={endpoint.port}", f"--user={account.user}"]
    return ["--no-defaults", *where, f"--password={account.password}", *options]


def failure(error: Exception) -> Failure | None:
    found = _ERROR.search(error.args[0]) if isinstance(error, CliError) else None
    return found and Failure("ERROR", int(found[1]), found[2].decode())


def connect(endpoint: Endpoint, database: str, tls: bool) -> Client:
    start = mariadb()
    mode = ["--batch", "--unbuffered", "--force", "--quick", "--max-allowed-packet=64M"]
    options = [*mode, "--default-character-set=utf8mb4", "--ssl" if tls else "--skip-ssl"]
    return CliClient([*start, *arguments(endpoint, *options, database)])


ADAPTER = Adapter("mariadb-cli", connect, failure)
