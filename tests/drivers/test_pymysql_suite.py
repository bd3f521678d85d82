"""PyMySQL's own tests, run against two logical databases of the mesh that are not sharded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from dbmesh.sandbox.install import InstallError
from tests.drivers.world import World
from tests.programs import pymysql_suite

# test -> why it fails. Everything else must pass, and these must fail.
KNOWN = {
    "TestAuthentication.test_plugin": "reads mysql.user, which lists the servers' accounts, not the mesh's",
    "TestOldIssues.test_issue_6": "connects to the database mysql, which the mesh does not have",
}


@pytest.mark.timeout(300)
def test_pymysqls_own_tests_pass_through_the_mesh(world: World, tmp_path: Path) -> None:
    try:
        suite = pymysql_suite()
    except InstallError as error:
        pytest.skip(str(error))
    tests = tmp_path / "suite"
    shutil.copytree(suite / "pymysql", tests / "pymysql")
    account = world.mesh.account
    databases = [
        {
            "host": world.mesh.host,
            "port": world.mesh.port,
            "user": account.user,
            "password": account.password,
            "database": name,
            "local_infile": True,
        }
        for name in ("test1", "test2")
    ]
    (tests / "pymysql" / "tests" / "databases.json").write_text(json.dumps(databases))
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "ignore"]
    done = subprocess.run(
        [*command, f"--junitxml={report}", "--rootdir", str(tests), "--timeout=60", "pymysql/tests"],
        cwd=tests,
        env=os.environ | {"PYTHONPATH": str(tests), "USER": account.user},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failed = {f"{case.get('classname', '').split('.')[-1]}.{case.get('name')}" for case in cases if _failed(case)}
    assert len(cases) > 150
    assert len(KNOWN) <= 10
    assert failed == set(KNOWN), done.stdout[-6000:]


def _failed(case: ElementTree.Element) -> bool:
    return any(case.find(tag) is not None for tag in ("failure", "error"))
