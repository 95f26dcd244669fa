"""Products in the shape of today's Core."""

from .wire import CoreError, JsonObject, integer, text

_FREQUENCIES = ("ONCE", "PERIODIC_MINUTE", "PERIODIC_HOUR", "PERIODIC_DAY")


def product_v2(product: JsonObject) -> JsonObject:
    """Today's shape of a product; zero sizes are left out, as Go leaves them out."""
    if "accountingUnit" in product["category"]:
        return product
    frequency = str(product.get("unitOfPrice", "")).partition("_PER_")[2] or "MINUTE"
    kind = product.get("productType", "COMPUTE")
    category = product["category"] | {
        "productType": kind,
        "accountingUnit": {
            "name": "DKK",
            "namePlural": "DKK",
            "floatingPoint": True,
            "displayFrequencySuffix": False,
        },
        "accountingFrequency": "ONCE" if frequency == "UNIT" else f"PERIODIC_{frequency}",
        "freeToUse": product.get("freeToUse", False),
        "allowSubAllocations": True,
    }
    sizes = ("cpu", "cpuModel", "memoryInGigs", "memoryModel", "gpu", "gpuModel")
    return {
        "type": kind.lower(),
        "category": category,
        "name": product["name"],
        "description": product.get("description", ""),
        "productType": kind,
        "price": product.get("pricePerUnit", 0),
        "hiddenInGrantApplications": product.get("hiddenInGrantApplications", False),
        "fraction": {"numerator": 1, "denominator": 1},
    } | {key: product[key] for key in sizes if product.get(key)}


def check_product(product: JsonObject, provider_id: str, known: JsonObject | None) -> None:
    """Refuse a product that its provider must not register, or not so.

    `known` is its category where there is one.
    """
    category = product.get("category") or {}
    if category.get("provider") != provider_id:
        raise CoreError(403, "You are not the provider of this product")
    for holder, key in ((product, "name"), (product, "description"), (category, "name")):
        text(holder, key)
    for key in ("price", "cpu", "memoryInGigs"):
        if integer(product, key, 0) < 0:
            raise CoreError(400, f"Bad request: '{key}' must not be negative")
    kinds = (product.get("type"), category.get("productType"))
    if kinds not in (("compute", "COMPUTE"), ("ingress", "INGRESS")):
        raise CoreError(400, "Bad request: only products of type compute and ingress are known here")
    if category.get("accountingFrequency") not in _FREQUENCIES:
        raise CoreError(400, f"Bad request: no frequency {category.get('accountingFrequency')!r}")
    for key in ("accountingUnit", "accountingFrequency", "freeToUse"):
        if known is not None and known[key] != category.get(key):
            raise CoreError(400, f"'{key}' of the category {category['name']} cannot be changed")
