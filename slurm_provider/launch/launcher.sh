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
printf '%s\n' "${SLURM_CPUS_PER_TASK:-1}" >"$etc/cores.txt"
printf '%s\n' "$index" >"$etc/number_of_nodes.txt"
printf '%s\n' "$UCLOUD_JOB_ID" >"$etc/job_id.txt"
export UCLOUD_RANK="$rank" UCLOUD_TASK_COUNT="$index"

# The host names of connected jobs stand before the node's own.
hosts=/etc/hosts
if [ -s "$UCLOUD_CONTROL/peers" ]; then
    hosts=$UCLOUD_CONTROL/hosts-$rank
    cat "$UCLOUD_CONTROL/peers" /etc/hosts >"$hosts"
fi

# The command is kept out of the arguments of processes, which every user of the node can read.
start='command=$UCLOUD_COMMAND; unset UCLOUD_COMMAND; eval "$command"'
