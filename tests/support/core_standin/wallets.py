"""A user's wallets as the portal of the seed documents shows them."""

from .ledger import Wallet
from .wire import JsonObject, now_ms, owner_key, page
from .world import World


def wallet_page(world: World, claims: JsonObject) -> JsonObject:
    """`accounting/wallets/browse`: one wallet for each category of machines, in one allocation."""
    owner = {"createdBy": claims["sub"], "project": claims.get("project")}
    shown = (
        {"type": "project", "projectId": owner["project"]}
        if owner["project"]
        else {"type": "user", "username": owner["createdBy"]}
    )
    by_category = {product["category"]["name"]: product for product in world.catalogue.products.values()}
    wallets = [
        _wallet(shown, product, world.ledger.wallet(owner_key(owner), name))
        for name, product in by_category.items()
        if product.get("productType", "COMPUTE") == "COMPUTE"
    ]
    return page(wallets, 50, 0)


def _wallet(owner: JsonObject, product: JsonObject, wallet: Wallet) -> JsonObject:
    category = product["category"]
    allocation = {
        "id": category["name"],
        "allocationPath": [category["name"]],
        "balance": wallet.balance,
        "initialBalance": wallet.balance + wallet.charged,
        "localBalance": wallet.balance,
        "startDate": now_ms(),
        "endDate": None,
        "grantedIn": None,
    }
    return {
        "owner": owner,
        "paysFor": {"name": category["name"], "provider": category["provider"]},
        "allocations": [allocation],
        "chargePolicy": "EXPIRE_FIRST",
        "productType": "COMPUTE",
        "chargeType": product.get("chargeType", "ABSOLUTE"),
        "unit": product.get("unitOfPrice", "CREDITS_PER_MINUTE"),
    }
