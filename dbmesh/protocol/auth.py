"""Passwords as MySQL proves them: mysql_native_password and caching_sha2_password, both sides' arithmetic.

Protocol pages "Native Authentication" and "Caching_sha2_password information"; the crypt form is the one that
mysql.user.authentication_string has ('$A$005$' + 20 bytes of salt + 43 characters).
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1, sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dbmesh.protocol.handshake import SALT_LENGTH

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"

MAX_PASSWORD = 256  # bytes, as in MySQL

_CRYPT_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


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


def _proves(scramble: bytes, twice: bytes, salt: bytes, plugin: str) -> bool:
    if plugin == NATIVE:
        once = _xor(scramble, sha1(salt + twice).digest())
        return len(scramble) == 20 and hmac.compare_digest(sha1(once).digest(), twice)
    once = _xor(scramble, sha256(twice + salt).digest())
    return len(scramble) == 32 and hmac.compare_digest(sha256(once).digest(), twice)


@dataclass(frozen=True, slots=True)
class Credential:
    """What is known of a password; never the password itself.

    ``native``: SHA1(SHA1(p)), 20 bytes. ``sha2``: SHA256(SHA256(p)), 32 bytes. ``crypt``: the crypt form, which only
    the full exchange can check. An account without a password has ``empty``.
    """

    native: bytes | None = None
    sha2: bytes | None = None
    crypt: bytes | None = None
    empty: bool = False

    @classmethod
    def of_password(cls, password: bytes) -> Credential:
        if not password:
            return cls(empty=True)
        return cls(sha1(sha1(password).digest()).digest(), sha256(sha256(password).digest()).digest())

    @classmethod
    def of_hash(cls, text: str) -> Credential:
        """'*' + 40 hex digits (PASSWORD()'s form) or '$A$005$…' (caching_sha2's). Raises ValueError for others."""
        if len(text) == 41 and text[0] == "*":
            return cls(native=bytes.fromhex(text[1:]))
        raw = text.encode("latin-1")
        if len(raw) == 70 and raw.startswith(b"$A$"):
            return cls(crypt=raw)
        raise ValueError("neither '*' and 40 hex digits nor the 70 bytes of '$A$005$…'")

    def supports(self, plugin: str | None) -> bool:
        if plugin == NATIVE:
            return self.empty or self.native is not None
        return plugin == CACHING_SHA2 and (self.empty or self.sha2 is not None or self.crypt is not None)

    def proves(self, plugin: str, scramble: bytes, salt: bytes) -> bool | None:
        """Whether the scramble is right; None when only the full exchange can tell."""
        if self.empty or not scramble:
            return self.empty and scramble in (b"", b"\0")
        twice = self.native if plugin == NATIVE else self.sha2
        return None if twice is None else _proves(scramble, twice, salt, plugin)

    def accepts_password(self, password: bytes) -> bool:
        """The full exchange of caching_sha2_password: the password itself, from a secure channel."""
        if len(password) > MAX_PASSWORD:  # the crypt form hashes its square
            return False
        if self.sha2 is not None:
            return hmac.compare_digest(sha256(sha256(password).digest()).digest(), self.sha2)
        if self.crypt is None:
            return False
        rounds = int(self.crypt[3:6], 16) * 1000
        return hmac.compare_digest(sha256_crypt(password, self.crypt[7:27], rounds), self.crypt[27:])

    def with_password(self, password: bytes) -> Credential:
        """After a full exchange succeeded the next logins can take the fast one (the 'cache' of the plugin's name)."""
        return Credential(self.native, sha256(sha256(password).digest()).digest(), self.crypt, self.empty)


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """The 43 characters of SHA-crypt (U. Drepper, "Unix crypt using SHA-256 and SHA-512") with MySQL's 20-byte salt."""
    length = len(password)
    inner = sha256(password + salt + password).digest()
    start = sha256(password + salt + _repeat(inner, length))
    bits = length
    while bits:
        start.update(inner if bits & 1 else password)
        bits >>= 1
    digest = start.digest()
    p = _repeat(sha256(password * length).digest(), length)
    s = _repeat(sha256(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(rounds):
        parts = (p if number & 1 else digest, s if number % 3 else b"", p if number % 7 else b"")
        digest = sha256(b"".join((*parts, digest if number & 1 else p))).digest()
    return _crypt_text(digest)


def _repeat(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _crypt_text(digest: bytes) -> bytes:
    out: list[str] = []
    a, b, c = 0, 10, 20
    for _ in range(10):
        _crypt_group(out, digest[a] << 16 | digest[b] << 8 | digest[c], 4)
        a, b, c = (c + 1) % 30, (a + 1) % 30, (b + 1) % 30
    _crypt_group(out, digest[31] << 8 | digest[30], 3)
    return "".join(out).encode("ascii")


def _crypt_group(out: list[str], value: int, count: int) -> None:
    for _ in range(count):
        out.append(_CRYPT_ALPHABET[value & 63])
        value >>= 6


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
        return _xor(masked, _repeat(salt, len(masked))).removesuffix(b"\0")
