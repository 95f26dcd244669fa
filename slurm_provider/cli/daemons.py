"""`serve` and `sidecar`: the two programs."""

from slurm_provider.cli.common import DEFAULT_PATH, ConfigPath, fail, open_jobmap
from slurm_provider.cli.config import check_facade
from slurm_provider.config import ConfigError, load_sidecar
from slurm_provider.facade.lock import JobMapInUse, sole_user
from slurm_provider.logs import configure_logs


def serve(config: ConfigPath = DEFAULT_PATH) -> None:
    """Run the façade: Core's calls in, updates and charges out."""
    configure_logs()
    try:
        facade = check_facade(config)
    except ConfigError as error:
        fail(str(error))
    from slurm_provider.facade.server import (
        run,  # gRPC and FastAPI take a moment that other commands need not wait
    )

    try:
        with sole_user(facade.jobmap.path):
            open_jobmap(facade).close()
            run(facade)
    except JobMapInUse as error:
        fail(str(error))


def sidecar(config: ConfigPath = DEFAULT_PATH) -> None:
    """Run the sidecar on a login node: Slurm and the local users."""
    from slurm_provider.sidecar.start import CannotStart, start

    try:
        start(config, load_sidecar(config).sidecar)
    except (ConfigError, CannotStart) as error:
        fail(str(error))
