"""``dbmesh tx``: global transactions, looked at and finished by hand. Works with and without a running mesh.

Exit codes: 0 done, 1 a server does not answer, 2 conflict (somebody else drives it, or a dry run found a changed row),
3 parked, 4 no such transaction.
"""

from __future__ import annotations

from dbmesh.cli.tx import doctoring, in_doubt, looking, mending, remembering, replaying, undoing
from dbmesh.cli.tx.command import tx

__all__ = ["doctoring", "in_doubt", "looking", "mending", "remembering", "replaying", "tx", "undoing"]
