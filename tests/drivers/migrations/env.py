"""Alembic's entry: runs the migrations on the connection that the test hands over."""

from __future__ import annotations

from collections.abc import Mapping

from alembic import context

connection = context.config.attributes["connection"]
metadata = context.config.attributes["metadata"]


def is_ours(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """Other frameworks have tables in the database, too."""
    return kind != "table" or name in metadata.tables


context.configure(connection=connection, target_metadata=metadata, compare_type=True, include_name=is_ours)
with context.begin_transaction():
    context.run_migrations()
