"""A virtual machine becomes a batch script: QEMU on the job's node, its disk in the job's folder."""

import posixpath
from importlib import resources

from slurm_provider.config import MachineImage, Product, VirtualMachines
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.invocation import Literal
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath


def machine_image(name: str | None, images: list[MachineImage]) -> MachineImage:
    """Return the image of that name; raise LaunchError, in words for the user, where the site has none."""
    image = next((image for image in images if image.name == name), None)
    if image is None:
        raise LaunchError(f"the virtual machine image '{name}' is not available on this provider")
    return image


def machine_script(job_id: str, image: MachineImage, product: Product, settings: VirtualMachines) -> str:
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
        "memory_mib": str(guest_memory_mib(product)),
    }
    lines = [f"{name}={Literal(value).quoted()}" for name, value in values.items()]
    lines += [f"accelerators=({_words(accelerators)})", f"boot=({_words(boot)})"]
    body = resources.files(__package__).joinpath("machine.sh").read_text()
    return "\n".join([f"# UCloud job {job_id}: a virtual machine.", *lines, "", body])


def guest_memory_mib(product: Product) -> int:
    """Return the memory of the machine itself."""
    return round(product.memory_gib * 1024)


def files_of(image: MachineImage) -> list[ConfinedPath]:
    """Return the site's files that the job's user must be able to reach."""
    files = [file for file in (image.disk, image.kernel, image.initrd) if file]
    return [ConfinedPath(path=file, root=posixpath.dirname(file)) for file in files]


def _words(words: list[str]) -> str:
    return " ".join(Literal(word).quoted() for word in words)
