"""MySQL's own servers and MariaDB's: a mesh has one kind of them."""

from __future__ import annotations

from collections.abc import Iterable

from dbmesh.backend.catalog import ServerCatalog
from dbmesh.errors import MeshError


async def mixture(catalog: ServerCatalog, data_sources: Iterable[str]) -> str | None:
    """What is wrong when the data sources that answer are on servers of both kinds; None when they are not."""
    found: dict[bool, list[str]] = {True: [], False: []}
    for name in data_sources:
        try:
            found[await catalog.is_mysql(name)].append(name)
        except MeshError:
            continue  # told by whoever reached for it first
    if not all(found.values()):
        return None
    return (
        f"data sources on MySQL ({', '.join(found[True])}) and on MariaDB ({', '.join(found[False])}): their types, "
        "collations and functions differ, so that answers depend on who gives them; put all on servers of one kind"
    )
