"""Wallets, and the charges the provider makes on them."""

from dataclasses import dataclass

from .wire import CoreError, JsonObject, integer, owner_key, text

PLENTY = 10**15


@dataclass
class Wallet:
    """Credits of one owner for one product category."""

    balance: int = PLENTY
    charged: int = 0

    def pay(self, amount: int) -> None:
        """Take an amount; a negative one gives back."""
        self.balance -= amount
        self.charged += amount


@dataclass(frozen=True)
class Charge:
    """One item of chargeCredits, priced."""

    charge_id: str
    job_id: str
    units: int
    periods: int
    price: int
    replicas: int
    owner: str
    category: str

    @classmethod
    def of(cls, item: JsonObject, job: JsonObject, product: JsonObject) -> "Charge":
        """Read an item; 400 for a missing id or numbers that are no whole, positive numbers."""
        units, periods = integer(item, "units"), integer(item, "periods", 1)
        if units < 0 or periods < 0:
            raise CoreError(400, "Bad request: units and periods must not be negative")
        listed = product.get("pricePerUnit", product.get("price")) or 0
        free = product.get("freeToUse") or product["category"].get("freeToUse")
        return cls(
            charge_id=text(item, "chargeId"),
            job_id=job["id"],
            units=units,
            periods=periods,
            price=0 if free else int(listed),
            replicas=job["specification"].get("replicas") or 1,
            owner=owner_key(job["owner"]),
            category=product["category"]["name"],
        )

    @property
    def credits(self) -> int:
        """The price in the era of the seed documents."""
        return self.units * self.periods * self.price


class Ledger:
    """Wallets by (owner, category), and the charges made by their ids."""

    def __init__(self) -> None:
        self.wallets: dict[tuple[str, str], Wallet] = {}
        self.charges: dict[str, Charge] = {}
        self._scopes: dict[str, int] = {}

    def wallet(self, owner: str, category: str) -> Wallet:
        """The wallet, which holds plenty until somebody says otherwise."""
        return self.wallets.setdefault((owner, category), Wallet())

    def owners(self) -> set[str]:
        """Everybody who has a wallet."""
        return {owner for owner, _ in self.wallets}

    def charge(self, charges: list[Charge], *, dry_run: bool) -> tuple[list[str], list[str]]:
        """Take the credits of each charge; a known id is ignored, one that cannot be paid is refused whole.

        Gives the ids of the jobs with insufficient funds and of those with duplicate charges.
        """
        insufficient, duplicates = [], []
        for charge in charges:
            wallet = self.wallet(charge.owner, charge.category)
            if charge.charge_id in self.charges:
                duplicates.append(charge.job_id)
            elif wallet.balance < charge.credits:
                insufficient.append(charge.job_id)
            elif not dry_run:
                wallet.pay(charge.credits)
                self.charges[charge.charge_id] = charge
        return insufficient, duplicates

    def charge_today(self, charges: list[Charge], *, dry_run: bool) -> list[str]:
        """Today's shim: `units` counts for nothing, the id is a scope whose absolute usage is reported."""
        insufficient = []
        for charge in charges:
            wallet = self.wallet(charge.owner, charge.category)
            if not dry_run:
                usage = charge.periods * charge.price * charge.replicas
                wallet.pay(usage - self._scopes.get(charge.charge_id, 0))
                self._scopes[charge.charge_id] = usage
                self.charges[charge.charge_id] = charge
            if wallet.balance <= 0:
                insufficient.append(charge.job_id)
        return insufficient
