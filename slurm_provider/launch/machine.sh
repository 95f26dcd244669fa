# The machine's console is stdout-0.log, what goes wrong is in stderr-0.log. In the control folder rank-0/
# tells where the console (a terminal of this node) and the screen (VNC) are. QEMU is spoken to by QMP.
say() { printf '%s\n' "$*" >>stderr-0.log; }
fail() {
    say "$*"
    exit 1
}

control=$PWD/.ucloud
etc=$control/rank-0
saved=$control/machine.saved
umask 077
mkdir -p "$etc"
run=$(mktemp -d "/tmp/machine-$SLURM_JOB_ID-XXXXXXXX") || fail "This node has no room for a folder in /tmp."
reader=
trap '[ -z "$reader" ] || kill "$reader"; rm -rf "$run"' EXIT
early=
trap 'early=yes' USR1 # a pause that is asked for before the machine is there

# What the site's image does not have is in a layer of the job's own, which outlives every start.
if [ ! -e disk.qcow2 ]; then
    qemu-img create -q -f qcow2 -F "$image_format" -b "$image" "$control/disk.new" 2>>stderr-0.log &&
        mv "$control/disk.new" disk.qcow2 || fail "The machine's disk could not be made."
fi

# QEMU's asking and answering; `cat` must not stop when Slurm announces a suspension, nor end with a QEMU that
# is followed by another.
mkfifo "$run/monitor.in" "$run/monitor.out"
exec 3<>"$run/monitor.in"
(
    trap '' TSTP
    exec cat <>"$run/monitor.out" >"$run/answers"
) &
reader=$!
asked=0
tell() { printf '{"execute": "%s"}\n' "$1" >&3; }
ask() { # COMMAND [ARGUMENTS]: waits for the answer and leaves it in $answer; false for an error
    local id=$((asked += 1))
    printf '{"id": %d, "execute": "%s"%s}\n' "$id" "$1" "${2:+, \"arguments\": $2}" >&3
    until answer=$(grep -s -m 1 "\"id\": $id[,}]" "$run/answers"); do
        kill -0 "$machine" 2>/dev/null || return
        sleep 0.1
    done
    [[ $answer != *'"error": '* ]]
}

# QEMU ends at once on SIGTERM, by which Slurm ends jobs: it is kept from it, so that the guest can shut down.
unhurried=()
env --block-signal=TERM true 2>/dev/null && unhurried=(env --block-signal=TERM)
tr -dc 'A-Za-z0-9' </dev/urandom | head -c 8 >"$etc/vnc-password.txt"

start() { # MORE ARGUMENTS...
    (
        trap '' TSTP
        exec "${unhurried[@]}" "$qemu" -nodefaults -S "${accelerators[@]}" -cpu "$cpu_model" -smp "$cores" \
            -m "$memory_mib" -display none -vga std \
            -drive file=disk.qcow2,if=virtio,format=qcow2 \
            -netdev user,id=network -device virtio-net-pci,netdev=network \
            -chardev pty,id=console,logfile=stdout-0.log,logappend=on -serial chardev:console \
            -chardev "pipe,id=monitor,path=$run/monitor" -mon chardev=monitor,mode=control \
            -object "secret,id=vnc,file=$run/vnc-password" -vnc :0,to=9999,password-secret=vnc \
            "${boot[@]}" "$@" </dev/null >"$control/machine.log" 2>>stderr-0.log 3>&-
    ) &
    machine=$!
    ask qmp_capabilities
}
cp "$etc/vnc-password.txt" "$run/vnc-password"

if [ -e "$saved" ]; then
    start -incoming "exec:cat .ucloud/machine.saved"
    until ask query-status && [[ $answer == *'"paused"'* ]]; do
        kill -0 "$machine" 2>/dev/null || break
        sleep 0.2
    done
    # From here on the machine and its saved memory go different ways.
    rm -f "$saved"
    if ! kill -0 "$machine" 2>/dev/null; then
        say "The machine's memory could not be loaded; it starts from its disk."
        start
    fi
else
    start
fi
ask query-chardev && [[ $answer =~ '"pty:'([^\"]*) ]] && echo "${BASH_REMATCH[1]}" >"$etc/console.txt"
ask query-vnc && [[ $answer =~ '"service": "'([0-9]+) ]] && echo "${BASH_REMATCH[1]}" >"$etc/vnc-port.txt"

# Told by the provider (SIGUSR1) to give the node back: memory is written down, and the job waits, held.
save() {
    trap : USR1
    rm -f "$run/written"
    if ask stop && ask migrate "$(printf '{"uri": "exec:%s"}' "$write; echo \$? >$run/written")" && written; then
        mv "$control/machine.saving" "$saved"
        tell quit
        wait "$machine"
        until scontrol requeuehold "$SLURM_JOB_ID" 2>>stderr-0.log; do sleep 5; done
        sleep 600
    else
        say "The machine could not be saved; it goes on."
        rm -f "$control/machine.saving"
        tell cont
        trap save USR1
    fi
}
write='cat >.ucloud/machine.saving && sync .ucloud/machine.saving'
written() { # waits until all of the memory is on the disk; false when it is not
    until [[ $answer == *'"completed"'* && -s $run/written ]]; do
        [[ $answer != *'"failed"'* ]] || return
        sleep 0.2
        ask query-migrate || return
    done
    [ "$(cat "$run/written")" = 0 ]
}
shut_down() {
    tell cont
    tell system_powerdown
}
trap save USR1
trap shut_down TERM
# Slurm sends SIGTSTP two seconds before it stops all processes, and SIGCONT after it.
trap 'tell stop' TSTP
trap 'tell cont' CONT
tell cont
[ -z "$early" ] || save
while kill -0 "$machine" 2>/dev/null; do
    wait "$machine"
done
wait "$machine"
