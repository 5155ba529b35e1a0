#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A schema registry (Apicurio) on the loopback; its Confluent-compatible URL ends in /apis/ccompat/v7:
#
#   registry.sh start|stop|kill DIR PORT
#   registry.sh fetch

set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/maven.sh
. "$(dirname "${BASH_SOURCE[0]}")/maven.sh"

version=3.0.9 # the last that runs on Java 17
app=$CACHE/apicurio-registry-$version

fill() { # DIR
	mvn -q -B dependency:copy -DoutputDirectory="$1" \
		-Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all"
	tar -xzf "$1"/*.tar.gz -C "$1"
	rm "$1"/*.tar.gz
}

start() {
	[[ -z $(pid_of "$pidfile") ]] || return 0
	fetch_once "$app" fill
	mkdir -p "$dir"
	port_free "$port" || die "port $port is taken by another program"
	(
		cd "$app"
		daemon "$pidfile" "$dir/registry.log" "$(java_command)" -Xmx256m -XX:+UseSerialGC \
			-XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" \
			-Dapicurio.storage.kind=sql -Dapicurio.storage.sql.kind=h2 \
			-Dapicurio.datasource.url="jdbc:h2:file:$dir/h2" \
			-jar "apicurio-registry-app-$version-runner.jar"
	)
	wait_for 60 "$pidfile" "The schema registry" \
		http_ok "http://127.0.0.1:$port/apis/ccompat/v7/subjects" || {
		tail -n 20 "$dir/registry.log" >&2
		return 1
	}
}

command=${1:-}
if [[ $command == fetch ]]; then
	fetch_once "$app" fill
	exit
fi
(($# == 3)) || die "usage: registry.sh start|stop|kill DIR PORT | fetch"
dir=${2%/} port=$3
pidfile=$dir/registry.pid
case $command in
start) start ;;
stop) stop_pid "$pidfile" 20 ;;
kill) kill_pid "$pidfile" ;;
*) die "usage: registry.sh start|stop|kill DIR PORT | fetch" ;;
esac
