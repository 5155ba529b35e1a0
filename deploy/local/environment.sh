# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The stack's secrets, addresses and each process's environment. To be sourced after lib.sh.

SECRETS=$LOCAL/secrets

# ---- Secrets: made once, kept until the state is wiped --------------------------------------------

make_secrets() {
	local name
	(umask 077 && touch "$SECRETS")
	for name in POSTGRES_PASSWORD PRODUCER_DB_PASSWORD CONSUMER_DB_PASSWORD WEBHOOK_DB_PASSWORD \
		ADMIN_API_KEY CRON_JOB_SECRET OMNI_API_KEY OMNI_WEBHOOK_TOKEN VAPI_API_KEY VAPI_WEBHOOK_SECRET \
		BLAND_API_KEY BLAND_WEBHOOK_SECRET TWILIO_AUTH_TOKEN; do
		make_secret "$name" openssl rand -hex 24
	done
	make_secret SECRET_KEY openssl rand -hex 32
	make_secret VAPI_ASSISTANT_ID cat /proc/sys/kernel/random/uuid
	make_secret VAPI_PHONE_NUMBER_ID cat /proc/sys/kernel/random/uuid
	make_secret BLAND_PATHWAY_ID cat /proc/sys/kernel/random/uuid
	make_secret CLASSIFIER_WEBHOOK_SECRET printf 'whsec_%s' "$(openssl rand -base64 24)"
}

make_secret() { # NAME COMMAND...
	grep -q "^$1=" "$SECRETS" || printf '%s=%s\n' "$1" "$("${@:2}")" >>"$SECRETS"
}

secret() { # NAME
	sed -n "s/^$1=//p" "$SECRETS"
}

# ---- Addresses ------------------------------------------------------------------------------------

database_url() { # USER PASSWORD
	echo "postgresql://$1:$2@127.0.0.1:$POSTGRES_PORT/carillon"
}

with_registry() {
	[[ -e $LOCAL/registry/wanted ]]
}

# psql as the owner of everything; the password stays out of the list of processes.
owner_psql() {
	PGHOST=127.0.0.1 PGPORT=$POSTGRES_PORT PGUSER=postgres PGPASSWORD=$(secret POSTGRES_PASSWORD) \
		PGDATABASE=${PGDATABASE:-carillon} psql -X -q -v ON_ERROR_STOP=1 "$@"
}

# The file to source for psql, curl and the tests.
write_env_file() {
	(
		umask 077
		{
			echo "DATABASE_URL=$(database_url postgres "$(secret POSTGRES_PASSWORD)")"
			local process
			for process in producer consumer webhook; do
				echo "${process^^}_DATABASE_URL=$(process_database_url $process)"
			done
			echo "KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT"
			! with_registry || echo "SCHEMA_REGISTRY_URL=$(registry_url)"
			echo "ADMIN_API_KEY=${ADMIN_API_KEY:-$(secret ADMIN_API_KEY)}"
			echo "CRON_JOB_SECRET=${CRON_JOB_SECRET:-$(secret CRON_JOB_SECRET)}"
			echo "PRODUCER_URL=http://127.0.0.1:$PRODUCER_PORT"
			echo "WEBHOOK_URL=http://127.0.0.1:$WEBHOOK_PORT"
			echo "CONSUMER_URL=http://127.0.0.1:$CONSUMER_PORT"
			echo "SIMULATOR_URL=http://127.0.0.1:$SIMULATOR_PORT"
		} >"$LOCAL/env.new"
	)
	mv "$LOCAL/env.new" "$LOCAL/env"
}

registry_url() {
	echo "http://127.0.0.1:$REGISTRY_PORT/apis/ccompat/v7"
}

process_database_url() { # PROCESS
	database_url "carillon_$1_login" "$(secret "${1^^}_DB_PASSWORD")"
}

# ---- The environment of a process: NAME=VALUE lines -----------------------------------------------

omni_is_real() { [[ -n ${OMNI_API_KEY:-} ]]; }
vapi_is_real() { [[ -n ${VAPI_API_KEY:-} ]]; }
# Only where another one is simulated: where all that was set up is real, nothing insecure is permitted.
bland_is_simulated() { [[ -z ${BLAND_API_KEY:-} ]] && { ! omni_is_real || ! vapi_is_real; }; }
twilio_is_simulated() { [[ -z ${TWILIO_AUTH_TOKEN:-} ]] && { ! omni_is_real || ! vapi_is_real; }; }

