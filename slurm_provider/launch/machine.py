"""A virtual machine becomes a batch script: QEMU on the job's node, its disk in the job's folder."""

from importlib import resources

from slurm_provider.config import MachineImage, Product, VirtualMachines
from slurm_provider.launch.body import Body
from slurm_provider.launch.enter import View, enter_file
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.options import Options
from slurm_provider.launch.quoting import quoted
from slurm_provider.launch.values import Values
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath
from slurm_provider.ucloud.jobs import Application, JobSpecification

VIRTUAL_MACHINE = "VIRTUAL_MACHINE"


def machine(
    job_id: str,
    specification: JobSpecification,
    application: Application,
    product: Product,
    settings: VirtualMachines,
) -> Body:
    """Return what a job does that runs a virtual machine; raise LaunchError where it cannot."""
    if not product.virtual_machines:
        raise LaunchError(f"the machine type '{product.id}' runs no virtual machines")
    if (specification.replicas or 1) > 1:
        raise LaunchError("a virtual machine runs on one node only")
    for resource in specification.resources or []:
        raise LaunchError(f"a virtual machine cannot have a resource of type '{resource.type}'")
    files = [name for name, value in (specification.parameters or {}).items() if value.type == "file"]
    if files or specification.openedFile:
        raise LaunchError(f"a virtual machine cannot be given a file: {files[0] if files else 'openedFile'}")
    image = _image(application.tool.image or application.tool.container, settings.images)
    return Body(
        script=_script(job_id, image, product, settings),
        values=Values(confined_paths=_files(image)),
        options=Options((), tasks_per_node=1, cpus_per_task=product.cpu),
        overhead_mib=settings.overhead_mib,
    )


def _image(name: str | None, images: list[MachineImage]) -> MachineImage:
    """Return the image of that name; raise LaunchError, in words for the user, where the site has none."""
    image = next((image for image in images if image.name == name), None)
    if image is None:
        raise LaunchError(f"the virtual machine image '{name}' is not available on this provider")
    return image


def _script(job_id: str, image: MachineImage, product: Product, settings: VirtualMachines) -> str:
    """Return the batch script's text, which the sidecar puts below the #SBATCH lines.

    The guest gets the product's cores and memory; Slurm is asked for `settings.overhead_mib` more.
    """
    boot = []
    for option, value in (("-kernel", image.kernel), ("-initrd", image.initrd), ("-append", image.append)):
        boot += [option, value] if value else []
    accelerators = [word for name in settings.accelerators for word in ("-accel", name)]
    values = {
        "image": image.disk,
        "image_format": image.format,
        "qemu": settings.qemu,
        "cpu_model": settings.cpu_model,
        "cores": str(product.cpu),
        "memory_mib": str(round(product.memory_gib * 1024)),
    }
    lines = [f"{name}={quoted(value)}" for name, value in values.items()]
    lines += [f"accelerators=({_words(accelerators)})", f"boot=({_words(boot)})"]
    body = resources.files(__package__).joinpath("machine.sh").read_text()
    title = f"# UCloud job {job_id}: a virtual machine."
    return "\n".join([title, *lines, "", enter_file(View.MACHINE), body])


def _files(image: MachineImage) -> list[ConfinedPath]:
    """Return the site's files that the job's user must be able to reach, by links as well."""
    files = [file for file in (image.disk, image.kernel, image.initrd) if file]
    return [ConfinedPath(path=file, root="/") for file in files]


def _words(words: list[str]) -> str:
    return " ".join(quoted(word) for word in words)
