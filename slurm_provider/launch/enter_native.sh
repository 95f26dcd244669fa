# A script that a template has become runs on the first node only.
await "$control/environment-0"
environment=$control/environment-$rank
[ -s "$environment" ] || environment=$control/environment-0
[ ! -s "$environment" ] || . "$environment"
export TERM=xterm-256color UCLOUD_RANK="$rank" UCLOUD_DIR="$control/rank-$rank"
cd "$control/.." || fail "The job's folder is not there any more."
exec bash
