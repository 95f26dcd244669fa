"""What runs a job: the node as it is, software installed on it, or a container image."""

from collections.abc import Sequence
from dataclasses import dataclass

from slurm_provider.config import FacadeConfig, Product, Runtime
from slurm_provider.launch import surroundings
from slurm_provider.launch.around import after_srun, before_srun, pulling
from slurm_provider.launch.enter import View
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.images import ContainerImage, image_files
from slurm_provider.launch.mounts import LinkTable, MountTable
from slurm_provider.launch.peers import Peer
from slurm_provider.launch.runtimes import clean, container
from slurm_provider.launch.surroundings import Wishes
from slurm_provider.rpc.v1.submission_pb2 import ImageFiles
from slurm_provider.ucloud.jobs import Application, ContainerDescription

_CONTAINERS = ("DOCKER", "SINGULARITY")


@dataclass(frozen=True)
class Backend:
    """How a job is run: the parts of its batch script, and what the login node has to find."""

    surroundings: str
    before: Sequence[str]
    after: Sequence[str]
    launcher_begin: str = ""
    software: str | None = None
    image: ImageFiles | None = None
    view: View = View.CONTAINER


def mount_table(application: Application) -> MountTable | LinkTable:
    """Return where the files of a job are placed; raise LaunchError for a backend that cannot run here."""
    name = application.tool.backend
    if name == "NATIVE":
        return LinkTable()
    if name in _CONTAINERS:
        return MountTable()
    raise LaunchError(f"applications of type '{name}' cannot run on this provider")


def backend(
    application: Application,
    product: Product,
    config: FacadeConfig,
    peers: Sequence[Peer],
    mounts: MountTable | LinkTable,
) -> Backend:
    """Return how a job is run whose files are all placed; raise LaunchError where this provider cannot."""
    for peer in peers:
        if peer.cluster != product.cluster:
            raise LaunchError(f"the job {peer.job_id} runs on another cluster and cannot be connected to")
    after = after_srun(mounts)
    if not mounts.in_container:
        return Backend(surroundings.NATIVE, before_srun(mounts, peers), after, view=View.NATIVE)
    wishes = _wishes(application, mounts, product)
    tool = application.tool
    name = tool.image or tool.container or ""
    known = next((image for image in config.images if image.name == name), None)
    if known and known.software:
        before = before_srun(mounts, peers)
        return Backend(surroundings.software(wishes), before, after, software=known.software)
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
    return Backend(
        container(image, containers, wishes),
        before_srun(mounts, peers, pull),
        after,
        launcher_begin=clean(containers),
        image=None if image.pull_from else ImageFiles(name=name, paths=image.files),
    )


def _wishes(application: Application, mounts: MountTable | LinkTable, product: Product) -> Wishes:
    asked = (application.invocation.container if application.invocation else None) or ContainerDescription()
    if asked.runAsRoot and asked.runAsRealUser:
        raise LaunchError("an application cannot run both as root and as the real user")
    return Wishes(
        mounts=mounts.mounts,
        gpus=product.gpu > 0,
        as_root=bool(asked.runAsRoot),
        in_work=asked.changeWorkingDirectory is not False,
    )
