"""Conversations of a login, read as they happen; both plugins, both ways, and clients that lie."""

from __future__ import annotations

import contextlib

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from dbmesh.protocol import BadHandshake, Capability
from dbmesh.protocol.auth import (
    CACHING_SHA2,
    NATIVE,
    RsaKey,
    native_scramble,
    new_salt,
    sha2_scramble,
)
from dbmesh.protocol.handshake import Greeting, HandshakeResponse, parse_handshake_response
from dbmesh.protocol.login import ServerLogin, Verdict
from dbmesh.rules.passwords import StoredPassword, plain, sha256_crypt

SALT = b"12345678abcdefghijkl"
PASSWORD = "pässword".encode()
CAPABILITIES = (
    Capability.PROTOCOL_41
    | Capability.SECURE_CONNECTION
    | Capability.PLUGIN_AUTH
    | Capability.PLUGIN_AUTH_LENENC
    | Capability.CONNECT_ATTRS
)
FULL = plain("pässword")
CRYPT_SALT = b"saltstringsaltstring"
CRYPT = StoredPassword(crypt=b"$A$005$" + CRYPT_SALT + sha256_crypt(PASSWORD, CRYPT_SALT, 5000))


@pytest.fixture(scope="module")
def key() -> RsaKey:
    return RsaKey()


def login(password: StoredPassword | None, key: RsaKey, plugin: str = NATIVE, secure: bool = False) -> ServerLogin:
    greeting = Greeting("8.4.0", 7, SALT, CAPABILITIES, 45, plugin)
    return ServerLogin(greeting, lambda user: password if user == "app" else None, key, secure)


def answer(auth: bytes, plugin: str | None = NATIVE, user: str = "app", capabilities: int = CAPABILITIES) -> bytes:
    return HandshakeResponse(capabilities, 1 << 24, 45, user, auth, None, plugin, {"_client_name": "x"}).encode()


def test_native_password_at_once(key: RsaKey) -> None:
    session = login(FULL, key)
    assert session.receive(answer(native_scramble(PASSWORD, SALT))) == (Verdict.ACCEPTED, [])


def test_caching_sha2_fast_path(key: RsaKey) -> None:
    session = login(FULL, key, CACHING_SHA2)
    reply = session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2))
    assert reply == (Verdict.ACCEPTED, [b"\x01\x03"])


@pytest.mark.parametrize(
    ("announced", "asked", "scramble"),
    [(NATIVE, CACHING_SHA2, sha2_scramble), (CACHING_SHA2, NATIVE, native_scramble)],
)
def test_a_client_with_another_plugin_is_switched_to_its_own(key: RsaKey, announced, asked, scramble) -> None:  # type: ignore[no-untyped-def]
    session = login(FULL, key, announced)
    verdict, replies = session.receive(answer(b"", asked))
    assert (verdict, replies) == (Verdict.UNDECIDED, [b"\xfe" + asked.encode() + b"\0" + SALT + b"\0"])
    assert session.receive(scramble(PASSWORD, SALT))[0] is Verdict.ACCEPTED


def test_a_client_with_an_unknown_plugin_is_switched_to_the_account_s(key: RsaKey) -> None:
    session = login(StoredPassword(native=FULL.native), key, CACHING_SHA2)
    _, replies = session.receive(answer(b"", "client_ed25519"))
    assert replies[0].startswith(b"\xfemysql_native_password\0")
    assert session.receive(native_scramble(PASSWORD, SALT))[0] is Verdict.ACCEPTED


@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
@pytest.mark.parametrize("scramble", [b"", b"x", b"x" * 20, b"x" * 32])
def test_a_wrong_password_is_denied(key: RsaKey, plugin: str, scramble: bytes) -> None:
    session = login(FULL, key, plugin)
    assert session.receive(answer(scramble, plugin))[0] is Verdict.DENIED
    assert session.used_password == bool(scramble)


@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
def test_an_unknown_user_is_denied_like_a_wrong_password(key: RsaKey, plugin: str) -> None:
    session = login(FULL, key, plugin)
    scramble = native_scramble if plugin == NATIVE else sha2_scramble
    assert session.receive(answer(scramble(PASSWORD, SALT), plugin, "nobody")) == (Verdict.DENIED, [])


@pytest.mark.parametrize("plugin", [NATIVE, CACHING_SHA2])
def test_an_account_without_a_password(key: RsaKey, plugin: str) -> None:
    password = plain("")
    assert login(password, key, plugin).receive(answer(b"", plugin))[0] is Verdict.ACCEPTED
    assert login(password, key, plugin).receive(answer(b"x" * 20, plugin))[0] is Verdict.DENIED


def test_full_exchange_on_a_unix_socket_sends_the_password_and_makes_the_next_login_fast(key: RsaKey) -> None:
    session = login(CRYPT, key, CACHING_SHA2, secure=True)
    assert session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2)) == (Verdict.UNDECIDED, [b"\x01\x04"])
    assert session.receive(PASSWORD + b"\0") == (Verdict.ACCEPTED, [])
    again = login(StoredPassword(sha2=session.learned), key, CACHING_SHA2)
    assert again.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2))[0] is Verdict.ACCEPTED


