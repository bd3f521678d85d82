"""Passwords as MySQL proves them: mysql_native_password and caching_sha2_password, both sides' arithmetic.

Protocol pages "Native Authentication" and "Caching_sha2_password information".
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1, sha256
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dbmesh.protocol.handshake import SALT_LENGTH

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
CLEAR = "mysql_clear_password"  # the password itself: where nobody can listen

MAX_PASSWORD = 256  # bytes, as in MySQL; the crypt form takes time and memory by the square of the length


def new_salt() -> bytes:
    """20 random bytes; NUL and '$' are avoided as servers do, since old clients stop at them."""
    return bytes(byte % 127 if byte % 127 not in (0, 36) else 77 for byte in os.urandom(SALT_LENGTH))


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=False))


def native_scramble(password: bytes, salt: bytes) -> bytes:
    """What a client sends: SHA1(p) XOR SHA1(salt + SHA1(SHA1(p))); nothing for an empty password."""
    if not password:
        return b""
    once = sha1(password).digest()
    return _xor(once, sha1(salt + sha1(once).digest()).digest())


def sha2_scramble(password: bytes, salt: bytes) -> bytes:
    """What a client sends: SHA256(p) XOR SHA256(SHA256(SHA256(p)) + salt); nothing for an empty password."""
    if not password:
        return b""
    once = sha256(password).digest()
    return _xor(once, sha256(sha256(once).digest() + salt).digest())


def proves(plugin: str, scramble: bytes, twice: bytes, salt: bytes) -> bool:
    """Whether the scramble was made from the password of which ``twice`` is the double hash."""
    if plugin == NATIVE:
        once = _xor(scramble, sha1(salt + twice).digest())
        return len(scramble) == 20 and hmac.compare_digest(sha1(once).digest(), twice)
    once = _xor(scramble, sha256(twice + salt).digest())
    return len(scramble) == 32 and hmac.compare_digest(sha256(once).digest(), twice)


class Password(Protocol):
    """What is known of an account's password: `rules.passwords.StoredPassword` is one.

    ``native``: SHA1(SHA1(p)), 20 bytes. ``sha2``: SHA256(SHA256(p)), 32 bytes. What is None takes a full exchange.
    """

    @property
    def empty(self) -> bool: ...
    @property
    def native(self) -> bytes | None: ...
    @property
    def sha2(self) -> bytes | None: ...
    def matches(self, password: bytes) -> bool: ...


@dataclass(frozen=True, slots=True)
class NoPassword:
    """An account that nobody can enter, so that an unknown user looks like a wrong password."""

    native: bytes
    sha2: bytes
    empty: bool = False

    @classmethod
    def make(cls) -> NoPassword:
        return cls(os.urandom(20), os.urandom(32))

    def matches(self, password: bytes) -> bool:
        return False


class RsaKey:
    """The key pair for the full exchange on a plain TCP connection; made when the first client asks."""

    @cached_property
    def _private(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def public_pem(self) -> bytes:
        return self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def decrypt_password(self, encrypted: bytes, salt: bytes) -> bytes | None:
        """The password, or None for bytes that this key did not encrypt. Padding: OAEP with SHA-1, as clients do."""
        try:
            scheme = padding.OAEP(padding.MGF1(SHA1()), SHA1(), None)
            masked = self._private.decrypt(encrypted, scheme)
        except (ValueError, UnsupportedAlgorithm):
            return None
        return _xor(masked, salt * (len(masked) // len(salt) + 1)).removesuffix(b"\0")
