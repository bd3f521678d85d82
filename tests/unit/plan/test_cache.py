"""The plan cache: bounded, and true to pinned literals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dbmesh.errors import NotSupported
from dbmesh.plan.cache import MOST_PERMITTED, PlanCache
from dbmesh.plan.model import Bound, Call, Plan
from dbmesh.plan.select import UnreadPlan
from dbmesh.sql.classify import StatementKind
from dbmesh.sql.fingerprint import fingerprint


@dataclass(kw_only=True)
class Named(Plan):
    name: str

    def bind(self, literals: Sequence[str], call: Call) -> Bound:
        raise AssertionError


def plan(name: str, *pinned: int) -> Named:
    return Named(kind=StatementKind.SELECT, name=name, pinned=frozenset(pinned))


def test_a_plan_serves_its_shape_in_its_database() -> None:
    cache, made = PlanCache(), plan("a")
    cache.put("shop", fingerprint("SELECT 1"), made)
    assert cache.get("shop", fingerprint("SELECT 2")) is made
    assert cache.get("shop", fingerprint("SELECT 'x'")) is None
    assert cache.get("other", fingerprint("SELECT 2")) is None


def test_other_pinned_literals_need_another_plan() -> None:
    cache, first, second = PlanCache(), plan("first", 1), plan("second", 1)
    cache.put("shop", fingerprint("SELECT 7 ORDER BY 1"), first)
    assert cache.get("shop", fingerprint("SELECT 8 ORDER BY 1")) is first
    assert cache.get("shop", fingerprint("SELECT 7 ORDER BY 2")) is None
    cache.put("shop", fingerprint("SELECT 7 ORDER BY 2"), second)
    assert cache.get("shop", fingerprint("SELECT 9 ORDER BY 2")) is second
    assert cache.get("shop", fingerprint("SELECT 9 ORDER BY 1")) is first


def test_the_least_recently_used_go_first() -> None:
    cache = PlanCache(4)
    for number in range(50):
        cache.put("", fingerprint(f"SELECT a{number}"), plan(str(number)))
        assert cache.get("", fingerprint("SELECT a0")) is not None
    assert len(cache) <= 4
    assert cache.get("", fingerprint("SELECT a10")) is None


def test_variants_of_one_shape_are_bounded() -> None:
    cache = PlanCache()
    for number in range(500):
        cache.put("", fingerprint(f"SELECT {number}"), plan(str(number), 0))
    assert cache.get("", fingerprint("SELECT 0")) is None
    assert cache.get("", fingerprint("SELECT 499")) is not None


def test_what_could_not_be_read_is_not_kept() -> None:
    cache = PlanCache()
    unread = UnreadPlan(kind=StatementKind.UNKNOWN, judge=NotSupported("x"))
    cache.put("", fingerprint("FOO 1"), unread)
    assert cache.get("", fingerprint("FOO 1")) is None


def test_clearing_forgets_everything() -> None:
    cache = PlanCache()
    cache.put("", fingerprint("SELECT 1"), plan("a"))
    cache.clear()
    assert len(cache) == 0


def test_what_is_permitted_is_shared_by_one_users_sessions_in_one_setting() -> None:
    cache, made = PlanCache(), plan("a")
    cache.permitted("shop", "ann").permit("SELECT ?n", made)
    assert cache.permitted("shop", "ann").relayed == {"SELECT ?n": made}
    assert not cache.permitted("shop", "bob").relayed
    assert not cache.permitted("other", "ann").relayed


def test_nothing_is_permitted_any_more_after_clearing() -> None:
    cache = PlanCache()
    before = cache.permitted("shop", "ann")
    before.permit("SELECT ?n", plan("a"))
    assert before.good
    cache.clear()
    assert not before.good
    assert not cache.permitted("shop", "ann").relayed


def test_permitted_plans_are_bounded() -> None:
    cache = PlanCache()
    for number in range(2 * MOST_PERMITTED + 1):
        cache.permitted("shop", f"user {number}")
        cache.permitted("shop", "ann").permit(f"SELECT a{number}", plan("a"))
    assert 0 < len(cache.permitted("shop", "ann").relayed) <= MOST_PERMITTED
