"""What a program and all that it has started take of the machine."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Sums over a program and its descendants."""

    memory_bytes: int
    cpu_seconds: float
    descriptors: int
    """Open files and connections."""


def usage(pid: int) -> Usage:
    """Return what a program and its descendants hold of memory, and what they have used of the processor."""
    memory, ticks, descriptors = 0, 0, 0
    for process in _family(pid):
        with suppress(OSError):
            memory += int(Path(f"/proc/{process}/statm").read_text().split()[1])
            words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])
            descriptors += len(list(Path(f"/proc/{process}/fd").iterdir()))
    return Usage(memory * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"), descriptors)


def _family(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found
