# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of deploy/local share: where things are, which ports, steps that say what they do, and
# daemons that are started once and stopped in order. To be sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LOCAL=$(readlink -m "${CARILLON_LOCAL_DIR:-$ROOT/.local}")
CACHE=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/carillon

# ---- Ports: one offset shifts them all ------------------------------------------------------------

OFFSET=${CARILLON_PORT_OFFSET:-0}
if ! [[ $OFFSET =~ ^[0-9]{1,5}$ ]] || ((10#$OFFSET > 10000)); then
	echo "CARILLON_PORT_OFFSET must be a number from 0 to 10000, not '$OFFSET'" >&2
	exit 2
fi
OFFSET=$((10#$OFFSET))
PRODUCER_PORT=$((8080 + OFFSET))
WEBHOOK_PORT=$((8081 + OFFSET))
CONSUMER_PORT=$((8082 + OFFSET))
SIMULATOR_PORT=$((8089 + OFFSET))
POSTGRES_PORT=$((55432 + OFFSET))
KAFKA_PORT=$((19092 + OFFSET))
REGISTRY_PORT=$((19081 + OFFSET))

# ---- Steps ----------------------------------------------------------------------------------------

STEP=0
STEPS=0

seconds_since() { # START, as of $EPOCHREALTIME
	local us=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
	printf '%d.%d s' $((us / 1000000)) $((us / 100000 % 10))
}

# step WHAT FUNCTION [ARG...]: runs it in a subshell with its output in a log of its own; prints what, how
# long, and on failure why and where the log is, and ends the script.
step() {
	local what=$1 log start rc
	shift
	STEP=$((STEP + 1))
	log=$LOCAL/log/$(basename "$0")-$STEP-${what%%[ ,]*}.log
	start=$EPOCHREALTIME
	printf '[%d/%d] %s ... ' "$STEP" "$STEPS" "$what"
	set +e
	(
		set -euo pipefail
		"$@"
	) >"$log" 2>&1 </dev/null
	rc=$?
	set -e
	if ((rc == 0)); then
		seconds_since "$start"
		echo
		return
	fi
	printf 'FAILED after %s\n' "$(seconds_since "$start")"
	{
		echo
		tail -n 15 "$log" | sed 's/^/    /'
		printf '\nStep %d of %d failed: %s (exit code %d).\nIts log: %s\n' \
			"$STEP" "$STEPS" "$what" "$rc" "$log"
	} >&2
	exit 1
}

# ---- Daemons: a pid file each ---------------------------------------------------------------------

die() {
	echo "$*" >&2
	exit 1
}

# The process of a pid file; empty when it does not run. A pid that was given to a stranger since does not
# count: the start time is kept beside it.
pid_of() { # PIDFILE
	local pid started
	[[ -r $1 ]] && read -r pid started <"$1" || return 0
	[[ $pid =~ ^[0-9]+$ && -n $started && $(start_time "$pid") == "$started" ]] && echo "$pid"
	return 0
}

# PID, in clock ticks since boot; empty when there is no such process. A zombie counts as gone once its
# last thread is: until then it holds its sockets.
start_time() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- $stat
	[[ $1 == Z && ${18} -le 1 ]] || echo "${20}"
}

# daemon PIDFILE LOG COMMAND...: starts it detached from this terminal; its output is appended to LOG.
daemon() {
	local pidfile=$1 log=$2 pid
	shift 2
	setsid "$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	echo "$pid $(start_time "$pid")" >"$pidfile"
}

# stop_pid PIDFILE [SECONDS]: SIGTERM, then SIGKILL if it has not ended in time.
stop_pid() {
	local pidfile=$1 patience=${2:-10} pid i
	pid=$(pid_of "$pidfile")
	if [[ -n $pid ]]; then
		kill -TERM "$pid" 2>/dev/null || true
		for ((i = 0; i < patience * 20; i++)); do
			[[ -n $(pid_of "$pidfile") ]] || break
			sleep 0.05
		done
		if [[ -n $(pid_of "$pidfile") ]]; then
			kill -KILL "$pid" 2>/dev/null || true
			sleep 0.1
		fi
	fi
	rm -f "$pidfile"
}

# kill_pid PIDFILE: SIGKILL, and wait until it is gone.
kill_pid() {
	local pidfile=$1 pid
	pid=$(pid_of "$pidfile")
	[[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true
	while [[ -n $(pid_of "$pidfile") ]]; do sleep 0.02; done
	rm -f "$pidfile"
}

# wait_for SECONDS PIDFILE WHAT COMMAND...: until COMMAND succeeds; fails at once if the process ends.
wait_for() {
	local patience=$1 pidfile=$2 what=$3 i
	shift 3
	for ((i = 0; i < patience * 10; i++)); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		if [[ -n $pidfile && -z $(pid_of "$pidfile") ]]; then
			echo "$what ended while it was starting" >&2
			return 1
		fi
		sleep 0.1
	done
	echo "$what is not ready after $patience s" >&2
	return 1
}

http_ok() { # URL
	curl -fsS -m 2 --noproxy '*' -o /dev/null "$1"
}

port_free() { # PORT: nobody answers on the loopback
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
