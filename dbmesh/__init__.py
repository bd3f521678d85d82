"""DBMesh: one MySQL endpoint over many MySQL and MariaDB servers."""

from importlib.util import find_spec

__version__ = "0.1.0"


def build() -> str:
    """Which of the two builds of the same source this is: 'compiled' or 'pure Python'."""
    spec = find_spec("dbmesh.protocol.tracker")
    assert spec is not None
    assert spec.origin is not None
    return "pure Python" if spec.origin.endswith(".py") else "compiled"
