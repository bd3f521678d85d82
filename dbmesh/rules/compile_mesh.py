"""All files → ``MeshRules``: what they share, and what has to be unique among them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace

from dbmesh.rules import document, passwords
from dbmesh.rules.compile_database import compile_data_sources, compile_database, compile_pools
from dbmesh.rules.mistakes import Path, RuleErrors, Source
from dbmesh.rules.model import (
    DataSource,
    Grant,
    Listener,
    LogicalDatabase,
    MeshRules,
    PoolRules,
    ServerTls,
    ShardedTable,
    TransactionRules,
    User,
)
from dbmesh.rules.validate import validate


def compile_mesh(mesh: Source, sources: Sequence[Source]) -> MeshRules:
    """The rules of the mesh's file and the databases' files. Raises RuleErrors with every mistake of all of them."""
    file = None if mesh.data is None else validate(document.MeshFile, mesh)
    pools = compile_pools(None if file is None else file.pools, PoolRules())
    databases = _databases(sources, pools)
    data_sources = _data_sources(mesh, file, sources, databases, pools)
    rules = None if file is None else _rules(mesh, file, sources, databases, data_sources, pools)
    mistakes = [mistake for source in (mesh, *sources) for mistake in source.mistakes]
    if mistakes or rules is None:
        raise RuleErrors(mistakes)
    return rules


def _databases(sources: Sequence[Source], pools: PoolRules) -> dict[str, LogicalDatabase]:
    """The logical databases by name; a second one of the same name is a mistake."""
    databases: dict[str, LogicalDatabase] = {}
    files: dict[str, str] = {}
    for source in sources:
        file = None if source.data is None else validate(document.DatabaseFile, source)
        if file is None:
            continue
        database = compile_database(source, file, pools)
        if database.name in databases:
            source.mistake(("database",), f"'{database.name}' is also the database of {files[database.name]}")
        databases.setdefault(database.name, database)
        files.setdefault(database.name, source.file)
    return databases


def _data_sources(
    mesh: Source,
    file: document.MeshFile | None,
    sources: Sequence[Source],
    databases: dict[str, LogicalDatabase],
    pools: PoolRules,
) -> dict[str, DataSource]:
    """Every data source by name; names are unique in the mesh, because pools are found by them."""
    owners: dict[str, str] = {}
    for source in (mesh, *sources):
        for name in source.names("data_sources"):
            if name in owners:
                message = f"the data source '{name}' is also in {owners[name]}"
                source.mistake(("data_sources", name), message, at_key=True)
            owners.setdefault(name, source.file)
    found = {} if file is None else compile_data_sources(mesh, file.data_sources, pools)
    for database in databases.values():
        found |= database.data_sources
    return found


def _rules(
    mesh: Source,
    file: document.MeshFile,
    sources: Sequence[Source],
    databases: dict[str, LogicalDatabase],
    data_sources: dict[str, DataSource],
    pools: PoolRules,
) -> MeshRules:
    epoch = datetime.datetime.combine(file.snowflake_epoch, datetime.time(), datetime.UTC)
    has_ca = file.tls.ca is not None or mesh.is_broken("tls") or mesh.is_meant(("tls",), "ca")
    rules = MeshRules(
        listeners=_listeners(mesh, file),
        users={name: _user(mesh, name, part, has_ca) for name, part in file.users.items()},
        databases=databases,
        data_sources=data_sources,
        pools=pools,
        transaction=_transaction(mesh, file.transaction),
        server_version=file.server_version,
        max_connections=file.max_connections,
        max_allowed_packet=file.max_allowed_packet,
        login_timeout=file.login_timeout,
        idle_timeout=file.idle_timeout,
        tls=_tls(mesh, file.tls),
        merge_memory=file.merge_memory,
        gather_memory=file.gather_memory,
        gather_rows=file.gather_rows,
        snowflake_epoch=int(epoch.timestamp()) * 1000,
    )
    _check_databases(mesh, file, sources)
    _check_log(mesh, sources, rules)
    return rules


def _listeners(mesh: Source, file: document.MeshFile) -> tuple[Listener, ...]:
    listeners: list[Listener] = []
    for at, part in enumerate(file.listeners):
        text = part.address
        try:
            listener = Listener.parse(text)
        except ValueError as error:
            mesh.mistake(("listeners", at), f"'{text}' {error}")
            continue
        if listener.port and any((other.host, other.port) == (listener.host, listener.port) for other in listeners):
            mesh.mistake(("listeners", at), f"'{text}' is listed twice")
        listeners.append(listener if part.tls is None else replace(listener, tls=part.tls))
    return tuple(listeners)


def _tls(mesh: Source, part: document.ServerTlsPart) -> ServerTls:
    if part.key is not None and part.certificate is None and not mesh.is_meant(("tls",), "certificate"):
        mesh.mistake(("tls", "key"), "needs the 'certificate' that it belongs to", at_key=True)
    return ServerTls(part.certificate, part.key, part.ca)


def _user(mesh: Source, name: str, part: document.UserPart, has_ca: bool) -> User:
    databases = None if part.databases == ["*"] else frozenset(part.databases)
    grants = frozenset(Grant(grant) for grant in part.grants)
    if part.require == "x509" and not has_ca:
        mesh.mistake(("users", name, "require"), "needs tls.ca, the authority of the clients' certificates")
    password = _password(mesh, name, part)
    return User(name, password, databases, part.access == "read-only", grants, part.require, part.max_connections)


def _password(mesh: Source, name: str, part: document.UserPart) -> passwords.StoredPassword:
    """The user's password; noted mistakes do not repeat it."""
    path: Path = ("users", name)
    if (part.password is None) == (part.password_hash is None):
        if not mesh.is_meant(path, "password", "password_hash"):
            mesh.mistake(path, "needs either 'password' or 'password_hash'", at_key=True)
    elif part.password is not None:
        plain = part.password.get_secret_value()
        if passwords.looks_hashed(plain):
            mesh.mistake((*path, "password"), "looks like a hash; write it as 'password_hash'")
        return passwords.plain(plain)
    elif part.password_hash is not None:
        try:
            return passwords.hashed(part.password_hash.get_secret_value())
        except ValueError as error:
            mesh.mistake((*path, "password_hash"), str(error))
    return passwords.StoredPassword()


