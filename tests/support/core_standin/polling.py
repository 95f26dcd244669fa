"""Core asks the provider what it supports, and keeps what fits the registered products."""

from .provider import Answer, ProviderClient
from .wire import CoreError, JsonObject
from .world import World

_OTHER_PRODUCTS = ("files/collections", "ingresses", "networkips", "licenses", "private-networks")


async def poll_support(world: World, provider: ProviderClient) -> None:
    """Renew the support of the provider's compute products; a CoreError when it gives none."""
    answer = await provider.call("GET", "jobs/retrieveProducts")
    responses = provider.expect(answer).get("responses")
    if not isinstance(responses, list):
        world.journal.violation("no list of responses", "jobs/retrieveProducts", answer.body)
        raise CoreError(502, "Bad response from provider")
    world.support = {}
    for support in responses:
        key = _key(support)
        if key in world.catalogue.products:
            _check_flags(world, support)
            world.support[key] = support
        else:
            world.journal.violation("support for a product that is not registered", "/".join(key))


async def poll_links(world: World, provider: ProviderClient) -> None:
    """Renew the domains of the provider's products of public links, likewise."""
    answer = await provider.call("GET", "ingresses/retrieveProducts")
    world.link_support = {}
    for support in provider.expect(answer)["responses"]:
        key = _key(support)
        product = world.catalogue.products.get(key)
        if product is None or product.get("productType") != "INGRESS":
            world.journal.violation("support for a product of links that is not registered", "/".join(key))
        elif not all(isinstance(support.get(name), str) for name in ("domainPrefix", "domainSuffix")):
            world.journal.violation("a product of links without prefix or suffix", "/".join(key), support)
        else:
            world.link_support[key] = support


async def poll_everything(provider: ProviderClient) -> dict[str, JsonObject]:
    """One round of today's polling: the manifest and all six kinds of products, by path."""
    paths = ["integration/retrieveManifest", "jobs/retrieveProducts"]
    paths += [f"{kind}/retrieveProducts" for kind in _OTHER_PRODUCTS]
    answers: dict[str, Answer] = {path: await provider.call("GET", path) for path in paths}
    return {path: answer.as_json() for path, answer in answers.items()}


def _key(support: JsonObject) -> tuple[str, str, str]:
    reference = support.get("product") or {}
    return str(reference.get("id")), str(reference.get("category")), str(reference.get("provider"))


def _check_flags(world: World, support: JsonObject) -> None:
    for block in ("docker", "native", "virtualMachine"):
        for name, value in (support.get(block) or {}).items():
            if value is not None and not isinstance(value, bool):
                world.journal.violation(f"{block}.{name} is no boolean", "jobs/retrieveProducts", value)
