"""How many files and connections a program may have open."""

import resource

WANTED = 65536


def allow_many_descriptors() -> None:
    """Raise this process's own limit as far as the system lets it: a connection each, and often two.

    Not for programs that start users' commands: sbatch hands its limits on to the job.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
