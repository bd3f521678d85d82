"""Django's migrations, and the queries of its ORM and admin, next to a plain server."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connections, transaction
from django.db.models import Avg, Count, F, Max, Q, QuerySet, Sum
from django.db.models.functions import Lower, TruncMonth

from tests.drivers.adapters.django_cursor import wrapper
from tests.drivers.world import World
from tests.flavour import MYSQL

from tests.drivers.library.models import Author, Book  # isort: skip (the adapter configures Django)

ALIASES = ("mesh", "plain")


@pytest.fixture(scope="module")
def migrated(world: World) -> Iterator[World]:
    """Both databases known to Django, migrated forth, back and forth again."""
    for alias in ALIASES:
        connections.settings[alias] = wrapper(getattr(world, alias), "books", {}).settings_dict
        call_command("migrate", database=alias, verbosity=0)
        call_command("migrate", "library", "zero", database=alias, verbosity=0)
        call_command("migrate", database=alias, verbosity=0)
    yield world
    connections.close_all()


@pytest.fixture
def library(migrated: World) -> World:
    """Six authors with books in both databases."""
    for alias in ALIASES:
        Book.objects.using(alias).all().delete()
        Author.objects.using(alias).all().delete()
        for number in range(1, 7):
            author = Author(id=number, name=f"Author {number % 4}", born=datetime.date(1900 + number, 2, 3))
            author.seen = datetime.datetime(2024, number, 1, 12, 30, 0, number)
            author.notes = {"number": number, "tags": ["ä", None]}
            author.save(using=alias)
            Book.objects.using(alias).bulk_create(books(author))
    return migrated


def books(author: Author) -> list[Book]:
    return [
        Book(
            id=author.id * 100 + n,
            author=author,
            title=f"Title {n}",
            price=None if n == 4 else Decimal(n * author.id) / 4,
            duration=datetime.timedelta(hours=n, microseconds=n),
            cover=bytes(range(256)) if n else None,
            code=uuid.UUID(int=author.id * 1000 + n),
            rating=n / 3,
            pages=n * 100,
        )
        for n in range(author.id)
    ]


def asked(question: Any) -> Any:
    """What both databases answer; it must be the same."""
    answers = [repr(question(alias)) for alias in ALIASES]
    assert answers[0] == answers[1]
    return answers[0]


def rows_of(books: QuerySet[Any], *fields: str) -> list[Any]:
    return list(books.values_list(*fields))


def test_migrations_reach_every_shard(migrated: World) -> None:
    definitions = set()
    for number, server in enumerate(migrated.servers):
        for part in range(2):
            [[_, text]] = server.rows(f"SHOW CREATE TABLE library_book_{part}", (), f"books_{number}")
            definitions.add(text.replace(f"library_book_{part}", "library_book"))
    [[_, plain]] = migrated.plain.rows("SHOW CREATE TABLE library_book", (), "books")
    assert definitions == {plain}
    assert asked(lambda alias: rows_of(Author.objects.using(alias).order_by("id"), "id", "name", "remark"))


def test_django_sees_no_change_that_is_not_migrated(migrated: World) -> None:
    call_command("makemigrations", "library", check=True, dry_run=True, verbosity=3)
    for alias in ALIASES:
        introspection = connections[alias].introspection
        with connections[alias].cursor() as cursor:
            assert "library_book" in introspection.table_names(cursor)
            assert "library_book_0" not in introspection.table_names(cursor)
            found = introspection.get_constraints(cursor, "library_book")
            assert found["by_title"]["columns"] == ["title", "pages"]


def test_every_field_comes_back_as_it_was_stored(library: World) -> None:
    asked(lambda alias: list(Author.objects.using(alias).order_by("id").values()))
    asked(lambda alias: list(Book.objects.using(alias).order_by("id").values()))
    [stored] = Author.objects.using("mesh").filter(id=3)
    assert stored.notes == {"number": 3, "tags": ["ä", None]}
    assert stored.seen == datetime.datetime(2024, 3, 1, 12, 30, 0, 3)


def test_objects_are_where_they_belong(library: World) -> None:
    counts = []
    for number, server in enumerate(library.servers):
        for part in range(2):
            home = number * 2 + part
            sql = f"SELECT COUNT(*), SUM(author_id % 4 = {home}) FROM library_book_{part}"
            [[count, right]] = server.rows(sql, (), f"books_{number}")
            assert count == right
            counts.append(count)
    assert counts == [4, 6, 8, 3]


@pytest.mark.parametrize(
    "query",
    [
        lambda a, b: a.annotate(count=Count("books"), total=Sum("books__price")).values_list(
            "name", "count", "total"
        ),
        lambda a, b: b.values_list("author__name").annotate(Count("id"), Avg("rating")).order_by(
            "author__name"
        ),
        lambda a, b: b.aggregate(Sum("price"), Max("duration"), Count("id"), Avg("pages")),
        lambda a, b: b.select_related("author").order_by("-price", "id").values_list("author__name", "id"),
        lambda a, b: b.order_by("title", "id")[5:10].values_list("id", "title"),
        lambda a, b: b.filter(Q(title__icontains="TITLE 1") | Q(pages__gt=300)).values_list("id", "title"),
        lambda a, b: b.filter(author__name__startswith="Author 1").values_list("id"),
        lambda a, b: a.dates("born", "year"),
        lambda a, b: a.datetimes("seen", "month"),
        lambda a, b: a.annotate(m=TruncMonth("seen")).values_list("m").annotate(Count("id")).order_by("m"),
        lambda a, b: a.filter(born__year=1903).values_list("id"),
        lambda a, b: a.order_by(Lower("name").desc(), "id").values_list("name", "id"),
        lambda a, b: a.values_list("name", flat=True).distinct().order_by("name"),
        lambda a, b: b.filter(price__isnull=True).count(),
        lambda a, b: b.filter(price__range=(1, 3), author_id__in=[3, 4]).exists(),
        lambda a, b: a.in_bulk([1, 3, 99]),
        lambda a, b: [
            (author.id, [book.id for book in author.books.all()]) for author in a.prefetch_related("books")
        ],
        lambda a, b: [book.id for book in b.iterator(chunk_size=2)],
        lambda a, b: a.filter(notes__number=3).values_list("id"),
        lambda a, b: b.filter(price__gt=F("rating")).values_list("id"),
    ],
)  # fmt: skip
def test_queries_of_an_admin(library: World, query: Any) -> None:
    def ask(alias: str) -> Any:
        found = query(Author.objects.using(alias), Book.objects.using(alias))
        return list(found) if isinstance(found, QuerySet) else found

    assert asked(ask)


def test_updates_and_deletes(library: World) -> None:
    def change(alias: str) -> Any:
        books = Book.objects.using(alias)
        changed = books.filter(price__lt=1).update(price=F("price") + 1)
        deleted = Author.objects.using(alias).get(id=6).delete()
        book = books.get(id=402)
        book.title = "Other"
        book.save(update_fields=["title"])
        found = Author.objects.using(alias).get_or_create(id=9, defaults={"name": "Neun"})
        updated = Author.objects.using(alias).update_or_create(id=9, defaults={"name": "Nine"})
        books.bulk_update([Book(id=301, author_id=3, pages=7), Book(id=401, author_id=4, pages=8)], ["pages"])
        return changed, deleted, found[1], updated[1], rows_of(books, "id", "title", "price", "pages")

    asked(change)
    asked(lambda alias: rows_of(Author.objects.using(alias), "id", "name"))


def test_an_object_is_saved_whole(library: World) -> None:
    def change(alias: str) -> Any:
        book = Book.objects.using(alias).get(id=402)
        book.title = "Other"
        book.save()
        return rows_of(Book.objects.using(alias), "id", "title")

    asked(change)


def test_transactions_and_savepoints(library: World) -> None:
    def change(alias: str) -> Any:
        authors = Author.objects.using(alias)
        with transaction.atomic(using=alias):
            authors.filter(id__lte=3).update(remark="kept")
            try:
                with transaction.atomic(using=alias):
                    authors.filter(id__gte=3).update(remark="undone")
                    authors.create(id=1, name="again")
            except IntegrityError as error:
                seen = error.args[0]
        try:
            with transaction.atomic(using=alias):
                authors.all().update(remark="lost")
                raise KeyError
        except KeyError:
            pass
        return seen, rows_of(authors.order_by("id"), "id", "remark")

    assert "kept" in asked(change)
    assert "undone" not in asked(change)


def test_generated_keys_are_told_to_the_object(library: World) -> None:
    made = [Author.objects.using("mesh").create(name=f"new {n}") for n in range(6)]
    assert len({author.id for author in made}) == 6
    assert all(author.id > 1 << 40 for author in made)
    assert {a.id: a.name for a in Author.objects.using("mesh").filter(name__startswith="new")} == {
        author.id: author.name for author in made
    }
    if MYSQL:  # of which Django does not expect it
        return
    bulk = Author.objects.using("mesh").bulk_create([Author(name=f"bulk {n}") for n in range(8)])
    assert [Author.objects.using("mesh").get(name=author.name).id for author in bulk] == [author.id for author in bulk]
