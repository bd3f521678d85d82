"""Authors and books."""

import sqlalchemy as sa
from alembic import op

revision = "one"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "author",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(40), nullable=False),
    )
    op.create_table(
        "book",
        sa.Column("author_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("titel", sa.String(40), nullable=False),
        sa.Column("price", sa.Numeric(8, 2)),
    )


def downgrade() -> None:
    op.drop_table("book")
    op.drop_table("author")
