"""UCloud paths (`/drive/folder/file`) and the cluster's own."""

from collections.abc import Iterable

from slurm_provider.config import Drive
from slurm_provider.launch.errors import LaunchError
from slurm_provider.rpc.v1.submission_pb2 import ConfinedPath


def local_path(ucloud_path: str, drives: Iterable[Drive]) -> ConfinedPath:
    """Return where a UCloud path lies on the cluster, and the drive's folder that it must not leave.

    Raises LaunchError for `..`, control characters and drives that the site has not configured.
    Symbolic links are not seen from here: the sidecar checks the result as the local user.
    """
    if any(character < " " for character in ucloud_path):
        raise LaunchError("a file path holds a line end or another control character")
    drive_id, *names = [name for name in ucloud_path.split("/") if name not in ("", ".")] or [""]
    if ".." in names or drive_id == "..":
        raise LaunchError(f"the path {ucloud_path} leaves its drive: '..' is not allowed")
    drive = next((drive for drive in drives if drive.id == drive_id), None)
    if drive is None:
        raise LaunchError(f"the drive of {ucloud_path} is not available on this provider")
    return ConfinedPath(path="/".join([drive.path, *names]), root=drive.path)


def ucloud_path(folder: str, drives: Iterable[Drive]) -> str | None:
    """Return the UCloud path of a folder of the cluster, or None when it lies in no drive."""
    for drive in drives:
        if folder == drive.path or folder.startswith(f"{drive.path}/"):
            return f"/{drive.id}{folder.removeprefix(drive.path)}"
    return None
