"""One world for all drivers, and the drivers."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

from dbmesh.sandbox import Sandbox, Server
from tests.drivers import adapters
from tests.drivers.adapter import Adapter
from tests.drivers.world import SINGLE, World, build


def _adapters() -> Iterator[Adapter]:
    for module in pkgutil.iter_modules(adapters.__path__):
        defined = vars(importlib.import_module(f"{adapters.__name__}.{module.name}"))
        yield from defined.get("ADAPTERS", (defined["ADAPTER"],) if "ADAPTER" in defined else ())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each scenario for each driver, except for preparation with drivers that cannot prepare."""
    if "adapter" not in metafunc.fixturenames:
        return
    scenario = metafunc.function.__name__.removeprefix("test_")
    parameters = []
    for adapter in _adapters():
        if scenario.startswith("prepared") and not adapter.prepares:
            continue
        marks = []
        if adapter.language != "Python":
            marks.append(pytest.mark.other_language)
        if adapter.missing:
            marks.append(pytest.mark.skip(reason=adapter.missing))
        if defect := adapter.defects.get(scenario):
            marks.append(pytest.mark.xfail(reason=defect, strict=True))
        parameters.append(pytest.param(adapter, id=adapter.name, marks=marks))
    metafunc.parametrize("adapter", parameters)


@pytest.fixture(scope="session")
def world(sandbox: Sandbox, servers: tuple[Server, Server], plain_server: Server) -> Iterator[World]:
    world = build(sandbox.folder, servers, plain_server)
    yield world
    world.mesh.close()


@pytest.fixture(params=["", SINGLE], ids=["sharded", "single"])
def place(request: pytest.FixtureRequest) -> str:
    """What to add to a logical table's name: nothing for the sharded one, a suffix for its single twin."""
    return str(request.param)
