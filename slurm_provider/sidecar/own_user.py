"""Whose agent this is."""

import os
import pwd


def check_user(local_user: str) -> None:
    """Raise PermissionError for a call that is meant for another user's agent."""
    own = pwd.getpwuid(os.getuid()).pw_name
    if local_user != own:
        raise PermissionError(f"this is the agent of '{own}', not of '{local_user}'")