# Whether the sample leads, whose numbers nobody has, would be dialed by the simulator.
samples_are_simulated() {
	case ${FOLLOW_UP_ACCOUNT:-omni} in
	omni) ! omni_is_real ;;
	vapi) ! vapi_is_real ;;
	bland) bland_is_simulated ;;
	twilio) twilio_is_simulated ;;
	*) false ;;
	esac
}

# What the programs read from the environment, by their own word.
known_settings() {
	"$LOCAL/build/carillon-$1" --help | grep -oE '\b[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\b|\b(LISTEN|ROLES|SCHEDULE)\b' |
		sort -u
}

# Later lines win: the stack's defaults, then the caller's own settings, then the stack's addresses.
process_environment() { # PROCESS
	local process=$1 port=${1^^}_PORT simulator=http://127.0.0.1:$SIMULATOR_PORT name
	echo "ADMIN_API_KEY=$(secret ADMIN_API_KEY)"
	echo "CRON_JOB_SECRET=$(secret CRON_JOB_SECRET)"
	echo "SECRET_KEY=$(secret SECRET_KEY)"
	echo "PUBLIC_WEBHOOK_URL=http://127.0.0.1:$WEBHOOK_PORT"
	echo "FOLLOW_UP_ACCOUNT=omni"
	echo "REDIAL_ACCOUNT=omni"
	echo "LEAD_WINDOW=00:00-24:00"
	echo "WORKER_NAME=local-$process"
	echo "WEBHOOK_SNAPSHOT=$LOCAL/run/webhook.snapshot"
	echo "TOPIC_PARTITIONS=6"
	if ! omni_is_real; then
		echo "OMNI_BASE_URL=$simulator"
		echo "OMNI_API_KEY=$(secret OMNI_API_KEY)"
		echo "OMNI_AGENT_ID=101"
		echo "OMNI_WEBHOOK_TOKEN=$(secret OMNI_WEBHOOK_TOKEN)"
	fi
	if ! vapi_is_real; then
		echo "VAPI_BASE_URL=$simulator"
		echo "VAPI_API_KEY=$(secret VAPI_API_KEY)"
		echo "VAPI_ASSISTANT_ID=$(secret VAPI_ASSISTANT_ID)"
		echo "VAPI_PHONE_NUMBER_ID=$(secret VAPI_PHONE_NUMBER_ID)"
		echo "VAPI_WEBHOOK_SECRET=$(secret VAPI_WEBHOOK_SECRET)"
	fi
	if bland_is_simulated; then
		echo "BLAND_BASE_URL=$simulator"
		echo "BLAND_API_KEY=$(secret BLAND_API_KEY)"
		echo "BLAND_PATHWAY_ID=$(secret BLAND_PATHWAY_ID)"
		echo "BLAND_WEBHOOK_SECRET=$(secret BLAND_WEBHOOK_SECRET)"
	fi
	if twilio_is_simulated; then
		echo "TWILIO_BASE_URL=$simulator"
		echo "TWILIO_ACCOUNT_SID=AC00000000000000000000000000000001"
		echo "TWILIO_AUTH_TOKEN=$(secret TWILIO_AUTH_TOKEN)"
		echo "TWILIO_NUMBER=+12025550100"
		echo "TWIML_URL_PRECLASSIFY=$simulator/instructions"
	fi
	echo "CLASSIFIER_WEBHOOK_SECRET=$(secret CLASSIFIER_WEBHOOK_SECRET)"
	if ! omni_is_real || ! vapi_is_real; then
		echo "ALLOW_INSECURE_PROVIDERS=true"
	fi
	for name in $(known_settings "$process"); do
		[[ -z ${!name+set} ]] || printf '%s=%s\n' "$name" "${!name}"
	done
	echo "DATABASE_URL=$(process_database_url "$process")"
	echo "KAFKA_BROKERS=127.0.0.1:$KAFKA_PORT"
	! with_registry || echo "SCHEMA_REGISTRY_URL=$(registry_url)"
	echo "LISTEN=127.0.0.1:${!port}"
	echo "AUTO_MIGRATE=false"
}
