"""Executable comments opened: what the backends would run must be seen by the router too.

MySQL 8.4 Reference Manual 11.7 "Comments"; MariaDB knowledge base "Comment Syntax": ``/*M! */``, and no comments
for MySQL 5.7 and later.
"""

from __future__ import annotations

import re

from dbmesh.errors import NotSupported
from dbmesh.sql.fingerprint import BACKTICK, DOUBLE, SINGLE

_SCAN = re.compile(
    rf"""(?P<open>/\*M?!) | (?P<close>\*/) | (?P<plain>/\*)
      | '(?:{SINGLE}) | "(?:{DOUBLE}) | `(?:{BACKTICK}) | \#[^\n]* | --(?=[\x00-\x20]|\Z)[^\n]*""",
    re.VERBOSE | re.DOTALL,
)
_VERSION = re.compile(r"[0-9]*")


def open_comments(text: str, server_version: int, mariadb: bool) -> str:
    """``text`` with the executable comments that a backend of that version would run turned into plain text.

    ``server_version`` as MySQL writes it in comments: 80403 for 8.4.3, 101106 for MariaDB 10.11.6.
    Raises NotSupported for what backends of different versions would read differently.
    """
    if "!" not in text or "/*" not in text:
        return text
    parts: list[str] = []
    at = 0
    inside = False
    while found := _SCAN.search(text, at):
        start, end = found.span()
        if found["open"] and not (found["open"] == "/*M!" and not mariadb):
            if inside:
                raise NotSupported("an executable comment within another")
            parts.append(text[at:start])
            runs, at = _runs(text, end, server_version, mariadb)
            if runs:
                inside = True
                parts.append(" ")
            else:
                at = _end_of_comment(text, at)
                parts.append(" ")
        elif found["open"] or found["plain"]:
            if inside:
                raise NotSupported("a comment within an executable comment")
            closing = text.find("*/", end)
            stop = len(text) if closing < 0 else closing + 2
            parts.append(text[at:stop])
            at = stop
        elif found["close"] and inside:
            parts.append(text[at:start] + " ")
            inside = False
            at = end
        else:
            parts.append(text[at:end])
            at = end
    if inside:
        raise NotSupported("an executable comment without its end")
    return "".join(parts) + text[at:]


def _runs(text: str, start: int, server_version: int, mariadb: bool) -> tuple[bool, int]:
    """Whether the comment whose version begins at ``start`` is run, and where its content begins."""
    match = _VERSION.match(text, start)
    digits = match.group() if match else ""
    if not digits:
        return True, start
    if len(digits) not in (5, 6):
        raise NotSupported(f"an executable comment with the version '{digits}'", "write five or six digits")
    after = text[start + len(digits) : start + len(digits) + 1]
    if len(digits) == 6 and not mariadb and not after.isspace():
        raise NotSupported("a six-digit version in an executable comment without a space behind it")
    version = int(digits)
    if mariadb and 50700 <= version <= 99999:
        return False, start + len(digits)
    return version <= server_version, start + len(digits)


def _end_of_comment(text: str, start: int) -> int:
    closing = text.find("*/", start)
    if closing < 0:
        raise NotSupported("an executable comment without its end")
    if text.find("/*", start, closing) >= 0:
        raise NotSupported("a comment within an executable comment")
    return closing + 2
