"""A short run with hypothesis' own seeds, the corpus of what once broke or looks like it, and a live mesh."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbmesh.sandbox import Sandbox, Server
from tests.fuzz.inputs import Inputs
from tests.fuzz.live import Conversation, LiveMesh, running
from tests.fuzz.targets import TARGETS, run
from tests.fuzz.world import data_for, make_world

CORPUS = Path(__file__).parent / "corpus"
BYTES = sorted(CORPUS.glob("*.hex"))
CONVERSATIONS = sorted(CORPUS.glob("*.json"))


@pytest.fixture(scope="module")
def live(
    sandbox: Sandbox, servers: tuple[Server, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveMesh]:
    with running(make_world(sandbox, servers[0]), tmp_path_factory.mktemp("state")) as live:
        yield live


@pytest.mark.parametrize("file", BYTES, ids=lambda file: file.stem)
def test_the_corpus_of_bytes(file: Path) -> None:
    run(file.stem.partition("-")[0], bytes.fromhex(file.read_text()))


def test_the_corpus_of_conversations(live: LiveMesh) -> None:
    assert CONVERSATIONS
    for file in CONVERSATIONS:
        for line in file.read_text().splitlines():
            live.talk(Conversation.from_json(line))
    live.check()


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes(target: str, data: bytes) -> None:
    run(target, data)


@pytest.mark.parametrize("target", TARGETS)
@given(seed=st.integers(0, 1 << 40))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_bytes_that_are_nearly_right(target: str, seed: int) -> None:
    run(target, data_for(target, Inputs(seed)))


def test_conversations_with_a_live_mesh(live: LiveMesh) -> None:
    """Those of the seeds 1 to 100: the long run takes others."""
    for seed in range(1, 101):
        live.talk(Conversation.of(Inputs(seed)))
    live.check()


def test_a_mesh_that_raises_is_found_out(live: LiveMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> str:
        raise ZeroDivisionError(hashlib.sha256(text.encode()).hexdigest())

    monkeypatch.setattr(live.mesh, "opened", broken)
    live.talk(Conversation("plain", (b"\x03SELECT 1 FROM person, street",), (0,), 1000))
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        live.check()
    live.errors.found.clear()
    live.check()
