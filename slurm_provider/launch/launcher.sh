# The launcher starts one replica: this part writes the files that /etc/ucloud shows it; what stands below
# runs $UCLOUD_COMMAND.
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
rm -f "$UCLOUD_CONTROL/environment-$rank" "$UCLOUD_CONTROL/program-$rank" "$UCLOUD_CONTROL/container-$rank"

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

# The host names of connected jobs stand before the node's own.
hosts=/etc/hosts
if [ -s "$UCLOUD_CONTROL/peers" ]; then
    hosts=$UCLOUD_CONTROL/hosts-$rank
    cat "$UCLOUD_CONTROL/peers" /etc/hosts >"$hosts"
fi

# Slurm signals all processes of a job. Bubblewrap, which only holds the program, would end at once and take
# it along: it is made deaf to them, and the program hears them again.
deaf=
hearing=
if env --ignore-signal=TERM true 2>/dev/null; then
    deaf='env --ignore-signal=HUP,INT,TERM,USR1,USR2,XCPU'
    hearing='env --default-signal=HUP,INT,TERM,USR1,USR2,XCPU'
fi

# The command is kept out of the arguments of processes, which every user of the node can read. A terminal
# that is opened later gets the environment, and finds the process whose view it enters.
start='command=$UCLOUD_COMMAND; unset UCLOUD_COMMAND; left=$UCLOUD_CONTROL; rank=$UCLOUD_RANK
export -p >"$left/environment-$rank"; echo "$$ ${BASH_VERSION:+$BASH}" >"$left/program-$rank"
unset left rank; eval "$command"'
