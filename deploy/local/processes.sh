# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Starts and stops the simulator and the three processes. To be sourced after lib.sh and environment.sh.
#
# Beside each pid file is a stamp of the program and its environment: a process that runs as it would be
# started now is left alone, another is restarted.

RUN=$LOCAL/run

# environment_file NAME: reads NAME=VALUE lines, writes $RUN/NAME.env for a shell to source.
environment_file() {
	local line
	(
		umask 077
		while IFS= read -r line; do
			printf '%s=%q\n' "${line%%=*}" "${line#*=}"
		done >"$RUN/$1.env"
	)
}

# run_program NAME URL COMMAND...: running with this command and environment when it returns, and URL answers.
run_program() {
	local name=$1 url=$2 stamp port
	shift 2
	port=${url#http://127.0.0.1:}
	port=${port%%/*}
	stamp=$({
		printf '%s\n' "$@"
		cat "$RUN/$name.env" "$1"
	} | sha256sum)
	if [[ -n $(pid_of "$RUN/$name.pid") && $stamp == "$(cat "$RUN/$name.stamp" 2>/dev/null)" ]] &&
		http_ok "$url"; then
		return 0
	fi
	stop_pid "$RUN/$name.pid" 30
	port_free "$port" || die "port $port is taken by another program; CARILLON_PORT_OFFSET shifts all ports"
	# shellcheck disable=SC2016
	daemon "$RUN/$name.pid" "$LOCAL/log/$name.log" env -i PATH="$PATH" LANG=C.UTF-8 \
		bash -c 'set -a; . "$1"; shift; exec "$@"' - "$RUN/$name.env" "$@"
	wait_for 60 "$RUN/$name.pid" "$name" http_ok "$url" || {
		tail -n 12 "$LOCAL/log/$name.log" >&2
		curl -sS -m 2 --noproxy '*' "$url" >&2 || true
		return 1
	}
	printf '%s\n' "$stamp" >"$RUN/$name.stamp"
}

start_simulator() {
	environment_file simulator </dev/null
	run_program simulator "http://127.0.0.1:$SIMULATOR_PORT/stats" "$LOCAL/build/carillon-simulator" \
		--listen "127.0.0.1:$SIMULATOR_PORT" \
		--webhook-url "http://127.0.0.1:$WEBHOOK_PORT" \
		--omni-token "${OMNI_WEBHOOK_TOKEN:-$(secret OMNI_WEBHOOK_TOKEN)}" \
		--vapi-secret "${VAPI_WEBHOOK_SECRET:-$(secret VAPI_WEBHOOK_SECRET)}" \
		--bland-secret "${BLAND_WEBHOOK_SECRET:-$(secret BLAND_WEBHOOK_SECRET)}" \
		--twilio-token "$(secret TWILIO_AUTH_TOKEN)" \
		--classifier-secret "${CLASSIFIER_WEBHOOK_SECRET:-$(secret CLASSIFIER_WEBHOOK_SECRET)}"
}

start_process() { # PROCESS
	local port=${1^^}_PORT
	process_environment "$1" | environment_file "$1"
	run_program "$1" "http://127.0.0.1:${!port}/readyz" "$LOCAL/build/carillon-$1"
}

# Those that make work first, those that finish it last.
stop_programs() {
	stop_pid "$RUN/producer.pid" 30
	stop_pid "$RUN/consumer.pid" 60
	stop_pid "$RUN/webhook.pid" 30
	stop_pid "$RUN/simulator.pid" 10
}
