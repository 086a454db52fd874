#!/usr/bin/env bash
# under_manager COMMAND…: runs it where `systemctl --user` speaks to a systemd user manager. Root gets one in private namespaces, with
# loopback alone; everybody else uses the one of their session. Sourced, after lib.sh, and started again inside the namespaces.

under_manager() {
  if [ "$(id -u)" = 0 ]; then
    export MEMGATE_CGROUP=memgate-check-$$
    trap 'remove_cgroup "$MEMGATE_CGROUP"' EXIT
    unshare --mount --pid --net --fork --kill-child --mount-proc "$repo/scripts/manager.sh" namespaced "$@"
    return
  fi
  systemctl --user show-environment >/dev/null 2>&1 || die "no systemd user manager: run this as root or in a login session"
  "$@"
}

# A cgroup that is the manager's whole world, seen as the root of a tree of its own.
own_cgroup() {
  PYTHONPATH=scripts python3 -c 'from rig.network import loopback_up; loopback_up()'
  enter_cgroup "$MEMGATE_CGROUP"
  exec unshare --cgroup "$repo/scripts/manager.sh" managed "$@"
}

own_manager() {
  umount --lazy /sys/fs/cgroup
  mount -t cgroup2 none /sys/fs/cgroup
  mount -t tmpfs none /run
  export XDG_RUNTIME_DIR=/run/user/0
  mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR"
  chmod 700 "$XDG_RUNTIME_DIR"
  /lib/systemd/systemd --user >/run/manager.log 2>&1 &
  wait_for 10 systemctl --user is-system-running
}

have_systemd() { have systemctl || die "no systemd here: apt-get install systemd"; }

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  source "$(dirname "$0")/lib.sh"
  how=$1
  shift
  case $how in
    namespaced) own_cgroup "$@" ;;
    managed) own_manager && "$@" ;;
  esac
fi
