"""The client of UCloud/Core."""

from slurm_provider.core.client import CoreClient, CoreRefused, CoreUnavailable

__all__ = ["CoreClient", "CoreRefused", "CoreUnavailable"]
