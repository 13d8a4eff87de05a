#!/usr/bin/env bash
# Installs what is missing of the packages named: tools/deps.sh PACKAGE...
#
# On Debian and its kin through apt, as root or by sudo; elsewhere it looks for what the packages
# hold and, when something is missing, prints what to install and fails. Says nothing, and takes a
# moment, when all is there.
set -euo pipefail
export LC_ALL=C

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  missing=()
  for header in uv.h openssl/ssl.h hiredis/hiredis.h jemalloc/jemalloc.h lzf.h bsd/unistd.h criterion/criterion.h; do
    echo "#include <$header>" | ${CC:-cc} -E - > /dev/null 2>&1 || missing+=("the header $header")
  done
  for program in clang-format dot redis-server redis-cli redis-benchmark redis-sentinel tclsh ps openssl python3; do
    command -v "$program" > /dev/null || missing+=("the program $program")
  done
  [ ${#missing[@]} -gt 0 ] || exit 0
  {
    echo "This is no Debian system, so nothing is installed for you. Missing here:"
    printf '  %s\n' "${missing[@]}"
    echo "On Debian the packages are called: $*"
  } >&2
  exit 1
fi

# One call for all; a package that dpkg never heard of has no line.
installed=" $(dpkg-query -W -f '${db:Status-Status}:${Package} ' "$@" 2> /dev/null || true)"
missing=()
for p in "$@"; do
  [[ $installed == *" installed:$p "* ]] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null || {
    echo "Missing packages; install them as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  root=(sudo)
fi
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" < /dev/null; }

echo "Installing with apt-get: ${missing[*]}"
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup() {
  [ -z "$made_policy" ] || "${root[@]}" rm -f "$policy"
  rm -f "$log"
}
trap cleanup EXIT
# The Redis packages start a server and a sentinel when installed; we only want the programs. Debian
# asks this file whether a service may start: 101 is no.
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" > /dev/null
  made_policy=1
  "${root[@]}" chmod 755 "$policy"
fi
apt update > "$log" 2>&1 || { cat "$log" >&2; echo "apt-get update failed" >&2; exit 1; }
apt install --no-install-recommends "${missing[@]}" > "$log" 2>&1 || {
  tail -30 "$log" >&2
  echo "apt-get could not install: ${missing[*]}" >&2
  exit 1
}
# Nor at the next boot, where they came by us.
if [ -d /run/systemd/system ]; then
  for s in redis-server redis-sentinel; do
    [[ " ${missing[*]} " != *" $s "* ]] || "${root[@]}" systemctl -q disable "$s" || true
  done
fi
echo "Installed. (No Redis service was started or enabled.)"
