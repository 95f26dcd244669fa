"""Container runtimes: for each, how it runs a command in an image. The end of the launcher, as text.

`/bin/sh` of the image runs the command, with bash where the image has one; an image's entry point is
not used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slurm_provider.config import Containers, Runtime
from slurm_provider.launch.images import ContainerImage
from slurm_provider.launch.quoting import word
from slurm_provider.launch.surroundings import Wishes, bubblewrap_mounts, need, rebuilt

_KEPT = (
    *("UCLOUD_*", "SLURM_*", "PMI*", "OMP_NUM_THREADS", "LANG", "LC_*", "TZ", "TERM"),
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_*", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"),
)
"""What of the node's environment a program in a container sees."""

_CLEAN = """\
# What the node, a profile or a module has put into the environment stays outside.
for name in $(awk 'BEGIN {{ for (name in ENVIRON) if (name ~ /^[A-Za-z_][A-Za-z0-9_]*$/) print name }}'); do
    case $name in
    {kept}) ;;
    *) unset "$name" ;;
    esac
done
# Functions that a profile exports are known to an `sh` that is bash.
for name in $(awk 'BEGIN {{ for (name in ENVIRON) if (sub(/^BASH_FUNC_/, "", name)) print name }}'); do
    unset -f "${{name%%[%(]*}}"
done
"""

_FIND_IMAGE = """\
image=
for file in {files}; do
    if [ -e "$file" ]; then
        image=$file
        break
    fi
done
"""

_NO_IMAGE = """\
if [ -z "$image" ]; then
    echo "The container image "{name}" is not available on the node $SLURMD_NODENAME." >&2
    exit 127
fi
"""

# Run by the image's own shell, which gets $start as its first argument.
_BEGIN = (
    "export HOME=/work; unset TMPDIR; "
    'if command -v bash >/dev/null 2>&1; then exec bash -c "$1"; fi; eval "$1"'
)
_SHELL = f"""/bin/sh -c {word(_BEGIN)} start "$start\""""


@dataclass(frozen=True)
class RuntimeFacts:
    """What distinguishes a runtime: its options by default, those for GPUs, and what it needs of the node."""

    options: tuple[str, ...]
    gpu_options: tuple[str, ...]
    kept: tuple[str, ...]
    """Variables that the runtime itself reads."""
    run: Callable[["RuntimeFacts", ContainerImage, Containers, Wishes], str]

    def words(self, containers: Containers, wishes: Wishes) -> list[str]:
        """Return the options that this site and job have, quoted for the shell."""
        options = self.options if containers.options is None else containers.options
        gpu = self.gpu_options if containers.gpu_options is None else containers.gpu_options
        return [word(part) for part in (*options, *(gpu if wishes.gpus else ()))]


def container(image: ContainerImage, containers: Containers, wishes: Wishes) -> str:
    """Return the launcher's end that runs the command in an image."""
    facts = RUNTIMES[containers.runtime]
    lines = [
        need(command(containers)[0], f"{containers.runtime}, which runs container images"),
        _FIND_IMAGE.format(files=" ".join(file_word(file) for file in image.files)).rstrip(),
        facts.run(facts, image, containers, wishes),
    ]
    return "\n".join(lines)


def clean(containers: Containers) -> str:
    """Return the launcher's beginning, which leaves of its environment what the job and the runtime need."""
    kept = (*_KEPT, "PWD", "PATH", "HOME", "USER", "LOGNAME", *RUNTIMES[containers.runtime].kept)
    return _CLEAN.format(kept=" | ".join(kept))


def command(containers: Containers) -> list[str]:
    """Return the runtime's program, and the options that stand before its subcommand."""
    default = "ch-run" if containers.runtime is Runtime.CHARLIECLOUD else str(containers.runtime)
    return containers.command or [default]


def file_word(file: str) -> str:
    """Return a word of the shell for a file that may begin with `~/`."""
    if file.startswith("~/"):
        return f'"$HOME"/{word(file.removeprefix("~/"))}'
    return word(file)


def _apptainer(facts: RuntimeFacts, image: ContainerImage, containers: Containers, wishes: Wishes) -> str:
    words = [
        *_command_words(containers),
        # --no-eval: without it the values of variables would be evaluated by a shell.
        *("exec", "--contain", "--no-home", "--no-eval", "--pwd", "/work" if wishes.in_work else "/"),
        *(["--fakeroot"] if wishes.as_root else []),
        *facts.words(containers, wishes),
    ]
    # Without it /tmp is a small file system in memory.
    temporary = "--mount 'type=bind,source=/tmp,destination=/tmp'"
    mounts = [temporary, *_mount_words("source", "destination", wishes)]
    return _no_image(image) + _exec(words, [*mounts, '"$image"'])


def _podman(facts: RuntimeFacts, image: ContainerImage, containers: Containers, wishes: Wishes) -> str:
    words = [
        *_command_words(containers),
        *("run", "--rm", "--quiet", "--network=host", "--entrypoint="),
        *(["--user=0:0"] if wishes.as_root else ["--userns=keep-id"]),
        *(["--workdir=/work"] if wishes.in_work else []),
        *facts.words(containers, wishes),
        *(f"--env={word(name)}" for name in _KEPT),
    ]
    # A folder is an OCI layout, a file what `podman save` writes.
    source = 'if [ -d "$image" ]; then image=oci:$image; else image=docker-archive:$image; fi\n'
    if image.pull_from:
        pulled = word(f"docker://{image.pull_from}")
        source = f'if [ -z "$image" ]; then\n    image={pulled}\nel{source}'
    else:
        source = _no_image(image) + source
    pid_file = '--pidfile="$PWD/.ucloud/container-$rank"'
    return source + _exec(words, [pid_file, *_mount_words("src", "dst", wishes), '"$image"'])


