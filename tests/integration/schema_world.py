"""One logical schema twice: spread over two servers behind a mesh, and plain on a third."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from dbmesh.sandbox import Server
from dbmesh.sandbox.endpoint import Account, Endpoint
from dbmesh.sandbox.mesh import Mesh

LENDING = "lending"  # LIBRARY is a word of its own to MySQL 9
MESH_RULES = """
listeners: ["127.0.0.1:0"]
users:
  app: {password: secret, databases: [lending, attic], grants: [ddl]}
  stranger: {password: secret, databases: [attic]}
  reader: {password: secret, databases: [lending], access: read-only}
pools: {size: 6, wait_timeout: 5}
transaction: {log: lib_0, schema: _dbmesh_lending}
"""
LENDING_RULES = """
database: lending
data_sources:
  lib_0: {SERVER_0, schema: lending_0}
  lib_1: {SERVER_1, schema: lending_1}
tables:
  book:
    data_nodes: lib_{0..1}.book_{0..1}
    sharding: {column: shelf, algorithm: mod}
  loan:
    data_nodes: lib_{0..1}.loan
    sharding: {column: reader_id, algorithm: mod}
broadcast_tables:
  genre: {}
single_tables:
  staff: {data_source: lib_1}
default_data_source: lib_0
"""
ATTIC_RULES = """
database: attic
data_sources:
  attic_0: {SERVER_0, schema: attic}
default_data_source: attic_0
"""
RULES = {"mesh": MESH_RULES, "lending": LENDING_RULES, "attic": ATTIC_RULES}
# the tables as a client sees them
TABLES = {
    "genre": """(
        id INT NOT NULL, name VARCHAR(40) CHARACTER SET latin1 NOT NULL DEFAULT 'other', PRIMARY KEY (id),
        UNIQUE KEY name (name)) COMMENT='kinds of books'""",
    "book": """(
        id BIGINT UNSIGNED NOT NULL, shelf INT NOT NULL, title VARCHAR(200) NOT NULL COMMENT 'it''s the title',
        genre_id INT DEFAULT NULL, price DECIMAL(10,2) DEFAULT 0.00, kind ENUM('novel','other') DEFAULT 'novel',
        bought DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3), notes TEXT,
        title_length INT GENERATED ALWAYS AS (char_length(title)) VIRTUAL,
        PRIMARY KEY (shelf, id), KEY title (title(20)), KEY genre_id (genre_id),
        CONSTRAINT FOREIGN KEY (genre_id) REFERENCES genre (id) ON DELETE SET NULL,
        CHECK (price >= 0)) COMMENT='all that stands on shelves'""",
    "loan": """(
        reader_id INT NOT NULL, book_id BIGINT UNSIGNED NOT NULL, since DATE NOT NULL DEFAULT '2020-01-01',
        PRIMARY KEY (reader_id, book_id), UNIQUE KEY since (since, reader_id, book_id))""",
    "staff": "(id INT NOT NULL AUTO_INCREMENT, name VARCHAR(40) DEFAULT NULL, boss INT DEFAULT NULL, PRIMARY KEY (id),"
    " CONSTRAINT boss FOREIGN KEY (boss) REFERENCES staff (id))",
    "notice": "(id INT NOT NULL AUTO_INCREMENT, line VARCHAR(40), PRIMARY KEY (id)) AUTO_INCREMENT=7",
}
VIEW = "CREATE VIEW latest AS SELECT id, line FROM notice WHERE id > 0"
TRIGGER = "CREATE TRIGGER shout BEFORE INSERT ON notice FOR EACH ROW SET NEW.line = UPPER(NEW.line)"
ROUTINES = (
    "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2",
    "CREATE PROCEDURE nothing(IN a INT, OUT b VARCHAR(9)) COMMENT 'does nothing' BEGIN END",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' DO DELETE FROM notice",
)
NODES = {
    0: {"genre": "genre", "book_0": "book", "book_1": "book", "loan": "loan", "notice": "notice"},
    1: {"genre": "genre", "book_0": "book", "book_1": "book", "loan": "loan", "staff": "staff"},
}


@dataclass(frozen=True, slots=True)
class SchemaWorld:
    mesh: Mesh
    plain: Server
    servers: tuple[Server, Server]

    def connect(self, user: str = "app", database: str | None = LENDING, **options: Any) -> Connection[Any]:
        """A client of the mesh."""
        return self.mesh.connection(database, **{"user": user, "password": "secret"} | options)

    def both(self, database: str | None = LENDING, **options: Any) -> tuple[Connection[Any], Connection[Any]]:
        """A client of the mesh and one of the plain server."""
        return self.connect(database=database, **options), self.plain.connection(database, **options)


def build(folder: Path, rules: Path, servers: tuple[Server, Server], plain: Server) -> SchemaWorld:
    """Make the schemas and a mesh with these rules, and fill both sides with the same rows."""
    for number, server in enumerate(servers):
        schema = f"lending_{number}"
        server.script([f"CREATE DATABASE {schema} COLLATE utf8mb4_unicode_ci"])
        creates = []
        for actual, logical in NODES[number].items():
            creates.append(f"CREATE TABLE {actual} {TABLES[logical]}")
        server.script(creates, schema)
    servers[0].script(["CREATE DATABASE attic", "CREATE DATABASE cellar"])
    servers[0].script(["CREATE TABLE box (id INT PRIMARY KEY)"], "attic")
    servers[0].script(["CREATE TABLE wine (id INT PRIMARY KEY)"], "cellar")
    plain.script([f"CREATE DATABASE {LENDING} COLLATE utf8mb4_unicode_ci"])
    plain.script([f"CREATE TABLE {name} {columns}" for name, columns in TABLES.items()], LENDING)
    for server, schema in ((servers[0], "lending_0"), (plain, LENDING)):
        server.script([VIEW, TRIGGER, *ROUTINES], schema)
    mesh = Mesh(folder / "lending_mesh", rules, Account("app", "secret"))
    mesh.start()
    for endpoint in (mesh, plain):
        _fill(endpoint)
    return SchemaWorld(mesh, plain, servers)


def _fill(endpoint: Endpoint) -> None:
    with closing(endpoint.connection(LENDING)) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO genre VALUES (1, 'crime'), (2, 'poems')")
        rows = ", ".join(f"({n}, {n % 40}, 'title {n}', {n % 2 + 1})" for n in range(200))
        cursor.execute(f"INSERT INTO book (id, shelf, title, genre_id) VALUES {rows}")
        cursor.execute("INSERT INTO loan (reader_id, book_id) VALUES (1, 1), (2, 2), (3, 3)")
        cursor.execute("INSERT INTO staff (name) VALUES ('Ann')")
        cursor.execute("INSERT INTO staff (name, boss) VALUES ('Bob', 1)")
        cursor.execute("INSERT INTO notice (line) VALUES ('be quiet')")
