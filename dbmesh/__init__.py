"""DBMesh: one MySQL endpoint over many MySQL and MariaDB servers."""

__version__ = "0.1.0"
