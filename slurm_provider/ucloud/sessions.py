"""Interactive sessions (UCloud's OpenSession), and who asks for one."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, Field

from slurm_provider.ucloud.bulk import OptionalText, Received, Text
from slurm_provider.ucloud.jobs import Job


class SessionType(StrEnum):
    """UCloud's InteractiveSessionType."""

    WEB = "WEB"
    VNC = "VNC"
    SHELL = "SHELL"


class SessionRequest(Received):
    """A session with one rank of a job; `target` names one of several windows (today's only)."""

    job: Job
    rank: int = Field(default=0, ge=0)
    sessionType: SessionType
    target: OptionalText = None


class FolderRequest(Received):
    """A terminal in a folder, by its UCloud path."""

    folder: Text


class ShellSession(BaseModel):
    """Where a terminal is reached: whoever has the identifier may open it."""

    type: Literal["shell"] = "shell"
    jobId: str
    rank: int
    sessionIdentifier: str
    domainOverride: str | None = None


class WebSession(BaseModel):
    """Where a web application is reached."""

    type: Literal["web"] = "web"
    jobId: str
    rank: int
    redirectClientTo: str
    domainOverride: str | None = None


class VncSession(BaseModel):
    """Where a desktop is reached."""

    type: Literal["vnc"] = "vnc"
    jobId: str
    rank: int
    url: str
    password: str | None = None
    domainOverride: str | None = None


OpenSession = ShellSession | WebSession | VncSession
