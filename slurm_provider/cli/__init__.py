"""The command `slurm-provider`."""

from slurm_provider.cli.main import app

__all__ = ["app"]
