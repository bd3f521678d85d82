"""SQLAlchemy's reflection, Core with its own types, the ORM, and Alembic's migrations, next to a plain server."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload
from sqlalchemy.pool import NullPool

from tests.drivers.adapter import shown
from tests.drivers.adapters.sqlalchemy_core import url
from tests.drivers.world import DATABASE, TABLES, World

Engines = tuple[sa.Engine, sa.Engine]


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(40))
    born: Mapped[datetime.date | None]
    active: Mapped[bool] = mapped_column(server_default=sa.true())
    books: Mapped[list[Book]] = relationship(
        back_populates="author",
        primaryjoin="Author.id == foreign(Book.author_id)",
        cascade="all, delete-orphan",
        order_by="Book.title",
    )


class Book(Base):
    __tablename__ = "book"
    author_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    title: Mapped[str] = mapped_column(sa.String(80))
    price: Mapped[Decimal | None] = mapped_column(sa.Numeric(8, 2))
    author: Mapped[Author] = relationship(back_populates="books", primaryjoin="Author.id == foreign(Book.author_id)")
    __table_args__ = (sa.Index("by_title", "title"),)


@pytest.fixture(scope="module")
def engines(world: World) -> Iterator[Engines]:
    """Of the mesh and of the plain server, on the database with the drivers' tables."""
    yield from _engines(world, DATABASE)


@pytest.fixture(scope="module")
def books(world: World) -> Iterator[Engines]:
    """The same on the database that SQLAlchemy makes its tables in."""
    yield from _engines(world, "books")


def _engines(world: World, database: str) -> Iterator[Engines]:
    made = [sa.create_engine(url(endpoint, database), poolclass=NullPool) for endpoint in (world.mesh, world.plain)]
    yield made[0], made[1]
    for engine in made:
        engine.dispose()


@pytest.mark.parametrize("table", [*TABLES, *(f"{name}_alone" for name in TABLES)])
def test_reflection_sees_what_it_sees_on_one_server(engines: Engines, table: str) -> None:
    def reflect(inspector: Inspector) -> dict[str, Any]:
        return {
            "columns": [{**column, "type": repr(column["type"])} for column in inspector.get_columns(table)],
            "primary key": inspector.get_pk_constraint(table),
            "indexes": inspector.get_indexes(table),
            "unique": inspector.get_unique_constraints(table),
            "foreign keys": inspector.get_foreign_keys(table),
            "options": inspector.get_table_options(table),
            "comment": inspector.get_table_comment(table),
        }

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # it does not know INET6 and spatial types
        ours, theirs = (reflect(sa.inspect(engine)) for engine in engines)
    assert ours == theirs


def test_the_list_of_tables_is_of_logical_tables(engines: Engines) -> None:
    inspector = sa.inspect(engines[0])
    assert sorted(inspector.get_table_names()) == sorted([*TABLES, *(f"{name}_alone" for name in TABLES)])
    assert inspector.get_view_names() == []
    assert inspector.has_table("kinds")
    assert not inspector.has_table("nowhere")


def test_core_writes_and_reads_every_type_it_knows_by_reflected_tables(
    engines: Engines, world: World, place: str
) -> None:
    world.clear("kinds")
    mesh, plain = engines
    table = reflected(mesh, f"kinds{place}")
    source = reflected(plain, "kinds_source")
    with plain.connect() as connection:
        rows = [dict(row) for row in connection.execute(sa.select(source).order_by(source.c.id)).mappings()]
    for engine in engines:
        with engine.begin() as connection:
            connection.execute(sa.insert(table), rows)
    assert [repr(row) for row in world.stored(table.name)] == [repr(row) for row in world.expected(table.name)]
    for query in (sa.select(table).order_by(table.c.id), sa.select(table).where(table.c.id == 3)):
        answers = []
        for engine in engines:
            with engine.connect() as connection:
                answers.append([[shown(value) for value in row] for row in connection.execute(query)])
        assert answers[0] == answers[1]
        assert answers[0]


def reflected(engine: sa.Engine, name: str) -> sa.Table:
    """A table without the columns whose types SQLAlchemy does not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)
        known = [
            column["name"]
            for column in sa.inspect(engine).get_columns(name)
            if not isinstance(column["type"], sa.types.NullType)
        ]
        return sa.Table(name, sa.MetaData(), autoload_with=engine, include_columns=known)


@pytest.fixture(scope="module")
def migrated(books: Engines, world: World) -> Engines:
    """Both databases after Alembic's migrations, forth, back and forth again."""
    for engine in books:
        migrate(engine, "one", command.upgrade)
        migrate(engine, "head", command.upgrade)
        migrate(engine, "base", command.downgrade)
        assert not {"author", "book"} & set(sa.inspect(engine).get_table_names())
        migrate(engine, "head", command.upgrade)
    return books


def migrate(engine: sa.Engine, revision: str, direction: Any) -> None:
    with engine.connect() as connection:
        direction(configuration(connection), revision)
        connection.commit()


