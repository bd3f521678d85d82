"""Listening sockets: what is stale is removed, what is used is not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dbmesh.frontend.listener import open_socket, remove_socket_file
from dbmesh.rules.model import Listener


def test_a_socket_file_whose_process_died_is_replaced(tmp_path: Path) -> None:
    listener = Listener(socket=str(tmp_path / "s"))
    open_socket(listener).close()
    assert (tmp_path / "s").exists()
    with open_socket(listener), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
    remove_socket_file(listener)
    assert not (tmp_path / "s").exists()


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    listener = Listener(socket=str(tmp_path / "s"))
    with open_socket(listener), pytest.raises(OSError, match="another process listens there"):
        open_socket(listener)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(OSError, match="no socket"):
        open_socket(Listener(socket=str(tmp_path / "s")))
    assert (tmp_path / "s").read_text() == "precious"


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with open_socket(Listener("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            open_socket(Listener("127.0.0.1", port))


def test_ipv6() -> None:
    try:
        listening = open_socket(Listener("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with listening, socket.create_connection(("::1", listening.getsockname()[1])):
        pass
