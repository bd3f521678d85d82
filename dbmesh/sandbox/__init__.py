"""Throw-away MariaDB or MySQL servers for the demo, the tests and the benchmark: real ones, in a temporary folder.

    with Sandbox() as sandbox:
        server = sandbox.start("mysql_0")
        with server.connection() as connection: ...

Whatever happens to the process that holds the sandbox, kill -9 included, its servers end and its folder goes.
"""

from dbmesh.sandbox.apt import InstallError
from dbmesh.sandbox.binaries import Binaries, find_server
from dbmesh.sandbox.endpoint import Account
from dbmesh.sandbox.install import ensure_server
from dbmesh.sandbox.mesh import Mesh
from dbmesh.sandbox.process import ServerError
from dbmesh.sandbox.sandbox import Sandbox
from dbmesh.sandbox.server import Server

__all__ = [
    "Account",
    "Binaries",
    "InstallError",
    "Mesh",
    "Sandbox",
    "Server",
    "ServerError",
    "ensure_server",
    "find_server",
]
