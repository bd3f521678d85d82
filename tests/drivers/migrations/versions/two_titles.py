"""Correct a name, add columns with and without a default, an index, and rows."""

import sqlalchemy as sa
from alembic import op

revision = "two"
down_revision = "one"


def upgrade() -> None:
    op.add_column("author", sa.Column("born", sa.Date))
    op.add_column("author", sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()))
    op.alter_column("book", "titel", new_column_name="title", existing_type=sa.String(40), type_=sa.String(80),
                    existing_nullable=False, nullable=False)  # fmt: skip
    op.create_index("by_title", "book", ["title"])
    author = sa.table("author", sa.column("id", sa.BigInteger), sa.column("name", sa.String))
    op.bulk_insert(author, [{"id": number, "name": f"author {number}"} for number in range(1, 9)])


def downgrade() -> None:
    op.drop_index("by_title", "book")
    op.alter_column("book", "title", new_column_name="titel", existing_type=sa.String(80), type_=sa.String(40),
                    existing_nullable=False, nullable=False)  # fmt: skip
    op.drop_column("author", "active")
    op.drop_column("author", "born")
