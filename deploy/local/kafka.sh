#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A one-node Apache Kafka (KRaft) on the loopback:
#
#   kafka.sh start|stop|kill DIR PORT     start formats the log directory if DIR is empty
#   kafka.sh fetch                        only fetches the jars
#
# The controller listens on $KAFKA_CONTROLLER_PORT (PORT + 1). $KAFKA_CONF: lines to add to its properties. $KAFKA_JAVA_OPTIONS: more for
# the virtual machine.

set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/maven.sh
. "$(dirname "${BASH_SOURCE[0]}")/maven.sh"

version=4.3.1
jars=$CACHE/kafka-$version

# slf4j-simple: without a binding the broker would say nothing at all.
fill() { # DIR
	local work=$1/pom
	mkdir "$work"
	cat >"$work/pom.xml" <<-EOF
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		<modelVersion>4.0.0</modelVersion>
		<groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
		<dependencies>
		<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
		<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
		</dependencies>
		</project>
	EOF
	(cd "$work" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1")
	rm -r "$work"
}

java_options=(
	-Xms256m -Xmx256m -XX:+UseSerialGC
	-Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true
	-cp "$jars/*"
)
read -r -a more_options <<<"${KAFKA_JAVA_OPTIONS:-}"
java_options+=("${more_options[@]}")

# A broker that was killed is known to the controller until its session ends: short, for a quick restart.
# Consumer groups may ask for short sessions too. A partition's first message has its indexes made: 20 MB by default, filled with zeros.
write_properties() {
	local controller=${KAFKA_CONTROLLER_PORT:-$((port + 1))}
	cat >"$dir/server.properties" <<-EOF
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$controller
		listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
		advertised.listeners=PLAINTEXT://127.0.0.1:$port
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
		log.dirs=$dir/data
		num.partitions=4
		default.replication.factor=1
		min.insync.replicas=1
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		group.initial.rebalance.delay.ms=0
		group.min.session.timeout.ms=1000
		auto.create.topics.enable=false
		broker.session.timeout.ms=3000
		broker.heartbeat.interval.ms=500
		log.cleaner.dedupe.buffer.size=16777216
		log.index.size.max.bytes=1048576
		${KAFKA_CONF:-}
	EOF
}

ready() {
	kcat -b "127.0.0.1:$port" -L -m 1 2>/dev/null | grep -q '^  broker 1 at'
}

start() {
	[[ -z $(pid_of "$pidfile") ]] || return 0
	fetch_once "$jars" fill
	java=$(java_command)
	mkdir -p "$dir"
	port_free "$port" || die "port $port is taken by another program"
	write_properties
	if [[ ! -f $dir/data/meta.properties ]]; then
		"$java" "${java_options[@]}" kafka.tools.StorageTool format -t J0SerMPxTtWg7MNIvKOo2A \
			-c "$dir/server.properties" >"$dir/format.log" 2>&1 || {
			cat "$dir/format.log" >&2
			return 1
		}
	fi
	daemon "$pidfile" "$dir/kafka.log" "$java" "${java_options[@]}" kafka.Kafka \
		"$dir/server.properties"
	wait_for 180 "$pidfile" Kafka ready || {
		tail -n 20 "$dir/kafka.log" >&2
		return 1
	}
}

command=${1:-}
if [[ $command == fetch ]]; then
	fetch_once "$jars" fill
	exit
fi
(($# == 3)) || die "usage: kafka.sh start|stop|kill DIR PORT | fetch"
dir=${2%/} port=$3
pidfile=$dir/kafka.pid
case $command in
start) start ;;
stop) stop_pid "$pidfile" 20 ;;
kill) kill_pid "$pidfile" ;;
*) die "usage: kafka.sh start|stop|kill DIR PORT | fetch" ;;
esac
