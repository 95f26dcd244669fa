"""SSH keys that users keep in UCloud (SshKey)."""

from slurm_provider.ucloud.bulk import OptionalText, Received, Text


class SshKeySpecification(Received):
    """A key as its user gave it; the title is for people."""

    title: Text = ""
    key: Text = ""


class SshKey(Received):
    """A key and whose it is."""

    id: OptionalText = None
    owner: OptionalText = None
    specification: SshKeySpecification | None = None


class KeyUploaded(Received):
    """All keys that a user has, after one was added or removed."""

    username: Text = ""
    allKeys: list[SshKey] | None = None


class SshKeyPage(Received):
    """A page of keys, the answer to `jobs/control/browseSshKeys`."""

    items: list[SshKey] | None = None
    next: OptionalText = None


def keys_of(user: str, keys: list[SshKey] | None) -> list[str]:
    """Return the texts of the keys of one user among all."""
    return [
        key.specification.key
        for key in keys or []
        if key.specification is not None and key.owner in (None, user)
    ]
