"""What the batch script does once a job, before and after srun."""

from collections.abc import Iterable, Sequence

from slurm_provider.config import Containers
from slurm_provider.launch.images import ContainerImage
from slurm_provider.launch.mounts import WORK, LinkTable, MountTable
from slurm_provider.launch.peers import Peer, connecting_lines
from slurm_provider.launch.quoting import word
from slurm_provider.launch.runtimes import command, file_word

_FAIL = """\
# What goes wrong before the program starts is told in its log.
fail() {
    echo "$1" | tee -a stderr-0.log >&2
    exit 1
}
"""

_PEERS = """\
# Connected jobs: the addresses of their nodes by rank, under the host names that the user has chosen.
peer() { # HOSTNAME VARIABLE SLURM-JOB USER
    # Without an answer of Slurm nothing is known of the job.
    for pause in 2 4 8 0; do
        nodes=$(squeue --noheader --jobs="$3" --user="$4" --states=RUNNING --format=%N) && break
        sleep "$pause"
    done
    [ -n "$nodes" ] || fail "The job connected as $1 is not found running any more."
    all=
    for node in $(addresses "$nodes"); do
        address=$(getent ahosts "$node" | sed -n '1s/ .*//p')
        [ -n "$address" ] || fail "The node $node of the job connected as $1 has no known address."
        [ -n "$all" ] || echo "$address $1"
        all="$all $address"
    done
    rank=0
    for address in $all; do
        echo "$address $1-$rank"
        rank=$((rank + 1))
    done
    all=${all# }
    export "UCLOUD_PEER_$2=${all%% *}" "UCLOUD_PEER_$2_NODES=$all"
} >>"$UCLOUD_CONTROL/peers"
: >"$UCLOUD_CONTROL/peers"
"""

_MOUNT_POINTS = """\
# Something to mount on, noted so that it can be removed in the end.
: >>"$UCLOUD_CONTROL/mount-points"
mount_point() { # SOURCE NAME
    if [ -e "./$2" ]; then return; fi
    printf '%s\n' "$2" >>"$UCLOUD_CONTROL/mount-points"
    if [ -d "$1" ]; then mkdir "./$2"; else : >"./$2"; fi
}
"""

_LINKS = """\
# Files for the job, as links in its folder, noted so that they can be removed in the end.
: >>"$UCLOUD_CONTROL/mount-points"
link() { # TARGET NAME
    if [ -e "./$2" ]; then return; fi
    printf '%s\n' "$2" >>"$UCLOUD_CONTROL/mount-points"
    ln -sfn "$1" "./$2"
}
"""

_REMOVE_MOUNT_POINTS = """\
# Mount points and links that still are what they were.
while IFS= read -r name; do
    if [ -L "./$name" ]; then
        rm "./$name"
    elif [ -d "./$name" ]; then
        rmdir "./$name" 2>/dev/null
    elif [ ! -s "./$name" ]; then
        rm -f "./$name"
    fi
done <"$UCLOUD_CONTROL/mount-points"
"""

_PULL = """\
# An image that is in none of its places is pulled, and gets its name when it is complete.
image={cached}
for file in {files}; do
    if [ -e "$file" ]; then image=$file; fi
done
if [ ! -e "$image" ]; then
    mkdir -p "$(dirname "$image")"
    {pull} pull --force "$image.$SLURM_JOB_ID" {address} >&2 && mv "$image.$SLURM_JOB_ID" "$image" ||
        fail "The container image "{name}" could not be pulled."
fi
"""


def before_srun(mounts: MountTable | LinkTable, peers: Sequence[Peer], pull: str = "") -> list[str]:
    """Return the parts of the batch script that prepare what all replicas share."""
    parts = [_FAIL] if peers or pull else []
    if pull:
        parts.append(pull)
    if peers:
        parts.append(_PEERS + _lines(connecting_lines(peers)))
    if mounts.points:
        pairs = [(mount.source.path, mount.target.removeprefix(f"{WORK}/")) for mount in mounts.points]
        parts.append(_MOUNT_POINTS + _lines(f"mount_point {_two(*pair)}" for pair in pairs))
    if mounts.mounts and not mounts.in_container:
        parts.append(_LINKS + _lines(f"link {_two(m.source.path, m.target)}" for m in mounts.mounts))
    return parts


def after_srun(mounts: MountTable | LinkTable) -> list[str]:
    """Return the parts of the batch script that clean up."""
    linked = mounts.mounts and not mounts.in_container
    return [_REMOVE_MOUNT_POINTS] if mounts.points or linked else []


def pulling(image: ContainerImage, containers: Containers) -> str:
    """Return the part that pulls an image into the last of its files, for a runtime that keeps files."""
    return _PULL.format(
        cached=file_word(image.files[-1]),
        files=" ".join(file_word(file) for file in image.files),
        pull=" ".join(word(part) for part in command(containers)),
        address=word(f"docker://{image.pull_from}"),
        name=word(image.name),
    )


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _two(first: str, second: str) -> str:
    return f"{word(first)} {word(second)}"
