"""Names of global transactions: ``dm-`` + ULID (26 characters, sorts by time) + ``-`` + the proxy's instance."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32


def new_gtrid(instance: str) -> str:
    """A new name, at most 48 ASCII bytes. The clock only makes names sort; nothing is decided by it."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    ulid = "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
    return f"dm-{ulid}-{instance}"
