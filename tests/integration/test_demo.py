"""The demo as a user starts it, on servers of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
def test_the_demo_verifies_everything_exits_0_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dbmesh", "demo"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "claims verified against the shards" in done.stdout
    assert "\x1b" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_rule_folder_that_is_none_ends_the_demo_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "dbmesh", "demo", "--rules", str(tmp_path / "rules")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "mesh.yaml" in done.stdout
