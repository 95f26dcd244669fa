"""The end of the launcher: the surroundings in which a replica's command is run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slurm_provider.launch.mounts import WORK, Mount
from slurm_provider.launch.quoting import word

NATIVE = """\
# As the node is, with the files of /etc/ucloud under $UCLOUD_DIR.
export UCLOUD_DIR="$etc"
exec bash -c "$start"
"""

_REBUILT = """\
# A mount point can't be made in a folder that the user can't write, so the folders above the mounts are
# made anew, and each of their entries is bound or, where it is a link, linked again.
for folder in {folders}; do
    for entry in "$image$folder"/* "$image$folder"/.[!.]*; do
        case ${{entry#"$image"}} in
        {ours}) continue ;;
        esac
        if [ -L "$entry" ]; then
            set -- "$@" --symlink "$(readlink "$entry")" "$root${{entry#"$image"}}"
        elif [ -e "$entry" ]; then
            set -- "$@" {bind} "$entry" "$root${{entry#"$image"}}"
        fi
    done
done
"""

_SOFTWARE = """\
{need_bwrap}
# The node's own root, rebuilt around /etc/ucloud and /work.
image=
root=
set -- --die-with-parent --dev-bind /dev /dev{user}
{rebuilt}export UCLOUD_CONTROL=/work/.ucloud
exec $deaf bwrap "$@" --ro-bind-try "$hosts" /etc/hosts \\
    --ro-bind "$etc" /etc/ucloud --bind "$PWD" /work{mounts} \\
    --chdir {folder} $hearing bash -c "$start"
"""


@dataclass(frozen=True)
class Wishes:
    """What a job wants of its surroundings, whatever makes them."""

    mounts: Sequence[Mount] = ()
    gpus: bool = False
    as_root: bool = False
    """User 0 within; the local user to all outside."""
    in_work: bool = True
    """The command starts in /work, else where the image says."""


def software(wishes: Wishes) -> str:
    """Return the launcher's end for installed software that stands for an image."""
    return _SOFTWARE.format(
        need_bwrap=need("bwrap", "bubblewrap (bwrap), which shows the application /etc/ucloud and /work"),
        user=" --unshare-user --uid 0 --gid 0" if wishes.as_root else "",
        rebuilt=rebuilt(wishes.mounts, ("/dev", "/etc/hosts"), "--bind-try"),
        mounts=bubblewrap_mounts(wishes.mounts),
        folder=WORK if wishes.in_work else "/",
    )


def need(program: str, what: str) -> str:
    """Return lines that end the launcher, in words, on a node without a program."""
    return (
        f"if ! command -v {word(program)} >/dev/null; then\n"
        f"    echo {word(f'This node lacks {what}.')} >&2\n"
        "    exit 127\n"
        "fi"
    )


def rebuilt(mounts: Iterable[Mount], without: Iterable[str], bind: str) -> str:
    """Return lines that add to bwrap's arguments what binds `$image` anew at `$root`.

    Left out are the places of the mounts, /work, /etc/ucloud and `without`.
    """
    places = [mount.target for mount in mounts if not mount.target.startswith(f"{WORK}/")]
    folders = {"", "/etc"}
    for place in places:
        names = place.split("/")
        folders |= {"/".join(names[:length]) for length in range(1, len(names))}
    ours = sorted({*places, *folders, *without, WORK, "/etc/ucloud"} - {""})
    return _REBUILT.format(
        folders=" ".join(word(folder) for folder in sorted(folders)),
        ours=" | ".join(word(place) for place in ours),
        bind=bind,
    )


def bubblewrap_mounts(mounts: Iterable[Mount], root: str = "") -> str:
    """Return bwrap's arguments for the mounts, below the shell's word `root`."""
    return "".join(
        f" \\\n    {'--ro-bind' if mount.read_only else '--bind'} {word(mount.source.path)}"
        f" {root}{word(mount.target)}"
        for mount in mounts
    )
