"""What a job is told about itself: UCLOUD_… variables, and the object `ucloud` of templates."""

from collections.abc import Mapping
from dataclasses import dataclass

from slurm_provider.config import Product
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.quoting import quoted
from slurm_provider.ucloud.jobs import ApplicationInvocation, NameAndVersion, PortDescription, ResolvedProduct


@dataclass(frozen=True)
class Facts:
    """A job, its machine and its application; `opened_file` is a path that the job can use."""

    job_id: str
    product: Product
    models: ResolvedProduct
    nodes: int
    application: NameAndVersion
    invocation: ApplicationInvocation
    opened_file: str | None = None

    def exports(self) -> str:
        """Return lines of bash that set the variables."""
        return "\n".join(f"export {name}={quoted(value)}" for name, value in self.variables().items())

    def variables(self) -> Mapping[str, str]:
        """Return the variables by name; UCLOUD_PORT is empty where the node has to choose one."""
        variables = {
            "UCLOUD_JOB_ID": self.job_id,
            "UCLOUD_MACHINE_NAME": self.product.id,
            "UCLOUD_MACHINE_CATEGORY": self.product.category,
            "UCLOUD_MACHINE_CPU": str(self.product.cpu),
            "UCLOUD_MACHINE_CPU_MODEL": self.models.cpuModel or "",
            "UCLOUD_MACHINE_MEMORY_IN_GIGS": f"{self.product.memory_gib:g}",
            "UCLOUD_MACHINE_MEMORY_MODEL": self.models.memoryModel or "",
            "UCLOUD_MACHINE_GPU": str(self.product.gpu),
            "UCLOUD_MACHINE_GPU_MODEL": self.models.gpuModel or "",
            "UCLOUD_NODES": str(self.nodes),
            "UCLOUD_PARTITION": self.product.partition,
            "UCLOUD_QOS": self.product.qos or "",
            "UCLOUD_APPLICATION_NAME": self.application.name,
            "UCLOUD_APPLICATION_VERSION": self.application.version,
        }
        if self._interface is not None:
            variables["UCLOUD_PORT"] = str(self._port or "")
        if self.opened_file is not None:
            variables["UCLOUD_OPEN_WITH_FILE"] = self.opened_file
        return variables

    def for_templates(self) -> dict[str, object]:
        """Return the object `ucloud`."""
        port = self._port if self._interface is not None else 0
        return {
            "jobId": self.job_id,
            "machine": {
                "name": self.product.id,
                "category": self.product.category,
                "cpu": self.product.cpu,
                "cpuModel": self.models.cpuModel or "",
                "memoryInGigs": self.product.memory_gib,
                "memoryModel": self.models.memoryModel or "",
                "gpu": self.product.gpu,
                "gpuModel": self.models.gpuModel or "",
            },
            "webPort": port,
            "vncPort": port,
            "nodes": self.nodes,
            "partition": self.product.partition,
            "qos": self.product.qos or "",
            "application": {"name": self.application.name, "version": self.application.version},
        }

    @property
    def _interface(self) -> PortDescription | None:
        match self.invocation.applicationType:
            case "WEB":
                return self.invocation.web or PortDescription()
            case "VNC":
                return self.invocation.vnc or PortDescription()
            case _:
                return None

    @property
    def _port(self) -> int | None:
        """The application's own port, None for one that is left to the node."""
        port = self._interface.port if self._interface else None
        if port is not None and not 0 <= port <= 65535:
            raise LaunchError(f"the application's port {port} is not between 1 and 65535")
        return port or None