def configuration(connection: sa.Connection) -> Config:
    config = Config(attributes={"connection": connection, "metadata": Base.metadata})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def test_alembic_migrates_every_shard(migrated: Engines, world: World) -> None:
    definitions = set()
    for number, server in enumerate(world.servers):
        for part in range(2):
            with closing(server.connection(f"books_{number}")) as connection, connection.cursor() as cursor:
                cursor.execute(f"SHOW CREATE TABLE book_{part}")
                [[_, text]] = cursor.fetchall()
                definitions.add(text.replace(f"book_{part}", "book"))
                cursor.execute(f"SELECT id FROM author_{part} ORDER BY id")
                assert [row[0] % 4 for row in cursor.fetchall()] == [number * 2 + part] * 2
    [[_, plain]] = world.plain.rows("SHOW CREATE TABLE book", (), "books")
    assert definitions == {plain}


def test_alembic_finds_nothing_to_migrate_any_more(migrated: Engines) -> None:
    with migrated[0].connect() as connection:
        command.check(configuration(connection))


@pytest.fixture
def library(migrated: Engines) -> Engines:
    """Six authors with books in both databases."""
    for engine in migrated:
        with Session(engine) as session, session.begin():
            session.execute(sa.delete(Book))
            session.execute(sa.delete(Author))
            for number in range(1, 7):
                author = Author(id=number, name=f"Author {number % 4}", born=datetime.date(1900 + number, 2, 3))
                for n in range(number):
                    price = None if n == 4 else Decimal(n * number) / 4
                    author.books.append(Book(id=number * 100 + n, title=f"Title {n}", price=price))
                session.add(author)
    return migrated


def asked(engines: Engines, question: Any) -> Any:
    """What both answer; it must be the same."""
    answers = []
    for engine in engines:
        with Session(engine) as session:
            answers.append(question(session))
    assert repr(answers[0]) == repr(answers[1])
    return answers[0]


def test_the_orm_stores_rows_where_they_belong(library: Engines, world: World) -> None:
    for number, server in enumerate(world.servers):
        for part in range(2):
            [[wrong]] = server.rows(
                f"SELECT COUNT(*) FROM book_{part} WHERE MOD(author_id, 4) <> %s",
                (number * 2 + part,),
                f"books_{number}",
            )
            [[right]] = server.rows(f"SELECT COUNT(*) FROM book_{part}", (), f"books_{number}")
            assert wrong == 0
            assert right > 0


@pytest.mark.parametrize("loading", [joinedload, selectinload])
def test_the_orm_loads_related_rows(library: Engines, loading: Any) -> None:
    def question(session: Session) -> Any:
        authors = session.scalars(sa.select(Author).options(loading(Author.books)).order_by(Author.id)).unique().all()
        return [(a.id, a.name, a.born, a.active, [(b.id, b.title, b.price) for b in a.books]) for a in authors]

    assert len(asked(library, question)) == 6


def test_the_orm_joins_groups_and_pages(library: Engines) -> None:
    joined = sa.select(Author.name, Book.title).join(Author.books)
    for query in (
        joined.where(Book.price > 1).order_by(Author.name, Book.title),
        sa.select(Author.name, sa.func.count(Book.id), sa.func.sum(Book.price), sa.func.avg(Book.price))
        .join(Author.books)
        .group_by(Author.name)
        .order_by(Author.name),
        sa.select(Book.title, Book.id).order_by(Book.title.desc(), Book.id).limit(5).offset(4),
        sa.select(sa.func.count()).select_from(Book),
        sa.select(Author.name).distinct().order_by(Author.name),
        sa.select(Author.id).where(Author.name.ilike("%r 1")).order_by(Author.id),
        sa.select(Author.id).where(Author.id.in_([1, 2, 99])).order_by(Author.id),
        sa.select(Book.id).where(Book.price.is_(None)).order_by(Book.id),
    ):
        assert asked(library, lambda session, query=query: [tuple(row) for row in session.execute(query)])


def test_the_orm_updates_and_deletes(library: Engines, world: World) -> None:
    def change(session: Session) -> Any:
        author = session.get_one(Author, 5)
        author.name = "Anders"
        author.books[0].price = Decimal("9.99")
        del author.books[1]
        session.delete(session.get_one(Author, 6))
        session.execute(sa.update(Book).where(Book.price < 1).values(price=Book.price + 1))
        session.commit()
        return [(b.id, b.title, b.price) for b in session.scalars(sa.select(Book).order_by(Book.id))]

    assert len(asked(library, change)) == 1 + 2 + 3 + 4 + 4


def test_a_rolled_back_session_leaves_nothing(library: Engines) -> None:
    def change(session: Session) -> Any:
        session.add(Author(id=50, name="Nobody"))
        session.flush()
        with pytest.raises(sa.exc.IntegrityError), session.begin_nested():
            session.execute(sa.insert(Author).values(id=1, name="again"))
        inside = session.scalar(sa.select(sa.func.count()).select_from(Author))
        session.rollback()
        return inside, session.scalar(sa.select(sa.func.count()).select_from(Author))

    assert asked(library, change) == (7, 6)
