#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A private PostgreSQL cluster on the loopback:
#
#   postgres.sh start|stop|kill DIR PORT     start makes the cluster if DIR is empty
#   postgres.sh bindir                       where the server's programs are
#
# The superuser is postgres, its password $POSTGRES_PASSWORD (needed by start). $POSTGRES_CONF: lines to
# add to postgresql.conf. $POSTGRES_ENV: lines NAME=VALUE, environment of the server alone. The server refuses to run as root, so root runs it as the user postgres; if that
# user can't reach DIR, the data goes to /var/tmp and DIR is a link to it.

set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bindir() {
	local found
	found=$(printf '%s\n' /usr/lib/postgresql/*/bin/pg_ctl | sort -V | tail -n 1)
	[[ -x $found ]] || found=$(command -v pg_ctl) || die "PostgreSQL's server programs are not installed"
	dirname "$found"
}

as_owner() {
	if [[ $(id -u) == 0 ]]; then
		(cd / && runuser -u postgres -- "$@")
	else
		"$@"
	fi
}

prepare_dir() {
	local elsewhere
	mkdir -p "$dir"
	[[ $(id -u) == 0 ]] || return 0
	if ! as_owner test -x "$dir"; then
		elsewhere=/var/tmp/carillon-pg-$(echo "$dir" | sha256sum | cut -c1-12)
		mkdir -p "$elsewhere"
		[[ -L $dir ]] || { rmdir "$dir" && ln -s "$elsewhere" "$dir"; }
	fi
	chown postgres: "$dir/"
	chmod 700 "$dir/"
}

init() {
	local password_file
	[[ -n ${POSTGRES_PASSWORD:-} ]] || die "POSTGRES_PASSWORD is not set"
	password_file=$(mktemp)
	printf '%s\n' "$POSTGRES_PASSWORD" >"$password_file"
	[[ $(id -u) != 0 ]] || chown postgres: "$password_file"
	as_owner "$bin/initdb" -D "$data" -U postgres --pwfile="$password_file" \
		--auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
	rm -f "$password_file"
	as_owner tee -a "$data/postgresql.conf" >/dev/null <<-EOF
		listen_addresses = '127.0.0.1'
		unix_socket_directories = ''
		max_connections = 200
		shared_buffers = 256MB
		max_wal_size = 2GB
		timezone = 'UTC'
		log_timezone = 'UTC'
		log_line_prefix = '%m [%p] %q%a %u@%d '
		log_autovacuum_min_duration = -1
		${POSTGRES_CONF:-}
	EOF
}

start() {
	prepare_dir
	dir=$(readlink -f "$dir")
	data=$dir/data
	if [[ ! -f $data/PG_VERSION ]]; then
		rm -rf "$data"
		init
	fi
	if as_owner "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1; then
		return 0
	fi
	local environment=()
	[[ -z ${POSTGRES_ENV:-} ]] || mapfile -t environment <<<"$POSTGRES_ENV"
	port_free "$port" || die "port $port is taken by another program"
	if ! as_owner env "${environment[@]}" "$bin/pg_ctl" -D "$data" -l "$dir/postgres.log" -o "-p $port" -t 60 -w start \
		>/dev/null; then
		tail -n 20 "$dir/postgres.log" >&2
		return 1
	fi
}

stop() { # MODE
	[[ -f $data/postmaster.pid ]] || return 0
	as_owner "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1 || return 0
	as_owner "$bin/pg_ctl" -D "$data" -m "$1" -t 60 -w stop >/dev/null
}

command=${1:-}
if [[ $command == bindir ]]; then
	bindir
	exit
fi
(($# == 3)) || die "usage: postgres.sh start|stop|kill DIR PORT | bindir"
dir=$(readlink -m "$2") port=$3
data=$dir/data
bin=$(bindir)
case $command in
start) start ;;
stop) stop fast ;;
kill) stop immediate ;;
*) die "usage: postgres.sh start|stop|kill DIR PORT | bindir" ;;
esac
