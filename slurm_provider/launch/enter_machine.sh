await "$control/rank-0/console.txt" || fail "The machine has not started yet; try again later."
read -r console <"$control/rank-0/console.txt"
[ -c "$console" ] || fail "The machine's console is not there any more."
exec 9>"$control/console.lock"
flock -n 9 || fail "The machine has one console, and another terminal has it open."
echo "This is the machine's console; what it has printed last:"
tail -c 4096 "$control/../stdout-0.log"
stty raw -echo
cat "$console" &
exec cat >"$console"