def _transaction(mesh: Source, part: document.TransactionPart) -> TransactionRules:
    if part.sweep >= part.lease:
        mesh.mistake(("transaction", "lease"), f"must be longer than sweep ({part.sweep:g} seconds)")
    return TransactionRules(
        part.default,
        part.base_mode,
        part.log,
        part.schema_,
        part.deadline,
        part.lease,
        part.sweep,
        part.lock_wait,
        part.retention,
        part.deadlock_timeout,
        part.commit_timeout,
    )


def _check_databases(mesh: Source, file: document.MeshFile, sources: Sequence[Source]) -> None:
    """Users name databases that exist; an unreadable file may hold any, so then nothing is said."""
    if any(source.is_broken() or source.is_broken("database") for source in sources):
        return
    known = [str(source.data["database"]) for source in sources if isinstance(source.data, dict)]
    for name, user in file.users.items():
        for at, database in enumerate(user.databases):
            if database not in known and user.databases != ["*"]:
                path: Path = ("users", name, "databases", at)
                mesh.mistake(path, f"unknown database '{database}'", word=database, choices=known)


def _check_log(mesh: Source, sources: Sequence[Source], rules: MeshRules) -> None:
    """The coordinator log exists where something needs it."""
    known = [name for source in (mesh, *sources) for name in source.names("data_sources")]
    log = rules.transaction.log
    if log is not None:
        if log not in known and not any(source.is_broken() for source in sources):
            path: Path = ("transaction", "log")
            mesh.mistake(path, f"unknown data source '{log}'", word=log, choices=known)
        return
    need = _needs_log(rules)
    if need and not mesh.is_broken("transaction"):
        mesh.mistake(("transaction",), f"names no 'log' data source, but {need}", at_key=True)


_LOGGED = {"base": "BASE", "xa": "XA"}


def _needs_log(rules: MeshRules) -> str:
    """What keeps its state in the coordinator log; empty when nothing does."""
    if rules.transaction.default in _LOGGED:
        return f"transactions are {_LOGGED[rules.transaction.default]} by default"
    for database in rules.databases.values():
        if database.transaction_default in _LOGGED:
            return f"transactions of '{database.name}' are {_LOGGED[database.transaction_default]} by default"
        for table in database.tables.values():
            if table.base:
                return f"'{database.name}.{table.name}' takes part in BASE transactions"
            if isinstance(table, ShardedTable) and table.generator and table.generator.type == "snowflake":
                return f"the snowflake keys of '{database.name}.{table.name}' need a worker id from there"
    return ""
