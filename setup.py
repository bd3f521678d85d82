"""The compiled build: with DBMESH_COMPILE=1 the hot modules become C extensions, by mypyc, from the same source.

All else is in pyproject.toml. Without the variable nothing is compiled, and no compiler is needed.
"""

from __future__ import annotations

import os

from setuptools import setup

# What a relayed query passes through and does no I/O. Not compiled is what has coroutines: an exception on its way
# through a compiled one has crashed the process (mypy 2.4). Nor can dataclasses be that have slots, or subclasses.
HOT = (
    "protocol/framing",
    "protocol/lenenc",
    "protocol/tracker",
    "sql/fingerprint",
    "rules/algorithms",
    "rules/sharding",
    "route/key_numbers",
    "route/keys",
    "route/verdict",
    "plan/cache",
    "plan/shortcut",
    "backend/pool",
    "frontend/diagnostics",
)
# The types were checked before; here the packages that DBMesh uses may be missing, with what they say of their types.
_MYPY = ("--config-file=", "--ignore-missing-imports", "--python-version=3.11")

if os.environ.get("DBMESH_COMPILE") == "1":
    try:
        from mypyc.build import mypycify
    except ImportError:  # setuptools asks what is required before that is installed
        extensions = []
    else:
        extensions = mypycify([*_MYPY, *(f"dbmesh/{name}.py" for name in HOT)], debug_level="0", group_name="dbmesh")
    setup(setup_requires=["mypy>=2.4,<3"], ext_modules=extensions)
else:
    setup()
