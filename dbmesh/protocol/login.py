"""The server's side of a login, from the greeting to "accepted" or "denied"; the final OK or ERR is the owner's.

Protocol pages "Connection Phase" and "Caching_sha2_password information".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from hashlib import sha256

from dbmesh.protocol.auth import CACHING_SHA2, CLEAR, MAX_PASSWORD, NATIVE, NoPassword, Password, RsaKey, proves
from dbmesh.protocol.constants import Capability
from dbmesh.protocol.failures import BadHandshake
from dbmesh.protocol.handshake import (
    Greeting,
    HandshakeResponse,
    is_tls_request,
    parse_change_user,
    parse_handshake_response,
)

_SHA2_MORE = b"\x01"
_FAST_SUCCESS = b"\x01\x03"
_FULL_EXCHANGE = b"\x01\x04"
_WANT_PUBLIC_KEY = b"\x02"
_NO_SCRAMBLE = (b"", b"\0")


class Verdict(Enum):
    UNDECIDED = auto()
    START_TLS = auto()
    ACCEPTED = auto()
    DENIED = auto()


Step = tuple[Verdict, list[bytes]]


class ServerLogin:
    """Fed with one payload after the other; each gives a verdict and what to send before anything else.

    ``password_of``: None for an unknown user, who is denied like one with a wrong password. ``secure``: nobody can
    listen (Unix socket, TLS), so the password itself may be sent; the owner sets it when it has started TLS. After
    a full exchange ``learned`` is the SHA256(SHA256(p)) that makes the next one fast.
    """

    def __init__(
        self,
        greeting: Greeting,
        password_of: Callable[[str], Password | None],
        rsa_key: RsaKey,
        secure: bool,
    ) -> None:
        self.greeting = greeting
        self.secure = secure
        self.response: HandshakeResponse | None = None
        self.learned: bytes | None = None
        self.used_password = False
        self._password_of = password_of
        self._rsa_key = rsa_key
        self._password: Password = NoPassword.make()
        self._plugin = greeting.plugin
        self._may_start_tls = bool(greeting.capabilities & Capability.SSL)
        self._next: Callable[[bytes], Step] = self._on_response

    def receive(self, payload: bytes) -> Step:
        """Raises BadHandshake for bytes that are no login."""
        return self._next(payload)

    def change_user(self, payload: bytes) -> Step:
        """Begin again with a COM_CHANGE_USER packet, after a login that was accepted. Raises BadHandshake."""
        assert self.response is not None
        self.learned = None
        self._password = NoPassword.make()
        self._plugin = self.greeting.plugin
        response = parse_change_user(payload, self.response)
        step = self._on_answer(response)
        # libmysqlclient's caching_sha2_password waits to be asked before it proves anything.
        if step[0] is Verdict.DENIED and not response.auth and response.plugin == CACHING_SHA2:
            return self._ask_again(CACHING_SHA2)
        return step

    def certificate_proof(self, fingerprint: bytes) -> bytes:
        """The info of the OK packet by which a MariaDB client (11.4 and later) trusts a self-signed certificate.

        It proves that who showed the certificate of that SHA-256 ``fingerprint`` also knows the password. Empty
        where the plugin's hash is not known to both sides. Source: MariaDB Connector/C, plugins/auth/my_auth.c.
        """
        if self._plugin != NATIVE or self._password.native is None:
            return b""
        return b"\x01" + sha256(self._password.native + self.greeting.salt + fingerprint).hexdigest().upper().encode()

    def _on_response(self, payload: bytes) -> Step:
        if is_tls_request(payload):
            if not self._may_start_tls:
                raise BadHandshake("Bad handshake: this listener does not offer TLS")
            self._may_start_tls = False
            return Verdict.START_TLS, []
        return self._on_answer(parse_handshake_response(payload))

    def _on_answer(self, response: HandshakeResponse) -> Step:
        self.response = response
        self._password = self._password_of(response.user) or self._password
        self.used_password = bool(response.auth)
        asked = response.plugin if response.plugin is not None else NATIVE
        if asked == self.greeting.plugin and self._supports(asked):
            return self._check(asked, response.auth)
        if not response.capabilities & Capability.PLUGIN_AUTH:
            return self._check(NATIVE, response.auth)
        # The answer was computed for another plugin than the client's or the account's.
        return self._ask_again(asked if self._supports(asked) else self._account_plugin())

    def _ask_again(self, plugin: str) -> Step:
        self._plugin = plugin
        self._next = self._on_switched
        return Verdict.UNDECIDED, [b"\xfe" + plugin.encode("ascii") + b"\0" + self.greeting.salt + b"\0"]

    def _account_plugin(self) -> str:
        return NATIVE if self._supports(NATIVE) else CACHING_SHA2

    def _supports(self, plugin: str) -> bool:
        """Any known hash can be checked against the password itself, which caching_sha2's full exchange sends."""
        if plugin == CLEAR:
            return self.secure
        return plugin == CACHING_SHA2 or (
            plugin == NATIVE and (self._password.empty or self._password.native is not None)
        )

    def _on_switched(self, payload: bytes) -> Step:
        self.used_password = payload not in _NO_SCRAMBLE
        return self._check(self._plugin, payload)

    def _check(self, plugin: str, scramble: bytes) -> Step:
        self._plugin = plugin
        if self._password.empty or scramble in _NO_SCRAMBLE:
            accepted = self._password.empty and scramble in _NO_SCRAMBLE
            return (Verdict.ACCEPTED if accepted else Verdict.DENIED), []
        if plugin == CLEAR:
            return self._check_password(scramble.removesuffix(b"\0"))
        twice = self._password.native if plugin == NATIVE else self._password.sha2
        if twice is None and plugin == CACHING_SHA2:
            self._next = self._on_full_exchange
            return Verdict.UNDECIDED, [_FULL_EXCHANGE]
        if twice is None or not proves(plugin, scramble, twice, self.greeting.salt):
            return Verdict.DENIED, []
        return Verdict.ACCEPTED, [_FAST_SUCCESS] if plugin == CACHING_SHA2 else []

    def _on_full_exchange(self, payload: bytes) -> Step:
        if self.secure:
            return self._check_password(payload.removesuffix(b"\0"))
        if payload != _WANT_PUBLIC_KEY:
            return Verdict.DENIED, []  # a password in clear on a channel that others can read
        self._next = self._on_encrypted_password
        return Verdict.UNDECIDED, [_SHA2_MORE + self._rsa_key.public_pem]

    def _on_encrypted_password(self, payload: bytes) -> Step:
        password = self._rsa_key.decrypt_password(payload, self.greeting.salt)
        return (Verdict.DENIED, []) if password is None else self._check_password(password)

    def _check_password(self, password: bytes) -> Step:
        if len(password) > MAX_PASSWORD or not self._password.matches(password):
            return Verdict.DENIED, []
        self.learned = sha256(sha256(password).digest()).digest()
        return Verdict.ACCEPTED, []
