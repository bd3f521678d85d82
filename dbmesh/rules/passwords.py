"""What the rules keep of a user's password, and what each login method needs of it.

Accepted forms in YAML: ``password`` is plain text. ``password_hash`` is one of

* ``*`` and 40 hex digits: SHA1(SHA1(password)), as MySQL and MariaDB's PASSWORD() print it;
* ``sha256:`` and 64 hex digits: SHA256(SHA256(password)), which caching_sha2_password's fast path checks;
* ``$A$005$`` + 20 bytes of salt + 43 characters, or the same bytes in hex after ``0x``: the
  authentication_string of a caching_sha2_password account (print_identified_with_as_hex prints the hex form).

MySQL 8.4 Reference Manual, "Caching SHA-2 Pluggable Authentication"; sha256-crypt as
specified by Ulrich Drepper.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from hashlib import sha1, sha256

_CRYPT = re.compile(rb"\$A\$([0-9A-Fa-f]{3})\$(.{20})([./0-9A-Za-z]{43})", re.DOTALL)
_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class StoredPassword:
    """Hashes of one password; None where its form does not give the hash.

    ``native``: SHA1(SHA1(p)), 20 bytes. ``sha2``: SHA256(SHA256(p)), 32 bytes. ``crypt``: an
    authentication_string. A method whose hash is None needs the password itself once (caching_sha2's full
    authentication): ``matches``.
    """

    empty: bool = False
    native: bytes | None = field(default=None, repr=False)
    sha2: bytes | None = field(default=None, repr=False)
    crypt: bytes | None = field(default=None, repr=False)

    def matches(self, password: bytes) -> bool:
        """Whether this is the password. ``crypt`` takes milliseconds of CPU: remember ``double_sha256``."""
        if self.empty or not password:
            return self.empty and not password
        if self.sha2 is not None:
            return hmac.compare_digest(self.sha2, double_sha256(password))
        if self.native is not None:
            return hmac.compare_digest(self.native, double_sha1(password))
        return self.crypt is not None and hmac.compare_digest(self.crypt, crypt_again(password, self.crypt))


def double_sha1(password: bytes) -> bytes:
    return sha1(sha1(password).digest()).digest()


def double_sha256(password: bytes) -> bytes:
    return sha256(sha256(password).digest()).digest()


def plain(password: str) -> StoredPassword:
    """The hashes of a plain password; the password itself is not kept."""
    if not password:
        return StoredPassword(empty=True)
    secret = password.encode()
    return StoredPassword(native=double_sha1(secret), sha2=double_sha256(secret))


def hashed(text: str) -> StoredPassword:
    """A ``password_hash``. Raises ValueError, whose message does not repeat the hash."""
    if re.fullmatch(r"\*[0-9A-Fa-f]{40}", text):
        return StoredPassword(native=bytes.fromhex(text[1:]))
    if re.fullmatch(r"sha256:[0-9A-Fa-f]{64}", text):
        return StoredPassword(sha2=bytes.fromhex(text[7:]))
    if re.fullmatch(r"0x(?:[0-9A-Fa-f]{2})+", text) and _CRYPT.fullmatch(bytes.fromhex(text[2:])):
        return StoredPassword(crypt=bytes.fromhex(text[2:]))
    if _CRYPT.fullmatch(text.encode()):
        return StoredPassword(crypt=text.encode())
    raise ValueError(
        "must be '*' and 40 hex digits, 'sha256:' and 64 hex digits, "
        "'$A$005$' with salt and digest, or that in hex after '0x'"
    )


def looks_hashed(text: str) -> bool:
    """Whether a plain password looks as if its writer meant ``password_hash``."""
    try:
        hashed(text)
    except ValueError:
        return False
    return True


def crypt_again(password: bytes, stored: bytes) -> bytes:
    """The authentication_string that this password has with the salt and the rounds of ``stored``."""
    match = _CRYPT.fullmatch(stored)
    if match is None:
        raise ValueError("not an authentication_string of caching_sha2_password")
    rounds, salt = int(match[1], 16) * 1000, match[2]
    return b"$A$" + match[1] + b"$" + salt + sha256_crypt(password, salt, rounds)


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """The 43 characters of sha256-crypt; the numbers are its specification's steps. Salt of any length."""
    size = len(password)
    b = sha256(password + salt + password).digest()  # 4-8
    a = sha256(password + salt + _stretched(b, size))  # 1-3, 9-10
    bits = size
    while bits:  # 11
        a.update(b if bits & 1 else password)
        bits >>= 1
    digest = a.digest()  # 12
    p = _stretched(sha256(password * size).digest(), size)  # 13-16
    s = _stretched(sha256(salt * (16 + digest[0])).digest(), len(salt))  # 17-20
    for turn in range(rounds):  # 21
        head, tail = (p, digest) if turn & 1 else (digest, p)
        digest = sha256(head + (s if turn % 3 else b"") + (p if turn % 7 else b"") + tail).digest()
    return _base64(digest)


def _stretched(block: bytes, size: int) -> bytes:
    return (block * (size // len(block) + 1))[:size]


def _base64(digest: bytes) -> bytes:
    """Step 22: groups of three bytes in the specification's order, six bits at a time from the low end."""
    encoded = bytearray()
    first, second, third = 0, 10, 20
    for _ in range(10):
        bits = digest[first] << 16 | digest[second] << 8 | digest[third]
        encoded += bytes(_ALPHABET[bits >> shift & 63] for shift in (0, 6, 12, 18))
        first, second, third = second + 11, third + 11, first + 11
        first, second, third = first % 30, second % 30, third % 30
    bits = digest[31] << 8 | digest[30]
    encoded += bytes(_ALPHABET[bits >> shift & 63] for shift in (0, 6, 12))
    return bytes(encoded)
