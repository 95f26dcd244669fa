"""The gateway: web applications of running jobs, each on a domain of its own, and public links."""

from contextlib import AsyncExitStack

from slurm_provider.facade.gateway.authorize import Authorizer
from slurm_provider.facade.gateway.clients import Clients
from slurm_provider.facade.gateway.connection import Rooms
from slurm_provider.facade.gateway.links import public_links
from slurm_provider.facade.gateway.open_links import OpenLinks
from slurm_provider.facade.gateway.server import Gateway
from slurm_provider.facade.services import Services


async def start_gateway(services: Services, stack: AsyncExitStack) -> None:
    """Listen for browsers where the site has set up [web], until the stack is closed."""
    web = services.config.web
    if web is None:
        return
    links = public_links(services.jobmap)
    authorizer = Authorizer(services.config, services.jobmap, services.clock)
    open_links = OpenLinks(links, web.connections_per_link)
    stack.push_async_callback(open_links.close)
    clients = Clients(web.connections_per_client)
    rooms = Rooms(authorizer, services.clusters, services.living, open_links, clients, web.scheme)
    gateway = Gateway(web, rooms)
    await gateway.start()
    stack.push_async_callback(gateway.close)
