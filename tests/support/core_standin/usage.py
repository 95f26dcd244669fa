"""Usage as today's Core is told it: totals of owners in a category's accounting unit."""

from dataclasses import dataclass

from .ledger import Ledger
from .wire import CoreError, JsonObject, integer, text


@dataclass(frozen=True)
class Usage:
    """One item of reportUsage; without a scope the total is that of the owner's whole category."""

    owner: str
    category: str
    provider: str
    scope: str
    usage: int
    is_delta: bool

    @classmethod
    def of(cls, item: JsonObject) -> "Usage":
        """Read an item; 400 for what Core's parser refuses, 403 for a negative total."""
        category, owner = item.get("categoryIdV2"), item.get("owner")
        if not isinstance(category, dict) or not isinstance(owner, dict):
            raise CoreError(400, "Bad request: a report needs 'owner' and 'categoryIdV2'")
        if not isinstance(item.get("isDeltaCharge"), bool):
            raise CoreError(400, "Bad request: 'isDeltaCharge' must be a boolean")
        usage, is_delta = integer(item, "usage"), bool(item["isDeltaCharge"])
        if usage < 0 and not is_delta:
            raise CoreError(403, "Absolute usage cannot be negative")
        return cls(
            owner=_owner(owner),
            category=text(category, "name"),
            provider=text(category, "provider"),
            scope=str((item.get("description") or {}).get("scope") or ""),
            usage=usage,
            is_delta=is_delta,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """What the total is kept by."""
        return self.owner, self.category, self.scope


class UsageBook:
    """The totals by owner, category and scope."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str, str], int] = {}

    def shrinks(self, report: Usage) -> bool:
        """Whether a report takes back what an earlier one said: usage only grows."""
        return not report.is_delta and report.usage < self.totals.get(report.key, 0)

    def report(self, report: Usage, ledger: Ledger) -> bool:
        """Note a report, and say whether the owner's wallet is open after it."""
        wallet, before = ledger.wallet(report.owner, report.category), self.totals.get(report.key, 0)
        after = before + report.usage if report.is_delta else report.usage
        wallet.pay(after - before)
        self.totals[report.key] = after
        return wallet.balance > 0


def _owner(owner: JsonObject) -> str:
    match owner.get("type"):
        case "user":
            return f"user:{text(owner, 'username')}"
        case "project":
            return f"project:{text(owner, 'projectId')}"
    raise CoreError(400, f"Bad request: an owner is a user or a project, not {owner.get('type')!r}")
