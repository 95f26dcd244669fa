"""What a job is given beside its parameters (`specification.resources`)."""

from collections.abc import Sequence

from slurm_provider.config import FacadeConfig
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.paths import local_path
from slurm_provider.launch.values import REFUSED, Place, Values, license_text
from slurm_provider.ucloud.values import ParameterValue


def check_resources(
    resources: Sequence[ParameterValue], values: Values, config: FacadeConfig, place: Place
) -> None:
    """Place the files that a job is given, and add them to `values`.

    Raises LaunchError for what a job cannot have.
    """
    for resource in resources:
        if wanted := REFUSED.get(resource.type):
            raise LaunchError(f"the job asks for {wanted}, which this provider does not have")
        match resource.type:
            case "file":
                confined = local_path(resource.path or "", config.drives)
                values.confined_paths.append(confined)
                place(resource, confined)
            case "peer" | "ingress":  # looked up beside the plan
                pass
            case "license_server":
                license_text(resource, config.licenses)
            case other:
                raise LaunchError(f"a job cannot have a resource of type '{other}' on this provider")
