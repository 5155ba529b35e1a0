# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Strikes at fail points while everything works (tests/system/faults), seed by seed.

# faults_pytest SEEDS: one pytest over these.
faults_pytest() {
	local report=$WORK/faults.xml status=0
	rm -f "$report"
	(cd "$ROOT/tests/system" &&
		CARILLON_FAULT_SEEDS=${1:-} CARILLON_FAULT_REPORT=$FAULTS_STRUCK "$PYTHON" -m pytest -p no:cacheprovider \
			--junitxml="$report" -n 2 --dist worksteal faults) || status=$?
	[[ -s $report ]] || die "pytest ended with $status before it ran a test"
	# shellcheck disable=SC2046
	count faults $("$PYTHON" "$ROOT/tests/lib/junit_counts.py" "$report" "$status")
}

part_faults() {
	local seeds='' hours=0 first=0 until
	FAULTS_STRUCK=$WORK/faults-struck.txt
	while (($#)); do
		case $1 in
		--seeds) seeds=$2 && shift 2 ;;
		--hours) hours=$2 && shift 2 ;;
		*) die "faults: [--seeds A-B] [--hours N]" ;;
		esac
	done
	build_asan || return 1
	python_env || return 1
	"$ROOT/deploy/local/kafka.sh" fetch || return 1
	"$ROOT/deploy/local/registry.sh" fetch || return 1
	: >"$FAULTS_STRUCK"
	if ((hours == 0)); then
		faults_pytest "$seeds"
	else
		until=$((SECONDS + hours * 3600))
		while ((SECONDS < until)); do
			faults_pytest "$first-$((first + 41))"
			first=$((first + 42))
		done
	fi
	echo "struck:"
	cut -d' ' -f2- "$FAULTS_STRUCK" | sort | uniq -c
}
