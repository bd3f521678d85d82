"""Plans kept by statement shape: bounded, least recently used go first."""

from __future__ import annotations

from dbmesh.plan.model import Plan
from dbmesh.sql.fingerprint import Fingerprint

_MOST_VARIANTS = 64
MOST_PERMITTED = 1024  # shapes, and pairs of user and setting
_Key = tuple[str, str]


class _Variants:
    """The plans of one shape that differ by the text of its pinned literals."""

    __slots__ = ("pinned", "plans")

    def __init__(self, pinned: tuple[int, ...]) -> None:
        self.pinned = pinned
        self.plans: dict[tuple[str, ...], Plan] = {}

    def key(self, literals: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([literals[index] for index in self.pinned])


class Permitted:
    """The plans that one user, in one setting, may relay without being asked for rights, by shape: a look-up for the
    hot path, behind which the cache itself is asked. Good for one ``version`` of ``plans``.
    """

    __slots__ = ("plans", "relayed", "setting", "version")

    def __init__(self, plans: PlanCache, setting: str) -> None:
        self.plans = plans
        self.version = plans.version
        self.setting = setting
        self.relayed: dict[str, Plan] = {}

    @property
    def good(self) -> bool:
        return self.version == self.plans.version

    def permit(self, key: str, plan: Plan) -> None:
        """From here on that plan is for every statement of that shape, whatever its literals."""
        if len(self.relayed) >= MOST_PERMITTED:
            self.relayed.clear()
        self.relayed[key] = plan


class PlanCache:
    """``size`` shapes at most. Two halves: a hit in the older one moves to the younger, a full younger one replaces
    the older; so a hit costs one look-up."""

    def __init__(self, size: int = 4096) -> None:
        self._half = max(1, size // 2)
        self.version = 0  # another one after `clear`
        self._young: dict[_Key, Plan | _Variants] = {}
        self._old: dict[_Key, Plan | _Variants] = {}
        self._permitted: dict[_Key, Permitted] = {}

    def permitted(self, setting: str, user: str) -> Permitted:
        """What all sessions of that user in that setting share."""
        key = (setting, user)
        found = self._permitted.get(key)
        if found is None:
            if len(self._permitted) >= MOST_PERMITTED:
                self._permitted.clear()
            found = self._permitted[key] = Permitted(self, setting)
        return found

    def get(self, setting: str, shape: Fingerprint) -> Plan | None:
        """The plan of that shape, with the same text for its pinned literals. Hot.

        ``setting``: all of the session that the plan depends on, which is its database and its state's meaning.
        """
        key = (setting, shape.key)
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is None:
                return None
            self._keep(key, found)
        if isinstance(found, _Variants):
            return found.plans.get(found.key(shape.literals))
        return found

    def put(self, setting: str, shape: Fingerprint, plan: Plan) -> None:
        """Keep a plan. What our parser could not read is not kept: its text may hold anything in a literal's place."""
        if plan.judge is not None:
            return
        key = (setting, shape.key)
        if not plan.pinned:
            self._keep(key, plan)
            return
        pinned = tuple(sorted(plan.pinned))
        found = self._young.get(key)
        if not isinstance(found, _Variants) or found.pinned != pinned or len(found.plans) >= _MOST_VARIANTS:
            found = _Variants(pinned)
            self._keep(key, found)
        found.plans[found.key(shape.literals)] = plan

    def clear(self) -> None:
        """Forget all plans: the schema or the rules have changed."""
        self._young, self._old, self._permitted = {}, {}, {}
        self.version += 1

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _keep(self, key: _Key, entry: Plan | _Variants) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = entry