_CHARLIECLOUD = """\
# ch-run can bind nothing read-only and makes no mount points: bubblewrap lays the image out around the
# mounts, and ch-run enters what it made.
root=$UCLOUD_CONTROL/root
mkdir -p "$root"
: "${{USER:=$(id -un)}}"
export USER
set -- --die-with-parent --dev-bind / / --ro-bind-try "$hosts" /etc/hosts --tmpfs "$root"
{rebuilt}for folder in dev proc sys tmp; do
    set -- "$@" --dir "$root/$folder"
done
for file in hosts resolv.conf passwd group; do
    set -- "$@" --ro-bind-try "/etc/$file" "$root/etc/$file"
done
set -- "$@" --ro-bind "$etc" "$root/etc/ucloud" --bind "$PWD" "$root/work"{mounts}
set -- "$@" $hearing {ch_run}
set -- "$@" --unset-env=PATH --set-env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The variables that the image itself sets.
if [ -f "$image/ch/environment" ]; then
    set -- "$@" --set-env="$image/ch/environment"
fi
export UCLOUD_CONTROL=/work/.ucloud
exec $deaf bwrap "$@" "$root" -- \\
    {shell}
"""


_MADE_BY_CH_RUN = (
    *("/dev", "/proc", "/sys", "/tmp"),  # noqa: S108 - the place in the image, not a file of ours
    *("/etc/hosts", "/etc/resolv.conf", "/etc/passwd", "/etc/group"),
)


def _charliecloud(facts: RuntimeFacts, image: ContainerImage, containers: Containers, wishes: Wishes) -> str:
    ch_run = [
        *_command_words(containers),
        *(["--uid=0", "--gid=0"] if wishes.as_root else []),
        *(["--cd=/work"] if wishes.in_work else []),
        *facts.words(containers, wishes),
    ]
    return (
        need("bwrap", "bubblewrap (bwrap), which mounts files for Charliecloud")
        + "\n"
        + _no_image(image)
        + _CHARLIECLOUD.format(
            rebuilt=rebuilt(wishes.mounts, _MADE_BY_CH_RUN, "--ro-bind-try"),
            mounts=bubblewrap_mounts(wishes.mounts, '"$root"'),
            ch_run=" ".join(ch_run),
            shell=_SHELL,
        )
    )


def _no_image(image: ContainerImage) -> str:
    return _NO_IMAGE.format(name=word(image.name))


def _command_words(containers: Containers) -> list[str]:
    return [word(part) for part in command(containers)]


def _mount_words(source: str, destination: str, wishes: Wishes) -> list[str]:
    """Return `--mount` options, whose value is a record of CSV (RFC 4180): no name can add a field."""
    ours = [('"$etc"', "/etc/ucloud", True), ('"$hosts"', "/etc/hosts", True), ('"$PWD"', "/work", False)]
    words = []
    for path, target, read_only in ours:
        begin, end = f'type=bind,"{source}=', f'","{destination}={target}"{",ro" * read_only}'
        words.append(f"--mount {word(begin)}{path}{word(end)}")
    for mount in wishes.mounts:
        path, target = _csv(mount.source.path), _csv(mount.target)
        record = f'type=bind,"{source}={path}","{destination}={target}"{",ro" * mount.read_only}'
        words.append(f"--mount {word(record)}")
    return words


def _csv(text: str) -> str:
    return text.replace('"', '""')


def _exec(words: list[str], more: list[str]) -> str:
    lines = [" ".join(["exec", *words]), *more, _SHELL]
    return "export UCLOUD_CONTROL=/work/.ucloud\n" + " \\\n    ".join(lines) + "\n"


RUNTIMES: Mapping[Runtime, RuntimeFacts] = {
    Runtime.APPTAINER: RuntimeFacts(
        options=("--writable-tmpfs",),
        gpu_options=("--nv",),
        kept=("APPTAINER_CACHEDIR", "APPTAINER_TMPDIR"),
        run=_apptainer,
    ),
    Runtime.SINGULARITY: RuntimeFacts(
        options=("--writable-tmpfs",),
        gpu_options=("--nv",),
        kept=("SINGULARITY_CACHEDIR", "SINGULARITY_TMPDIR"),
        run=_apptainer,
    ),
    Runtime.PODMAN: RuntimeFacts(
        # In the control groups of the job, so that Slurm counts and ends it.
        options=("--init", "--cgroups=disabled"),
        gpu_options=("--device=nvidia.com/gpu=all",),
        kept=("XDG_*",),
        run=_podman,
    ),
    # Its images see the node's /dev; the driver's libraries are put into them by ch-fromhost.
    Runtime.CHARLIECLOUD: RuntimeFacts(options=(), gpu_options=(), kept=(), run=_charliecloud),
}
"""The runtimes that a site can choose from."""
