"""The public links that a job asks for."""

from slurm_provider.jobmap import LinkUse
from slurm_provider.launch.errors import LaunchError
from slurm_provider.ucloud.jobs import Application, ApplicationInvocation, JobSpecification


def wished_links(specification: JobSpecification, application: Application | None) -> list[LinkUse]:
    """Return the public links among a job's parameters and resources.

    Raises LaunchError for one that the application has nothing to show on, or that is asked for twice
    with different ports.
    """
    uses = named_links(specification)
    invocation = (application.invocation if application else None) or ApplicationInvocation()
    for use in uses:
        _check_application(invocation, use)
    return uses


def named_links(specification: JobSpecification) -> list[LinkUse]:
    """Return the same whatever the application is."""
    uses: dict[str, LinkUse] = {}
    for value in [*(specification.parameters or {}).values(), *(specification.resources or [])]:
        if value.type == "ingress":
            use = LinkUse(value.id or "", _checked_port(value.port))
            if uses.setdefault(use.link_id, use) != use:
                raise LaunchError(f"the public link {use.link_id} can lead to one port only")
    return list(uses.values())


def _checked_port(port: int | None) -> int | None:
    if port is not None and not 0 <= port <= 65535:
        raise LaunchError(f"a public link cannot lead to the port {port}: ports are between 1 and 65535")
    return port or None


def _check_application(invocation: ApplicationInvocation, use: LinkUse) -> None:
    """Raise LaunchError unless a link can lead to the application: its own web pages, or a port of it."""
    if invocation.allowPublicLink is False:
        raise LaunchError("the application does not allow public links")
    is_web = invocation.applicationType == "WEB"
    if not is_web and not (invocation.allowPublicLink and use.port):
        raise LaunchError("the application has no web pages that a public link could lead to")
