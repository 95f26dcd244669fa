# A terminal in this job: `bash enter RANK`, run on the rank's node.
control=$(cd "$(dirname "$0")" && pwd)
rank=$1
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}
await() { # FILE: waits a while until it is written
    local count=0
    until [ -s "$1" ]; do
        [ $((count += 1)) -ne 10 ] || echo "The program is still being started ..."
        [ "$count" -lt 300 ] || return
        sleep 0.1
    done
}