def test_full_exchange_on_tcp_encrypts_the_password(key: RsaKey) -> None:
    session = login(CRYPT, key, CACHING_SHA2)
    session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2))
    _, replies = session.receive(b"\x02")
    public = load_pem_public_key(replies[0].removeprefix(b"\x01"))
    assert isinstance(public, rsa.RSAPublicKey)
    masked = bytes(c ^ SALT[i % 20] for i, c in enumerate(PASSWORD + b"\0"))
    encrypted = public.encrypt(masked, padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))
    assert session.receive(encrypted) == (Verdict.ACCEPTED, [])


@pytest.mark.parametrize("payload", [b"", b"\x02", b"x" * 256, b"\0" * 256])
def test_rubbish_instead_of_the_encrypted_password_is_denied(key: RsaKey, payload: bytes) -> None:
    session = login(CRYPT, key, CACHING_SHA2)
    session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2))
    session.receive(b"\x02")
    assert session.receive(payload) == (Verdict.DENIED, [])


def test_a_password_in_clear_on_tcp_is_denied(key: RsaKey) -> None:
    session = login(CRYPT, key, CACHING_SHA2)
    session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2))
    assert session.receive(PASSWORD + b"\0") == (Verdict.DENIED, [])


def test_an_account_whose_native_hash_alone_is_known_takes_the_full_exchange_of_caching_sha2(key: RsaKey) -> None:
    session = login(StoredPassword(native=FULL.native), key, CACHING_SHA2, secure=True)
    assert session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2)) == (Verdict.UNDECIDED, [b"\x01\x04"])
    assert session.receive(PASSWORD + b"\0") == (Verdict.ACCEPTED, [])


def test_a_password_longer_than_mysql_s_is_not_even_hashed(key: RsaKey) -> None:
    session = login(CRYPT, key, CACHING_SHA2, secure=True)
    session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2))
    assert session.receive(b"x" * 60000 + b"\0") == (Verdict.DENIED, [])


def test_salts_have_no_byte_that_old_clients_stop_at() -> None:
    assert not set(b"".join(new_salt() for _ in range(200))) & {0, 36}


def test_a_response_with_everything_reads_back() -> None:
    sent = HandshakeResponse(
        CAPABILITIES | Capability.CONNECT_WITH_DB, 5, 33, "jürgen", b"x" * 32, "shop", CACHING_SHA2, {"a": "1"}
    )
    assert parse_handshake_response(sent.encode()) == sent


def test_every_cut_of_a_response_is_a_login_or_a_bad_handshake() -> None:
    whole = answer(b"x" * 20)
    for length in range(len(whole)):
        with contextlib.suppress(BadHandshake):
            parse_handshake_response(whole[:length])


def test_a_client_older_than_protocol_41_is_refused() -> None:
    with pytest.raises(BadHandshake):
        parse_handshake_response(answer(b"", capabilities=Capability.PLUGIN_AUTH))


def test_a_tls_request_is_refused_with_its_reason(key: RsaKey) -> None:
    with pytest.raises(BadHandshake, match="TLS"):
        login(FULL, key).receive((CAPABILITIES | Capability.SSL).to_bytes(4, "little") + bytes(28))


@given(st.binary(max_size=120))
def test_hostile_bytes_are_a_verdict_or_a_bad_handshake(payload: bytes) -> None:
    session = login(FULL, RsaKey())
    with contextlib.suppress(BadHandshake):
        session.receive(b"\x00\x82\x08\x00" + payload)


@pytest.mark.parametrize(
    ("version", "greeted"),
    [
        ("8.4.3", b"8.4.3"),
        ("10.11.6-MariaDB", b"5.5.5-10.11.6-MariaDB"),
        ("11.4.2-MariaDB", b"11.4.2-MariaDB"),
    ],
)
def test_a_version_is_greeted_with_as_its_servers_do(version: str, greeted: bytes) -> None:
    greeting = Greeting(version, 7, SALT, CAPABILITIES, 45, NATIVE)
    assert greeting.encode()[1:].split(b"\0")[0] == greeted


def test_a_change_of_user_without_a_proof_is_asked_for_one(key: RsaKey) -> None:
    session = login(FULL, key, CACHING_SHA2)
    assert session.receive(answer(sha2_scramble(PASSWORD, SALT), CACHING_SHA2))[0] is Verdict.ACCEPTED
    packet = b"\x11app\0\0\0" + (45).to_bytes(2, "little") + CACHING_SHA2.encode() + b"\0"
    switch = b"\xfe" + CACHING_SHA2.encode() + b"\0" + SALT + b"\0"
    assert session.change_user(packet) == (Verdict.UNDECIDED, [switch])
    assert session.receive(sha2_scramble(PASSWORD, SALT))[0] is Verdict.ACCEPTED
    assert session.change_user(packet)[0] is Verdict.UNDECIDED
    assert session.receive(b"\0") == (Verdict.DENIED, [])
