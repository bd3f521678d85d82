"""What can be wrong with bytes on the wire. The client gets the ERR packet and, the stream being lost, a close."""

from __future__ import annotations

from dbmesh.errors import MeshError


class ProtocolError(MeshError):
    """ER_MALFORMED_PACKET: bytes that are no packet of this protocol."""

    errno = 1835
    sqlstate = "HY000"

    def __init__(self, message: str = "Malformed communication packet") -> None:
        super().__init__(message)


class BadHandshake(ProtocolError):
    """ER_HANDSHAKE_ERROR: what came instead of a login."""

    errno = 1043
    sqlstate = "08S01"

    def __init__(self, message: str = "Bad handshake") -> None:
        super().__init__(message)


class PacketTooLarge(ProtocolError):
    """ER_NET_PACKET_TOO_LARGE."""

    errno = 1153
    sqlstate = "08S01"

    def __init__(self) -> None:
        super().__init__("Got a packet bigger than 'max_allowed_packet' bytes")


class PacketsOutOfOrder(ProtocolError):
    """ER_NET_PACKETS_OUT_OF_ORDER."""

    errno = 1156
    sqlstate = "08S01"

    def __init__(self) -> None:
        super().__init__("Got packets out of order")
