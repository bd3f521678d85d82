"""Numbers of the MySQL client/server protocol (dev.mysql.com, "Client/Server Protocol", constants pages).

Plain integers instead of enum.IntFlag: they are tested once per packet, and a member of IntFlag costs a method call.
"""

from __future__ import annotations

from typing import Final

MAX_PAYLOAD: Final = 0xFFFFFF  # a packet this long is continued in the next one


class Capability:
    """Capabilities Flags, the 32 bits that client and server agree on at login."""

    LONG_PASSWORD: Final = 1 << 0
    FOUND_ROWS: Final = 1 << 1
    LONG_FLAG: Final = 1 << 2
    CONNECT_WITH_DB: Final = 1 << 3
    NO_SCHEMA: Final = 1 << 4
    COMPRESS: Final = 1 << 5
    ODBC: Final = 1 << 6
    LOCAL_FILES: Final = 1 << 7
    IGNORE_SPACE: Final = 1 << 8
    PROTOCOL_41: Final = 1 << 9
    INTERACTIVE: Final = 1 << 10
    SSL: Final = 1 << 11
    IGNORE_SIGPIPE: Final = 1 << 12
    TRANSACTIONS: Final = 1 << 13
    RESERVED: Final = 1 << 14
    SECURE_CONNECTION: Final = 1 << 15
    MULTI_STATEMENTS: Final = 1 << 16
    MULTI_RESULTS: Final = 1 << 17
    PS_MULTI_RESULTS: Final = 1 << 18
    PLUGIN_AUTH: Final = 1 << 19
    CONNECT_ATTRS: Final = 1 << 20
    PLUGIN_AUTH_LENENC: Final = 1 << 21
    EXPIRED_PASSWORDS: Final = 1 << 22
    SESSION_TRACK: Final = 1 << 23
    DEPRECATE_EOF: Final = 1 << 24
    OPTIONAL_METADATA: Final = 1 << 25
    ZSTD: Final = 1 << 26
    QUERY_ATTRIBUTES: Final = 1 << 27


class Status:
    """SERVER_STATUS_flags_enum, in OK and EOF packets."""

    IN_TRANS: Final = 0x0001
    AUTOCOMMIT: Final = 0x0002
    MORE_RESULTS: Final = 0x0008
    NO_GOOD_INDEX_USED: Final = 0x0010
    NO_INDEX_USED: Final = 0x0020
    CURSOR_EXISTS: Final = 0x0040
    LAST_ROW_SENT: Final = 0x0080
    DB_DROPPED: Final = 0x0100
    NO_BACKSLASH_ESCAPES: Final = 0x0200
    METADATA_CHANGED: Final = 0x0400
    QUERY_WAS_SLOW: Final = 0x0800
    PS_OUT_PARAMS: Final = 0x1000
    IN_TRANS_READONLY: Final = 0x2000
    SESSION_STATE_CHANGED: Final = 0x4000


class Command:
    """The first byte of a command packet (enum_server_command)."""

    SLEEP: Final = 0x00
    QUIT: Final = 0x01
    INIT_DB: Final = 0x02
    QUERY: Final = 0x03
    FIELD_LIST: Final = 0x04
    CREATE_DB: Final = 0x05
    DROP_DB: Final = 0x06
    REFRESH: Final = 0x07
    SHUTDOWN: Final = 0x08
    STATISTICS: Final = 0x09
    PROCESS_INFO: Final = 0x0A
    PROCESS_KILL: Final = 0x0C
    DEBUG: Final = 0x0D
    PING: Final = 0x0E
    CHANGE_USER: Final = 0x11
    STMT_PREPARE: Final = 0x16
    STMT_EXECUTE: Final = 0x17
    STMT_SEND_LONG_DATA: Final = 0x18
    STMT_CLOSE: Final = 0x19
    STMT_RESET: Final = 0x1A
    SET_OPTION: Final = 0x1B
    STMT_FETCH: Final = 0x1C
    RESET_CONNECTION: Final = 0x1F


class FieldType:
    """enum_field_types, the type byte of a column definition."""

    DECIMAL: Final = 0x00
    TINY: Final = 0x01
    SHORT: Final = 0x02
    LONG: Final = 0x03
    FLOAT: Final = 0x04
    DOUBLE: Final = 0x05
    NULL: Final = 0x06
    TIMESTAMP: Final = 0x07
    LONGLONG: Final = 0x08
    INT24: Final = 0x09
    DATE: Final = 0x0A
    TIME: Final = 0x0B
    DATETIME: Final = 0x0C
    YEAR: Final = 0x0D
    NEWDATE: Final = 0x0E
    VARCHAR: Final = 0x0F
    BIT: Final = 0x10
    TIMESTAMP2: Final = 0x11
    DATETIME2: Final = 0x12
    TIME2: Final = 0x13
    VECTOR: Final = 0xF2
    JSON: Final = 0xF5
    NEWDECIMAL: Final = 0xF6
    ENUM: Final = 0xF7
    SET: Final = 0xF8
    TINY_BLOB: Final = 0xF9
    MEDIUM_BLOB: Final = 0xFA
    LONG_BLOB: Final = 0xFB
    BLOB: Final = 0xFC
    VAR_STRING: Final = 0xFD
    STRING: Final = 0xFE
    GEOMETRY: Final = 0xFF


class FieldFlag:
    """Column Definition Flags."""

    NOT_NULL: Final = 0x0001
    PRI_KEY: Final = 0x0002
    UNIQUE_KEY: Final = 0x0004
    MULTIPLE_KEY: Final = 0x0008
    BLOB: Final = 0x0010
    UNSIGNED: Final = 0x0020
    ZEROFILL: Final = 0x0040
    BINARY: Final = 0x0080
    ENUM: Final = 0x0100
    AUTO_INCREMENT: Final = 0x0200
    TIMESTAMP: Final = 0x0400
    SET: Final = 0x0800
    NO_DEFAULT_VALUE: Final = 0x1000
    ON_UPDATE_NOW: Final = 0x2000
    PART_KEY: Final = 0x4000
    NUM: Final = 0x8000


class Collation:
    """Ids of the collations that the mesh itself sends; the rest is asked from a server."""

    LATIN1_SWEDISH_CI: Final = 8
    GBK_CHINESE_CI: Final = 28
    UTF8MB3_GENERAL_CI: Final = 33
    UTF8MB4_GENERAL_CI: Final = 45
    UTF8MB4_BIN: Final = 46
    BINARY: Final = 63
    UTF8MB4_UNICODE_CI: Final = 224
    UTF8MB4_0900_AI_CI: Final = 255
