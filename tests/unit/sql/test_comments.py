"""Executable comments: what the backends would run is seen, the rest stays a comment."""

from __future__ import annotations

import pytest

from dbmesh.errors import NotSupported
from dbmesh.sql.comments import open_comments

MARIADB = (101106, True)
MYSQL = (80403, False)


@pytest.mark.parametrize(
    ("text", "server", "opened"),
    [
        ("SELECT 1", MARIADB, "SELECT 1"),
        ("id=1 /*!50000 OR n=2 */", MARIADB, "id=1   OR n=2  "),
        ("id=1 /*! OR n=2 */", MYSQL, "id=1   OR n=2  "),
        ("a /*!99999 b */ c", MYSQL, "a   c"),
        ("a /*!50708 b */ c", MARIADB, "a   c"),
        ("a /*!50708 b */ c", MYSQL, "a   b  c"),
        ("a /*!100100 b */ c", MARIADB, "a   b  c"),
        ("a /*M! b */ c", MARIADB, "a   b  c"),
        ("a /*M! b */ c", MYSQL, "a /*M! b */ c"),
        ("/*M!999999\\- enable the sandbox mode */", MARIADB, " "),
        ("/*!40101 SET @OLD=@@CHARACTER_SET_CLIENT */;", MARIADB, "  SET @OLD=@@CHARACTER_SET_CLIENT  ;"),
        ("'/*! */' /*! 'a*/b' */", MARIADB, "'/*! */'   'a*/b'  "),
        ("/* plain ! */ /*+ hint! */", MARIADB, "/* plain ! */ /*+ hint! */"),
        ("SELECT 1 -- /*! 2\n", MARIADB, "SELECT 1 -- /*! 2\n"),
    ],
)
def test_comments_open_as_the_server_opens_them(text: str, server: tuple[int, bool], opened: str) -> None:
    assert open_comments(text, *server).split() == opened.split()


@pytest.mark.parametrize(
    "text",
    ["/*!50000 a /* b */ c */", "/*!50000 a", "/*!99999 a /* b */", "/*!500 a */", "/*! a /*! b */ */", "/*!99999 a"],
)
def test_what_servers_may_read_differently_is_refused(text: str) -> None:
    with pytest.raises(NotSupported):
        open_comments(text, *MYSQL)


def test_a_six_digit_version_without_a_space_is_refused_on_mysql() -> None:
    with pytest.raises(NotSupported):
        open_comments("/*!1001001 */", *MYSQL)
