"""The command ``dbmesh``."""

from dbmesh.cli.main import main

__all__ = ["main"]
