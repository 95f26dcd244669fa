"""`[sessions]` and `[web]`: how users reach what runs in their jobs."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from slurm_provider.config.base import Section

_LABEL = r"[a-z0-9-]*"


class Sessions(Section):
    """How long sessions last, and how many there may be."""

    shell_idle_seconds: float = Field(default=3600, gt=0)
    """A terminal in which nothing is typed or printed for so long is closed."""
    shell_lifetime_seconds: float = Field(default=86400, gt=0)
    reconnect_seconds: int = Field(default=300, ge=0, le=86400)
    """How long a terminal waits for a connection that was lost."""
    open_within_seconds: float = Field(default=300, gt=0)
    """How long the link or identifier of a session that was asked for can be used for the first time."""
    web_lifetime_seconds: float = Field(default=30 * 86400, gt=0)
    """How long a browser that has opened a web application or a desktop stays let in, if the job lasts."""
    per_user: int = Field(default=100, ge=1)
    """Sessions that one UCloud user may have at a time."""
    connections_per_session: int = Field(default=100, ge=1)


def _suffix(suffix: str) -> str:
    if not suffix.endswith(".") and "." in suffix:
        return suffix.lower()
    raise ValueError("must be the end of a domain name, such as .apps.example.org")


class Web(Section):
    """The gateway: web applications of jobs, each on a domain of its own, `PREFIX JOB-RANK SUFFIX`.

    All names below the suffix must lead to it (a wildcard in the DNS, and in the certificate).
    """

    listen: str = Field(default="127.0.0.1:8890", pattern=r"^\S+:\d+$")
    scheme: Literal["https", "http"] = "https"
    """As browsers see it; with https something in front of the gateway ends TLS."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """As browsers see it, where it is not the scheme's own."""
    prefix: str = Field(default="app-", pattern=rf"^{_LABEL}$")
    connections: int = Field(default=4000, ge=1)
    """Connections of browsers at a time."""
    connections_per_client: int = Field(default=500, ge=1)
    """Of those from one address: the one that the proxy in front names, where that is on this machine."""
    connections_per_link: int = Field(default=500, ge=1)
    """Of those on which one public link's application is asked something."""
    suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$"), AfterValidator(_suffix)]

    def domain(self, job_id: str, rank: int, target: str | None = None) -> str:
        """Return the domain on which a rank of a job, or one of its further windows, is shown."""
        window = f"-{target}" if target else ""
        return f"{self.prefix}{job_id}-{rank}{window}{self.suffix}".lower()

    def origin(self, domain: str) -> str:
        """Return the origin of a domain, as a browser writes it."""
        return f"{self.scheme}://{domain}" + (f":{self.port}" if self.port else "")
