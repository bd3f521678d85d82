"""The server's side of a login, from the greeting to "accepted" or "denied"; the final OK or ERR is the owner's.

Protocol pages "Connection Phase" and "Caching_sha2_password information".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum, auto

from dbmesh.protocol.auth import CACHING_SHA2, NATIVE, Credential, RsaKey
from dbmesh.protocol.constants import Capability
from dbmesh.protocol.failures import BadHandshake
from dbmesh.protocol.handshake import Greeting, HandshakeResponse, is_tls_request, parse_handshake_response

_SHA2_MORE = b"\x01"
_FAST_SUCCESS = b"\x01\x03"
_FULL_EXCHANGE = b"\x01\x04"
_WANT_PUBLIC_KEY = b"\x02"


class Verdict(Enum):
    UNDECIDED = auto()
    ACCEPTED = auto()
    DENIED = auto()


class ServerLogin:
    """Fed with one payload after the other; each gives a verdict and what to send before anything else.

    ``credential_of`` gives a user's credential, None for an unknown user, who is denied like one with a wrong
    password. ``secure``: nobody can listen (Unix socket, TLS), so the password itself may be sent. After a full
    exchange ``learned`` is the credential that makes the next one fast.
    """

    def __init__(
        self,
        greeting: Greeting,
        credential_of: Callable[[str], Credential | None],
        rsa_key: RsaKey,
        secure: bool,
    ) -> None:
        self.greeting = greeting
        self.response: HandshakeResponse | None = None
        self.learned: Credential | None = None
        self.used_password = False
        self._credential_of = credential_of
        self._rsa_key = rsa_key
        self._secure = secure
        self._credential = Credential()
        self._plugin = greeting.plugin
        self._next: Callable[[bytes], tuple[Verdict, list[bytes]]] = self._on_response

    def receive(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        """Raises BadHandshake for bytes that are no login."""
        return self._next(payload)

    def _on_response(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        if is_tls_request(payload):
            raise BadHandshake("Bad handshake: this listener does not offer TLS")
        response = self.response = parse_handshake_response(payload)
        self._credential = self._credential_of(response.user) or _nobody()
        self.used_password = bool(response.auth)
        asked = response.plugin if response.plugin is not None else NATIVE
        if asked == self.greeting.plugin and self._credential.supports(asked):
            return self._check(asked, response.auth)
        if not response.capabilities & Capability.PLUGIN_AUTH:
            return self._check(NATIVE, response.auth)
        # The answer was computed for another plugin than the client's or the account's: ask again.
        self._plugin = asked if self._credential.supports(asked) else self._account_plugin()
        self._next = self._on_switched
        return Verdict.UNDECIDED, [b"\xfe" + self._plugin.encode("ascii") + b"\0" + self.greeting.salt + b"\0"]

    def _account_plugin(self) -> str:
        return NATIVE if self._credential.supports(NATIVE) else CACHING_SHA2

    def _on_switched(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        self.used_password = payload not in (b"", b"\0")
        return self._check(self._plugin, payload)

    def _check(self, plugin: str, scramble: bytes) -> tuple[Verdict, list[bytes]]:
        if not self._credential.supports(plugin):
            return Verdict.DENIED, []
        proven = self._credential.proves(plugin, scramble, self.greeting.salt)
        if proven is None:
            self._next = self._on_full_exchange
            return Verdict.UNDECIDED, [_FULL_EXCHANGE]
        if not proven:
            return Verdict.DENIED, []
        return Verdict.ACCEPTED, [_FAST_SUCCESS] if plugin == CACHING_SHA2 and scramble[1:] else []

    def _on_full_exchange(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        if self._secure:
            return self._check_password(payload.removesuffix(b"\0"))
        if payload != _WANT_PUBLIC_KEY:
            return Verdict.DENIED, []  # a password in clear on a channel that others can read
        self._next = self._on_encrypted_password
        return Verdict.UNDECIDED, [_SHA2_MORE + self._rsa_key.public_pem]

    def _on_encrypted_password(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        password = self._rsa_key.decrypt_password(payload, self.greeting.salt)
        return (Verdict.DENIED, []) if password is None else self._check_password(password)

    def _check_password(self, password: bytes) -> tuple[Verdict, list[bytes]]:
        if not self._credential.accepts_password(password):
            return Verdict.DENIED, []
        self.learned = self._credential.with_password(password)
        return Verdict.ACCEPTED, []


def _nobody() -> Credential:
    """A credential that no password matches, so that an unknown user looks like a wrong password."""
    return Credential(native=os.urandom(20), sha2=os.urandom(32))
