# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# Carillon as a contender beside other dispatchers: N follow-ups fall due, each becomes one POST, and its result
# is in the ledger. To be sourced by a harness (tests/bench/run, or one of the same interface) that gives
# PGPORT, PROVIDER_URL, `q` (psql on database perf), `spawn` and the folder run/, and calls setup, load, start, stop.
#
# CARILLON_BIN_DIR has the programs, CARILLON_BENCH_STATE the state of the broker. SOURCE=leads: what falls due are
# leads without a follow-up, which the producer seeds first.

DESC="Carillon: producer -> Kafka -> consumer -> PostgreSQL, ledger and gates"
NOTE="intent committed before the POST; results also published and applied from the topic"

carillon_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
carillon_bin=${CARILLON_BIN_DIR:?the folder of carillon-producer and carillon-consumer}
carillon_state=${CARILLON_BENCH_STATE:?a folder for the state of Kafka}
carillon_kafka_port=${CARILLON_KAFKA_PORT:-25942}
carillon_port=${CARILLON_PORT:-25950}

BROKER=carillon_broker

# All is done when every call is accepted and the recorder too has been through all results. It is asked many times while the
# last results are on their way: the calls are read once there is a result for each.
RECORDED_SQL="with applied as (select coalesce(sum(next), 0) as n from carillon.applied_offsets where topic like '%dispatch.result%')
select case when n < (select count(*) from carillon.live) then 0
	else least(n, (select count(*) from carillon.calls where status = 'calling' and provider_call_id = 'pv_' || job_id || '_1')) end
from applied"

# The broker is running before the work begins and after it, as the database is.
carillon_broker() {
	"$carillon_root/deploy/local/kafka.sh" start "$carillon_state/kafka" "$carillon_kafka_port"
	cut -d' ' -f1 "$carillon_state/kafka/kafka.pid" >run/broker.pids
}

# carillon_command PROCESS USER PORT: sets `command`, to be run or given to spawn.
carillon_command() {
	command=(env -i PATH="$PATH" LANG=C.UTF-8
		DATABASE_URL="postgresql://$2@127.0.0.1:$PGPORT/perf"
		KAFKA_BROKERS="127.0.0.1:$carillon_kafka_port" TOPIC_PREFIX="$carillon_prefix"
		TOPIC_PARTITIONS="${TOPIC_PARTITIONS:-6}" LEAD_WINDOW=00:00-24:00 AUTO_MIGRATE=false
		FOLLOW_UP_ACCOUNT=vapi REDIAL_ACCOUNT=vapi VAPI_BASE_URL="${PROVIDER_URL%/v1/calls}"
		VAPI_API_KEY=bench VAPI_ASSISTANT_ID=bench VAPI_PHONE_NUMBER_ID=bench
		ALLOW_INSECURE_PROVIDERS=true LISTEN="127.0.0.1:$3"
		${CLAIM_BATCH_MAX:+CLAIM_BATCH_MAX="$CLAIM_BATCH_MAX"} ${HTTP_SLOTS:+HTTP_SLOTS="$HTTP_SLOTS"}
		"$carillon_bin/carillon-$1")
}

setup() {
	local command
	carillon_prefix=bench$(date +%s%N).
	carillon_command producer postgres "$carillon_port"
	"${command[@]}" --migrate &&
		q -v source="${SOURCE:-follow_ups}" -f "$carillon_root/tests/bench/carillon.sql"
}

carillon_spawn() { # PROCESS PORT
	local command
	carillon_command "$1" "carillon_$1_login" "$2"
	spawn "${command[@]}"
	carillon_ready "$2"
}

carillon_ready() { # PORT
	local i
	for i in $(seq 600); do
		curl -fs -m 1 --noproxy '*' "http://127.0.0.1:$1/readyz" >/dev/null && return 0
		sleep 0.05
	done
	echo "carillon on port $1 does not get ready" >&2
	return 1
}

# Nothing is claimed before both processes are ready: no work is done ahead of the measurement.
start() {
	carillon_spawn producer "$carillon_port" && carillon_spawn consumer $((carillon_port + 1)) || return
	sleep "${CARILLON_SETTLE_S:-1}"
	q -c "update carillon.lanes set active = true where name = 'follow_ups'"
}

stop() {
	: >run/broker.pids # it stays for the next run
}
