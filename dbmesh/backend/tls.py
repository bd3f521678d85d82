"""TLS towards the servers: the rules' modes as an SSL context, and asyncmy's login taught to follow them."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from asyncmy import connection as asyncmy_connection

from dbmesh.protocol.constants import Capability
from dbmesh.rules.model import TlsRules

# Its private names have no types; tests/unit/backend/test_dial.py tells when one of them moves.
_Asyncmy: Any = asyncmy_connection.Connection


class TlsLogin(_Asyncmy):  # type: ignore[misc]
    """asyncmy's connection, which fails where the rules demand TLS and the server has none.

    asyncmy by itself would send its TLS request to a server that does not offer it.
    """

    def __init__(self, *, tls: TlsRules | None, **options: object) -> None:
        super().__init__(ssl=None if tls is None else client_context(tls), **options)
        self._tls = tls

    @property
    def socket(self) -> socket.socket | None:
        """Of the connection."""
        found: socket.socket | None = self._transport.get_extra_info("socket")
        return found

    async def _get_server_information(self) -> None:
        await super()._get_server_information()
        if self._tls is None or self.server_capabilities & Capability.SSL:
            return
        if self._tls.mode != "preferred":
            raise OSError("the server does not offer TLS, which the rules demand")
        self._ssl_context = None


def client_context(rules: TlsRules) -> ssl.SSLContext:
    """At least TLS 1.2; the chain and the name are checked as the mode says. Raises OSError for files it cannot use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = rules.mode == "verify_identity"
    if rules.mode in ("preferred", "required"):
        context.verify_mode = ssl.CERT_NONE
    elif rules.ca is not None:
        context.load_verify_locations(rules.ca)
    else:
        context.load_default_certs()
    if rules.certificate is not None:
        context.load_cert_chain(rules.certificate, rules.key)
    return context
