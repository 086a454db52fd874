# Sourced by the other scripts: where things are, and one progress line per step.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$repo/.cache
venv=$cache/venv
export PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"
cd "$repo"
# Networks fail for a moment.
export CARGO_NET_RETRY=${CARGO_NET_RETRY:-10}

die() { printf '%s\n' "$*" >&2; exit 1; }

have() { command -v "$1" >/dev/null 2>&1; }

# thrice COMMAND…: for what is fetched; it is tried again after a while.
thrice() {
  "$@" || { sleep 10; "$@"; } || { sleep 30; "$@"; }
}

# step WHAT COMMAND…: runs quietly, says how long it took, shows the output only if it failed.
step() {
  local what=$1 began=$SECONDS log
  shift
  log=$(mktemp)
  printf '%-58s ' "$what …"
  if "$@" >"$log" 2>&1 </dev/null; then
    printf 'ok, %d s\n' $((SECONDS - began))
    rm -f "$log"
  else
    printf 'FAILED after %d s\n' $((SECONDS - began))
    tail -n 60 "$log" >&2
    rm -f "$log"
    return 1
  fi
}

# wait_for SECONDS COMMAND…: until it succeeds.
wait_for() {
  local tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || return 1
    sleep 0.1
  done
}

# enter_cgroup NAME: within mounts of one's own, a group that will be the root of a systemd's tree.
enter_cgroup() {
  umount --lazy /sys/fs/cgroup
  mount -t cgroup2 none /sys/fs/cgroup
  mkdir -p "/sys/fs/cgroup/$1"
  echo $$ >"/sys/fs/cgroup/$1/cgroup.procs"
}

# Those in it may still be ending.
remove_cgroup() { wait_for 5 find /sys/fs/cgroup -depth -path "*/$1*" -type d -exec rmdir {} + || true; }
