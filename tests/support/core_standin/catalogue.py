"""What the portal offers: applications and products, from JSON files and from calls while running."""

import json
from pathlib import Path

from .products import product_v2
from .wire import CoreError, Era, JsonObject


class Catalogue:
    """Applications by name and version, products by id, category and provider."""

    def __init__(self) -> None:
        self.applications: dict[tuple[str, str], JsonObject] = {}
        self.products: dict[tuple[str, str, str], JsonObject] = {}

    @classmethod
    def load(cls, directory: Path) -> "Catalogue":
        """Read `applications/*.json` (one application a file) and `products.json` (a list)."""
        catalogue = cls()
        for path in sorted((directory / "applications").glob("*.json")):
            catalogue.add_application(json.loads(path.read_text()))
        for product in json.loads((directory / "products.json").read_text()):
            catalogue.add_product(product)
        return catalogue

    def add_application(self, application: JsonObject) -> None:
        """Add or replace an application `{metadata, invocation, ...}`."""
        metadata = application["metadata"]
        self.applications[metadata["name"], metadata["version"]] = application

    def add_product(self, product: JsonObject) -> None:
        """Add or replace a product `{name, category{name, provider}, ...}`."""
        category = product["category"]
        self.products[product["name"], category["name"], category["provider"]] = product

    def application(self, name: str | None, version: str | None) -> JsonObject:
        """The application as the portal shows it; 404 when there is none."""
        try:
            return self.applications[name or "", version or ""]
        except KeyError:
            raise CoreError(404, f"No such application: {name} {version}") from None

    def resolved_application(self, name: str | None, version: str | None) -> JsonObject:
        """The application as a job carries it."""
        application = self.application(name, version)
        return {"metadata": application["metadata"], "invocation": application["invocation"]}

    def product(self, reference: JsonObject) -> JsonObject:
        """The product that a reference `{id, category, provider}` names; 404 when there is none."""
        key = (reference.get("id"), reference.get("category"), reference.get("provider"))
        found = self.products.get(key)  # type: ignore[arg-type]
        if found is None:
            raise CoreError(404, f"No such product: {'/'.join(map(str, key))}")
        return found

    def resolved_product(self, reference: JsonObject, era: Era) -> JsonObject:
        """The product as a job carries it in this era."""
        product = self.product(reference)
        if era is Era.SEEDS:
            return {key: value for key, value in product.items() if key != "type"}
        return product_v2(product)

    def category(self, name: str) -> JsonObject | None:
        """Today's shape of a category, None for one without products."""
        products = (p for p in self.products.values() if p["category"]["name"] == name)
        return next((product_v2(product)["category"] for product in products), None)
