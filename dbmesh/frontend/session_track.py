"""What OK packets tell of a session's changes to a client with CLIENT_SESSION_TRACK (MySQL 8.4 manual, 7.1.18).

Which changes are told is the client's own choice, by the variables ``session_track_…``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dbmesh.protocol.response import Change, encode_change

if TYPE_CHECKING:
    from dbmesh.frontend.session import Session

_DEFAULT = "autocommit,character_set_client,character_set_connection,character_set_results,time_zone"
_CHARSETS = ("character_set_client", "character_set_connection", "character_set_results")
_NO_TRANSACTION = "________"


class SessionTrack:
    """``on``: the client has the capability; without it nothing is noted."""

    def __init__(self, session: Session, on: bool) -> None:
        self.on = on
        self._session = session
        self._changes: list[bytes] = []
        self._states = False  # whether it was told of every change of the state when it last heard of any
        self._told = self._at_first = _NO_TRANSACTION if session.mesh.is_mysql else ""  # the transactions' state
        self._characteristics: str | None = None  # the transactions', as the client knows them
        self._done: set[str] = set()  # what the running transaction has done: the letters R, W and S

    @property
    def translates(self) -> bool:
        """Whether servers' OK packets cannot be passed on as they are: the client wants to know its transaction."""
        return self.on and self._chosen("session_track_transaction_info", "OFF") != "OFF"

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Those of the variables' names whose new values are to be told."""
        if not self.on:
            return []
        chosen = {name.strip().lower() for name in self._chosen("session_track_system_variables", _DEFAULT).split(",")}
        names = dict.fromkeys(part for name in names for part in _parts(name))
        return [name for name in names if name in chosen or "*" in chosen]

    def variables(self, values: Iterable[tuple[str, str]]) -> None:
        """System variables have been SET; the values as SHOW VARIABLES has them."""
        for name, value in values:
            self._changes.append(encode_change(Change.SYSTEM_VARIABLE, name.encode(), value.encode("utf-8", "replace")))

    def schema(self, name: str) -> None:
        """USE."""
        if self.on and self._chosen("session_track_schema", "ON") != "OFF":
            self._changes.append(encode_change(Change.SCHEMA, name.encode("utf-8", "replace")))
        self.state()

    def state(self) -> None:
        """Anything of the session's state has changed. To MySQL that a client wants to know is no such change."""
        if self.on and self._tells_states() and (self._states or not self._session.mesh.is_mysql):
            self._changes.append(encode_change(Change.STATE))

    def done(self, *, reads: bool, writes: bool, sends: bool) -> None:
        """A statement of the transaction has ended; ``sends``: it gave a result set."""
        if self.on:
            self._done |= {letter for letter, is_so in (("R", reads), ("W", writes), ("S", sends)) if is_so}

    def take(self) -> bytes:
        """The changes since the last OK packet, encoded; b"" for none."""
        if not self.on:
            return b""
        self._states = self._tells_states()
        if self.translates:
            self._note_transaction()
        else:  # MySQL takes who begins to ask for one that knows of no transaction
            self._told = self._at_first
            self._characteristics = None
        changes, self._changes = self._changes, []
        return b"".join(dict.fromkeys(changes))

    def _note_transaction(self) -> None:
        transaction = self._session.transaction
        now = _NO_TRANSACTION
        if transaction is None:
            self._done.clear()
        else:
            letters = [letter if letter in self._done else "_" for letter in "_R_W_S"]
            now = ("T" if transaction.explicit else "I") + "".join(letters) + "_"
        if now != self._told:
            self._told = now
            self._changes.append(encode_change(Change.TRANSACTION_STATE, now.encode()))
        if self._chosen("session_track_transaction_info", "OFF") != "CHARACTERISTICS":
            self._characteristics = None
            return
        text = transaction.characteristics if transaction is not None else ""
        if text != self._characteristics:
            self._characteristics = text
            self._changes.append(encode_change(Change.TRANSACTION_CHARACTERISTICS, text.encode()))

    def _tells_states(self) -> bool:
        return self._chosen("session_track_state_change", "OFF") == "ON"

    def _chosen(self, name: str, default: str) -> str:
        literal = dict(self._session.state.variables).get(name)
        if literal is None:
            return default
        value = literal.strip("'\"")
        if name == "session_track_system_variables":
            return value
        return {"0": "OFF", "1": "ON", "FALSE": "OFF", "TRUE": "ON"}.get(value.upper(), value.upper())


def _parts(name: str) -> tuple[str, ...]:
    """The variables that a SET changes: SET NAMES three."""
    if name in ("names", "character set"):
        return _CHARSETS
    return ("character_set_connection", name) if name == "collation_connection" else (name,)
