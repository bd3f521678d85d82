"""DBMESH_FAILPOINTS: what its entries mean."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dbmesh.errors import BackendLost
from dbmesh.transaction import failpoints
from dbmesh.transaction.failpoints import Failpoint, parse, step


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_entries_name_point_data_source_count_and_action() -> None:
    assert parse("before.dml:ds_1@3=kill9; commit=sleep:0.5;") == [
        Failpoint("before.dml", "ds_1", 3, "kill9"),
        Failpoint("sent.commit", "", 1, "sleep:0.5"),
    ]
    with pytest.raises(ValueError, match="has no action"):
        parse("before.dml")


async def test_a_lost_answer_leaves_the_request_done() -> None:
    failpoints.arm("sent.dml:ds_0@2=lose;before.dml:ds_1=lose")
    done: list[str] = []

    async def request(name: str) -> str:
        done.append(name)
        return name

    assert await step("dml", "ds_0", lambda: request("first")) == "first"
    with pytest.raises(BackendLost):
        await step("dml", "ds_0", lambda: request("second"))
    with pytest.raises(BackendLost):
        await step("dml", "ds_1", lambda: request("never sent"))
    assert done == ["first", "second"]
