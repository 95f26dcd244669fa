"""What runs a job: the node as it is, software installed on it, or a container image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slurm_provider.config import FacadeConfig, Product, Runtime
from slurm_provider.launch import surroundings
from slurm_provider.launch.around import after_srun, before_srun, pulling
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.images import ContainerImage, image_files
from slurm_provider.launch.mounts import Mounts, container_mounts, native_links
from slurm_provider.launch.peers import Peer
from slurm_provider.launch.runtimes import clean, container
from slurm_provider.launch.surroundings import Wishes
from slurm_provider.rpc.v1.submission_pb2 import ImageFiles
from slurm_provider.ucloud.jobs import Application, ContainerDescription, JobSpecification

_CONTAINERS = ("DOCKER", "SINGULARITY")
_HELD = ("file", "peer")


@dataclass(frozen=True)
class Backend:
    """How a job is run: the parts of its batch script, and what the login node has to find.

    `paths` gives the parameters that are files or folders the path that the program sees.
    """

    mounts: Mounts
    surroundings: str
    before: Sequence[str]
    after: Sequence[str]
    launcher_begin: str = ""
    software: str | None = None
    image: ImageFiles | None = None

    @property
    def paths(self) -> Mapping[str, str]:
        """The path of each parameter that is a file or folder, where it is not the real one."""
        return self.mounts.parameters


def backend(
    application: Application,
    specification: JobSpecification,
    product: Product,
    config: FacadeConfig,
    peers: Sequence[Peer],
) -> Backend:
    """Return how an application's backend is run; raise LaunchError where this provider cannot."""
    _check_resources(specification)
    for peer in peers:
        if peer.cluster != product.cluster:
            raise LaunchError(f"the job {peer.job_id} runs on another cluster and cannot be connected to")
    name = application.tool.backend
    if name == "NATIVE":
        return _native(specification, config, peers)
    if name not in _CONTAINERS:
        raise LaunchError(f"applications of type '{name}' cannot run on this provider")
    return _container(application, specification, product, config, peers)


def _native(specification: JobSpecification, config: FacadeConfig, peers: Sequence[Peer]) -> Backend:
    links = native_links(specification.resources or [], config.drives)
    before = before_srun(links, peers, native=True)
    return Backend(links, surroundings.NATIVE, before, after_srun(links, native=True))


def _container(
    application: Application,
    specification: JobSpecification,
    product: Product,
    config: FacadeConfig,
    peers: Sequence[Peer],
) -> Backend:
    parameters = (application.invocation.parameters if application.invocation else None) or []
    given, resources = specification.parameters or {}, specification.resources or []
    mounts = container_mounts(parameters, given, resources, config.drives)
    wishes = _wishes(application, mounts, product)
    tool = application.tool
    name = tool.image or tool.container or ""
    known = next((image for image in config.images if image.name == name), None)
    after = after_srun(mounts, native=False)
    if known and known.software:
        before = before_srun(mounts, peers, native=False)
        return Backend(mounts, surroundings.software(wishes), before, after, software=known.software)
    containers = config.clusters[product.cluster].containers
    if containers is None:
        raise LaunchError(f"the container image '{name}' is not available on this provider")
    image = ContainerImage(name, (known.file,)) if known and known.file else image_files(name, containers)
    if not image.files and not image.pull_from:
        raise LaunchError(f"the container image '{name}' is not available on this provider")
    pull = ""
    if image.pull_from and containers.runtime is not Runtime.PODMAN:
        image = image.cached_in(containers.cache)
        pull = pulling(image, containers)
    files = None if image.pull_from else ImageFiles(name=name, paths=image.files)
    before = before_srun(mounts, peers, native=False, pull=pull)
    run = container(image, containers, wishes)
    return Backend(mounts, run, before, after, launcher_begin=clean(containers), image=files)


def _wishes(application: Application, mounts: Mounts, product: Product) -> Wishes:
    asked = (application.invocation.container if application.invocation else None) or ContainerDescription()
    if asked.runAsRoot and asked.runAsRealUser:
        raise LaunchError("an application cannot run both as root and as the real user")
    return Wishes(
        mounts=mounts.mounts,
        gpus=product.gpu > 0,
        as_root=bool(asked.runAsRoot),
        in_work=asked.changeWorkingDirectory is not False,
    )


def _check_resources(specification: JobSpecification) -> None:
    for resource in specification.resources or []:
        if resource.type not in _HELD:
            raise LaunchError(f"a job cannot have a resource of type '{resource.type}' on this provider")
