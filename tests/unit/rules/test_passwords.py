from __future__ import annotations

import pytest

from dbmesh.rules import passwords

# The MySQL 8.4 Reference Manual prints this for: CREATE USER 'u1'@'localhost' IDENTIFIED BY 'secret'.
MANUAL = (
    "0x244124303035240C7745603626313D613C4C10633E0A104B1E14135A544A7871567245614F4872344643546336546F624F6C"
    "7861326932752F45622F4F473273597557627139"
)


def test_plain_password_gives_both_stages_and_is_not_kept() -> None:
    stored = passwords.plain("secret")
    assert stored.native is not None
    assert stored.native.hex() == "14e65567abdb5135d0cfd9a70b3032c179a49ee7"  # SELECT PASSWORD('secret')
    assert stored.sha2 == passwords.double_sha256(b"secret")
    assert stored.matches(b"secret")
    assert not stored.matches(b"Secret")
    assert "secret" not in repr(stored)


@pytest.mark.parametrize(
    "text",
    [
        "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7",
        "sha256:" + passwords.double_sha256(b"secret").hex(),
        MANUAL,
        bytes.fromhex(MANUAL[2:]).decode("latin-1"),
    ],
    ids=["native", "sha2 stage", "authentication_string in hex", "authentication_string"],
)
def test_hashed_form_matches_its_password_only(text: str) -> None:
    stored = passwords.hashed(text)
    assert stored.matches(b"secret")
    assert not stored.matches(b"secreT")
    assert not stored.matches(b"")


def test_empty_password_matches_nothing_but_itself() -> None:
    stored = passwords.plain("")
    assert stored.empty
    assert stored.matches(b"")
    assert not stored.matches(b"x")


@pytest.mark.parametrize("text", ["*14E6", "sha256:zz", "$A$005$short", "0x00", "secret", "$A$005$" + "é€" * 9])
def test_other_forms_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        passwords.hashed(text)
    assert text not in str(refused.value)


def test_long_passwords_stretch_beyond_one_digest() -> None:
    # A test vector of the specification of sha256-crypt.
    text = b"a very much longer text to encrypt.  This one even stretches over morethan one line."
    digest = passwords.sha256_crypt(text, b"anotherlongsalts", 1400)
    assert digest == b"Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"
