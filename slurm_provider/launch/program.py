"""The program of an application becomes a batch script: on the node as it is, or in a container."""

from collections.abc import Sequence

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.launch.backend import backend, mount_table
from slurm_provider.launch.body import Body
from slurm_provider.launch.command import Render, command, path_line
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.facts import Facts
from slurm_provider.launch.options import options
from slurm_provider.launch.paths import local_path
from slurm_provider.launch.peers import Peer
from slurm_provider.launch.resources import check_resources
from slurm_provider.launch.script import batch_script
from slurm_provider.launch.values import Place, Values, resolve
from slurm_provider.ucloud.jobs import (
    Application,
    ApplicationInvocation,
    JobSpecification,
    NameAndVersion,
    ResolvedProduct,
)
from slurm_provider.ucloud.values import ParameterValue


def program(
    job_id: str,
    specification: JobSpecification,
    application: Application,
    product: Product,
    config: FacadeConfig,
    *,
    models: ResolvedProduct,
    replicas: int,
    peers: Sequence[Peer],
    render: Render,
) -> Body:
    """Return what a job does that runs an application's command line; raise LaunchError where it cannot."""
    invocation = application.invocation or ApplicationInvocation()
    if not invocation.invocation:
        raise LaunchError("the application has no command line")
    mounts = mount_table(application)
    values = resolve(
        invocation.parameters or [],
        specification.parameters or {},
        config.drives,
        licenses=config.licenses,
        place=mounts.place_parameter,
    )
    check_resources(specification.resources or [], values, config, mounts.place_resource)
    facts = Facts(
        job_id,
        product,
        models=models,
        nodes=replicas,
        application=application.metadata or specification.application or NameAndVersion(),
        invocation=invocation,
        opened_file=_opened_file(specification, values, config, mounts.place_opened),
    )
    ran_by = backend(application, product, config, peers, mounts)
    run = command(facts, application.tool, values, config, in_container=mounts.in_container, render=render)
    allowed = options(run.options, product, config.sbatch.allow)
    script = batch_script(
        facts,
        ran_by,
        command=[*([path_line(ran_by.software)] if ran_by.software else []), *run.lines],
        in_batch_step=run.is_batch,
    )
    return Body(script, values, allowed, interfaces=run.interfaces, image=ran_by.image)


def _opened_file(
    specification: JobSpecification, values: Values, config: FacadeConfig, place: Place
) -> str | None:
    """Return where the job finds the file that the application was opened with."""
    if not specification.openedFile:
        return None
    confined = local_path(specification.openedFile, config.drives)
    values.confined_paths.append(confined)
    return place(ParameterValue(type="file", path=specification.openedFile, readOnly=True), confined)
