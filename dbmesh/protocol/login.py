"""The server's side of a login, from the greeting to "accepted" or "denied"; the final OK or ERR is the owner's.

Protocol pages "Connection Phase" and "Caching_sha2_password information".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from hashlib import sha256

from dbmesh.protocol.auth import CACHING_SHA2, MAX_PASSWORD, NATIVE, NoPassword, Password, RsaKey, proves
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

    ``password_of``: None for an unknown user, who is denied like one with a wrong password. ``secure``: nobody can
    listen (Unix socket, TLS), so the password itself may be sent. After a full exchange ``learned`` is the
    SHA256(SHA256(p)) that makes the next one fast.
    """

    def __init__(
        self,
        greeting: Greeting,
        password_of: Callable[[str], Password | None],
        rsa_key: RsaKey,
        secure: bool,
    ) -> None:
        self.greeting = greeting
        self.response: HandshakeResponse | None = None
        self.learned: bytes | None = None
        self.used_password = False
        self._password_of = password_of
        self._rsa_key = rsa_key
        self._secure = secure
        self._password: Password = NoPassword.make()
        self._plugin = greeting.plugin
        self._next: Callable[[bytes], tuple[Verdict, list[bytes]]] = self._on_response

    def receive(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        """Raises BadHandshake for bytes that are no login."""
        return self._next(payload)

    def _on_response(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        if is_tls_request(payload):
            raise BadHandshake("Bad handshake: this listener does not offer TLS")
        response = self.response = parse_handshake_response(payload)
        self._password = self._password_of(response.user) or self._password
        self.used_password = bool(response.auth)
        asked = response.plugin if response.plugin is not None else NATIVE
        if asked == self.greeting.plugin and self._supports(asked):
            return self._check(asked, response.auth)
        if not response.capabilities & Capability.PLUGIN_AUTH:
            return self._check(NATIVE, response.auth)
        # The answer was computed for another plugin than the client's or the account's: ask again.
        self._plugin = asked if self._supports(asked) else self._account_plugin()
        self._next = self._on_switched
        return Verdict.UNDECIDED, [b"\xfe" + self._plugin.encode("ascii") + b"\0" + self.greeting.salt + b"\0"]

    def _account_plugin(self) -> str:
        return NATIVE if self._supports(NATIVE) else CACHING_SHA2

    def _supports(self, plugin: str) -> bool:
        """Any known hash can be checked against the password itself, which caching_sha2's full exchange sends."""
        return plugin == CACHING_SHA2 or (
            plugin == NATIVE and (self._password.empty or self._password.native is not None)
        )

    def _on_switched(self, payload: bytes) -> tuple[Verdict, list[bytes]]:
        self.used_password = payload not in (b"", b"\0")
        return self._check(self._plugin, payload)

    def _check(self, plugin: str, scramble: bytes) -> tuple[Verdict, list[bytes]]:
        if self._password.empty or scramble in (b"", b"\0"):
            accepted = self._password.empty and scramble in (b"", b"\0")
            return (Verdict.ACCEPTED if accepted else Verdict.DENIED), []
        twice = self._password.native if plugin == NATIVE else self._password.sha2
        if twice is None and plugin == CACHING_SHA2:
            self._next = self._on_full_exchange
            return Verdict.UNDECIDED, [_FULL_EXCHANGE]
        if twice is None or not proves(plugin, scramble, twice, self.greeting.salt):
            return Verdict.DENIED, []
        return Verdict.ACCEPTED, [_FAST_SUCCESS] if plugin == CACHING_SHA2 else []

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
        if len(password) > MAX_PASSWORD or not self._password.matches(password):
            return Verdict.DENIED, []
        self.learned = sha256(sha256(password).digest()).digest()
        return Verdict.ACCEPTED, []
