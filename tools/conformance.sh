#!/usr/bin/env bash
# Redis's own test suite against wherry.
#
#   tools/conformance.sh [--tls] [--keep] [--server FILE] [--group NAME | TEST]...
#
#   TEST    as the suite calls it: unit/dump, integration/block-repl ...
#   NAME    dump, repl, tls or types: the tests that bear on it
#   --keep  leave the folder of the run, with a log of each test
#
# The suite is taken from the distribution's source package of redis, by apt from the machine's own
# sources, the first time; it stays in ${XDG_CACHE_HOME:-~/.cache}/wherry. Its helpers redis-cli,
# redis-benchmark and redis-sentinel are the installed ones. The tests are as upstream wrote them.
# Two runs at a time need ports of their own: CONFORMANCE_PORT is the first of 8000.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")/.." && pwd)
version=7.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/wherry/redis-suite-$version
minutes=${CONFORMANCE_MINUTES:-15} # for each test
port=${CONFORMANCE_PORT:-21111}

declare -A groups=(
  [dump]="unit/dump integration/rdb integration/corrupt-dump integration/corrupt-dump-fuzzer
    integration/convert-zipmap-hash-on-load integration/convert-ziplist-hash-on-load
    integration/convert-ziplist-zset-on-load"
  [repl]="integration/replication integration/replication-2 integration/replication-3
    integration/replication-4 integration/replication-buffer integration/replication-psync
    integration/psync2 integration/psync2-reg integration/psync2-pingoff
    integration/psync2-master-restart integration/block-repl integration/failover
    integration/shutdown unit/wait"
  [tls]="unit/tls"
  [types]="unit/type/string unit/type/incr unit/type/list unit/type/list-2 unit/type/list-3
    unit/type/set unit/type/zset unit/type/hash unit/type/stream unit/type/stream-cgroups
    unit/keyspace unit/expire unit/scan unit/multi unit/protocol unit/auth unit/info unit/pubsub
    unit/sort unit/other unit/introspection unit/introspection-2"
)

usage() {
  sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
}

fetch_suite() {
  local work
  work=$(mktemp -d)
  mkdir -p "$work/lists/partial" "$work/source" "$work/package"
  # Source packages come from where the machine's binary ones do.
  if compgen -G '/etc/apt/sources.list.d/*.sources' > /dev/null; then
    sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/*.sources > "$work/apt.sources"
  fi
  if [ -s "$work/apt.sources" ]; then
    list=$work/apt.sources
  else
    list=$work/apt.list
    sed -n 's/^deb\(-src\)\? /deb-src /p' /etc/apt/sources.list > "$list"
  fi
  local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$work/lists" -o APT::Sandbox::User=root)
  if ! { "${apt[@]}" update && cd "$work/package" &&
    "${apt[@]}" source --download-only redis; } > "$work/log" 2>&1; then
    cat "$work/log" >&2
    echo "The source package of redis could not be had." >&2
    rm -rf "$work"
    exit 2
  fi
  tar xzf "$work"/package/redis_*.orig.tar.gz -C "$work/source" --strip-components=1
  mkdir -p "$(dirname "$cache")"
  # Keys and Diffie-Hellman parameters take half a minute to make: once, and each run copies them.
  (cd "$work/source" && bash utils/gen-test-certs.sh > /dev/null 2>&1)
  mv "$work/source" "$cache"
  cd "$here"
  rm -rf "$work"
}

# A folder in which the suite finds our server by the name that it starts.
prepare() {
  run=$(mktemp -d -t wherry-conformance.XXXXXX)
  cp -r "$cache/tests" "$cache/runtest" "$cache/utils" "$cache/redis.conf" "$run"
  [ ! -e "$cache/sentinel.conf" ] || cp "$cache/sentinel.conf" "$run"
  mkdir "$run/src"
  ln -s "$server" "$run/src/redis-server"
  for program in redis-cli redis-benchmark redis-sentinel; do
    ln -s "$(command -v $program)" "$run/src/$program"
  done
  # The suite wants certificates where its own script puts them.
  (cd "$run" && bash utils/gen-test-certs.sh > /dev/null 2>&1)
}

run_test() {
  local test=$1 log began=$SECONDS status=0 ok bad
  log=$run/log.${test//\//-}
  (cd "$run" && timeout -k 5 $((minutes * 60)) ./runtest $tls --durable --clients 1 --no-latency \
    --baseport "$port" --portcount 8000 --single "$test") < /dev/null > "$log" 2>&1 || status=$?
  sed -i 's/\x1b\[[0-9;]*m//g' "$log"
  ok=$(grep -ac '^\[ok\]' "$log" || true)
  bad=$(grep -acE '^\[(err|exception)\]' "$log" || true)
  # What broke off must not pass for a pass.
  if [ $((ok + bad)) -eq 0 ] || { [ $status -ne 0 ] && [ "$bad" -eq 0 ]; }; then
    bad=$((bad + 1))
    if [ $status -ge 124 ]; then status="$status (time is up)"; fi
    echo "[err]: the run itself: exit status $status after $((ok + bad - 1)) tests" >> "$log"
  fi
  printf '%-46s %4d passed %4d failed %5d s\n' "$test" "$ok" "$bad" $((SECONDS - began))
  grep -aE '^\[(err|exception)\]' "$log" | cut -c1-170 | sort | uniq -c | sed 's/^/      /' || true
  all_ok=$((all_ok + ok)) all_bad=$((all_bad + bad))
}

tls='' keep='' server=$here/build/wherry-server tests=()
while [ $# -gt 0 ]; do
  case $1 in
    --tls) tls=--tls ;;
    --keep) keep=1 ;;
    --server) server=$(readlink -f "${2:?}") && shift ;;
    --group)
      [ -n "${groups[${2:?}]:-}" ] || { echo "No group $2; there are: ${!groups[*]}" >&2; exit 2; }
      read -r -d '' -a more <<< "${groups[$2]}" || true
      tests+=("${more[@]}")
      shift
      ;;
    -*) usage ;;
    *) tests+=("$1") ;;
  esac
  shift
done
[ ${#tests[@]} -gt 0 ] || { echo "Say which: GROUP=$(tr ' ' '|' <<< "${!groups[*]}") or FILES='unit/dump ...'" >&2; exit 2; }
[ -x "$server" ] || { echo "no server at $server" >&2; exit 2; }
[ -d "$cache" ] || fetch_suite
prepare
trap '[ -n "$keep" ] && echo "logs are in $run" || rm -rf "$run"' EXIT
all_ok=0 all_bad=0
for test in "${tests[@]}"; do run_test "$test"; done
echo "$all_ok passed, $all_bad failed"
[ $all_bad -eq 0 ]
