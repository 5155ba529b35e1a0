# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# pytest against the real processes, PostgreSQL, Kafka and schema registry.

part_system() {
	build_asan || return 1
	python_env || return 1
	"$ROOT/deploy/local/kafka.sh" fetch || return 1
	"$ROOT/deploy/local/registry.sh" fetch || return 1
	# All of them: each worker has servers of its own, and more than processors, for the tests wait more than they work.
	(($#)) || set -- -n "${CARILLON_WORKERS:-4}" --dist worksteal --ignore=faults --ignore=hostile
	count_pytest system system "$@"
}
