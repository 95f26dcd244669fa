"""One façade on a job map: two would submit, cancel and charge the same jobs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


class JobMapInUse(Exception):
    """Why this program may not use the job map, in words."""


@contextmanager
def sole_user(jobmap_path: str) -> Iterator[None]:
    """Hold `<jobmap>.lock` (flock(2)) until the end, or of the program if it is killed; raise JobMapInUse."""
    path = f"{jobmap_path}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise JobMapInUse(f"{path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JobMapInUse(f"another slurm-provider serve uses this job map ({jobmap_path})") from error
        yield
    finally:
        os.close(descriptor)
