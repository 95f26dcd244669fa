"""The client of UCloud/Core."""

from slurm_provider.core.client import CoreClient, CoreRefused, CoreUnavailable
from slurm_provider.core.today import TodaysCore

__all__ = ["CoreClient", "CoreRefused", "CoreUnavailable", "TodaysCore"]
