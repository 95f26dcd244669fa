await "$control/program-$rank" || fail "The program of rank $rank has not started yet; try again later."
read -r pid shell <"$control/program-$rank"
shell=${shell:-/bin/sh}
# Within a container with process ids of its own the program does not know the one that it has here.
[ ! -s "$control/container-$rank" ] || read -r pid <"$control/container-$rank"
grep -qzx "SLURM_JOB_ID=$SLURM_JOB_ID" "/proc/$pid/environ" 2>/dev/null ||
    fail "The program of rank $rank has ended; there is nothing left to enter."
command -v nsenter >/dev/null || fail "This node lacks nsenter (util-linux), which enters what the program sees."

spaces=()
for space in user mnt pid ipc uts; do
    [ "/proc/$pid/ns/$space" -ef "/proc/self/ns/$space" ] || spaces+=("--${space/mnt/mount}")
done
case "${spaces[*]}" in
--user* | '') ;;
*) fail "What the program sees cannot be entered: its container was started with the node's own privileges." ;;
esac

inside='. "$1"; export TERM=xterm-256color; cd /work; exec "$0"'
exec nsenter --preserve-credentials --target "$pid" "${spaces[@]}" \
    "$shell" -c "$inside" "$shell" "/work/.ucloud/environment-$rank"
