"""Who may do what with a resource (UCloud's AclEntry and AclEntity)."""

from collections.abc import Sequence

from slurm_provider.ucloud.bulk import OptionalText, Received


class AclEntity(Received):
    """A user, or a group of a project."""

    username: OptionalText = None
    projectId: OptionalText = None
    group: OptionalText = None


class AclEntry(Received):
    """What an entity may do: READ, EDIT, ADMIN, PROVIDER."""

    entity: AclEntity
    permissions: Sequence[str] = ()

    @property
    def may_edit(self) -> bool:
        """Whether the entity may change the resource."""
        return not {"EDIT", "ADMIN"}.isdisjoint(self.permissions)
