"""What a job is given beside its parameters (`specification.resources`)."""

from collections.abc import Sequence

from slurm_provider.config import FacadeConfig
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.paths import local_path
from slurm_provider.launch.values import REFUSED, Values, license_text
from slurm_provider.ucloud.values import ParameterValue


def check_resources(resources: Sequence[ParameterValue], values: Values, config: FacadeConfig) -> None:
    """Add the files that a job is given to `values`; raise LaunchError for what it cannot have."""
    for resource in resources:
        if wanted := REFUSED.get(resource.type):
            raise LaunchError(f"the job asks for {wanted}, which this provider does not have")
        match resource.type:
            case "file":
                values.confined_paths.append(local_path(resource.path or "", config.drives))
            case "license_server":
                license_text(resource, config.licenses)
            case other:
                raise LaunchError(f"a job cannot have a resource of type '{other}' on this provider")
