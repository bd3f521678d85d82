"""The MySQL wire without IO: bytes in, packets out."""

from dbmesh.protocol.constants import Capability, Collation, Command, FieldFlag, FieldType, Status
from dbmesh.protocol.failures import BadHandshake, PacketsOutOfOrder, PacketTooLarge, ProtocolError
from dbmesh.protocol.response import Err, Ok, end_of_rows, eof_packet, err_packet, error_packet, ok_packet
from dbmesh.protocol.resultset import ColumnDefinition, decode_text_row, encode_text_row

__all__ = [
    "BadHandshake",
    "Capability",
    "Collation",
    "ColumnDefinition",
    "Command",
    "Err",
    "FieldFlag",
    "FieldType",
    "Ok",
    "PacketTooLarge",
    "PacketsOutOfOrder",
    "ProtocolError",
    "Status",
    "decode_text_row",
    "encode_text_row",
    "end_of_rows",
    "eof_packet",
    "err_packet",
    "error_packet",
    "ok_packet",
]
