#!/bin/sh
# Starts one replica: writes the files that /etc/ucloud shows it, then runs $UCLOUD_COMMAND.
#   $1  container: in a root rebuilt around /etc/ucloud and /work; native: as the node is, files under $UCLOUD_DIR
set -eu

rank=$SLURM_PROCID
etc=$UCLOUD_CONTROL/rank-$rank
mkdir -p "$etc"
index=0
while read -r address; do
    printf '%s\n' "$address" >"$etc/node-$index.txt"
    index=$((index + 1))
done <"$UCLOUD_CONTROL/nodes"
printf '%s\n' "$rank" >"$etc/rank.txt"
printf '%s\n' "$UCLOUD_CORES" >"$etc/cores.txt"
printf '%s\n' "$index" >"$etc/number_of_nodes.txt"
printf '%s\n' "$UCLOUD_JOB_ID" >"$etc/job_id.txt"
export UCLOUD_RANK="$rank" UCLOUD_TASK_COUNT="$index"

free_port() {
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v seed="$SLURM_JOB_ID$rank" '
        { split($2, address, ":"); used[address[2]] }
        END {
            srand(seed)
            do port = 10000 + int(rand() * 20000); while (sprintf("%04X", port) in used)
            print port
        }'
}

# A web or VNC application listens on its own port, or where that is left open on a free one of this node.
if [ -n "${UCLOUD_PORT+set}" ]; then
    [ -n "$UCLOUD_PORT" ] || UCLOUD_PORT=$(free_port)
    printf '%s\n' "$UCLOUD_PORT" >"$etc/allocated-port.txt"
    export UCLOUD_PORT UCLOUD_WEB_PORT="$UCLOUD_PORT" UCLOUD_VNC_PORT="$UCLOUD_PORT"
fi

if [ "$1" = native ]; then
    export UCLOUD_DIR="$etc"
    exec bash -c 'command=$UCLOUD_COMMAND; unset UCLOUD_COMMAND; eval "$command"'
fi

if ! command -v bwrap >/dev/null; then
    echo "This node lacks bubblewrap (bwrap), which is needed to show the application /etc/ucloud and /work." >&2
    exit 127
fi

# A mount point can't be made in a folder that the user can't write, so / and /etc are made anew
# and each of their entries is bound or, where it is a link, linked again.
set -- --die-with-parent --dev-bind /dev /dev
for entry in /* /.[!.]* /etc/* /etc/.[!.]*; do
    case $entry in
    /dev | /etc | /work | /etc/ucloud) continue ;;
    esac
    if [ -L "$entry" ]; then
        set -- "$@" --symlink "$(readlink "$entry")" "$entry"
    elif [ -e "$entry" ]; then
        set -- "$@" --bind-try "$entry" "$entry"
    fi
done
exec bwrap "$@" --ro-bind "$etc" /etc/ucloud --bind "$PWD" /work --chdir /work \
    bash -c 'command=$UCLOUD_COMMAND; unset UCLOUD_COMMAND; eval "$command"'
