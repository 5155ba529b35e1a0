# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# pytest against the real processes, PostgreSQL, Kafka and schema registry.

part_system() {
	local report=$WORK/system.xml status=0
	build_asan || return 1
	python_env || return 1
	"$ROOT/deploy/local/kafka.sh" fetch || return 1
	"$ROOT/deploy/local/registry.sh" fetch || return 1
	rm -f "$report"
	# All of them: two workers, each with servers of its own, for the tests wait more than they work.
	(($#)) || set -- -n 2 --dist worksteal --ignore=faults
	(cd "$ROOT/tests/system" && "$PYTHON" -m pytest -p no:cacheprovider --junitxml="$report" "$@") || status=$?
	if ((status == 5)); then
		if nothing_there tests/system; then count system 0 1; else count system 0 0; fi
		return
	fi
	[[ -s $report ]] || die "pytest ended with $status before it ran a test"
	# shellcheck disable=SC2046
	count system $("$PYTHON" "$ROOT/tests/lib/junit_counts.py" "$report" "$status")
}
