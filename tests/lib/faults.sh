# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The scenarios of tests/faults/scenarios.tsv against the real processes, seed by seed, and the soak.

faults_servers() {
	python_env || return 1
	"$ROOT/deploy/local/kafka.sh" fetch || return 1
}

faults_soak() { # HOURS SEED
	# What is shipped, so that its memory can be told.
	configure_and_build "$BUILD/release" all -DCMAKE_BUILD_TYPE=Release -DCARILLON_TESTS=OFF || return 1
	faults_servers || return 1
	CARILLON_BIN_DIR=$BUILD/release CARILLON_SOAK_HOURS=$1 CARILLON_FAULT_SEEDS=${2:-0} \
		count_pytest faults system -s faults/soak.py
}

part_faults() {
	local seeds='' hours='' scenarios='' struck=$WORK/faults.jsonl
	while (($#)); do
		case $1 in
		--scenario) scenarios=$2 && shift 2 ;;
		--seeds) seeds=$2 && shift 2 ;;
		--hours) hours=$2 && shift 2 ;;
		*) die "faults: [--scenario NAME[+NAME],...] [--seeds A-B] [--hours N]" ;;
		esac
	done
	if [[ $hours ]]; then
		faults_soak "$hours" "$seeds"
		return
	fi
	build_asan || return 1
	faults_servers || return 1
	rm -f "$struck"
	CARILLON_FAULT_SCENARIOS=$scenarios CARILLON_FAULT_SEEDS=$seeds CARILLON_FAULT_REPORT=$struck \
		count_pytest faults system -n "${CARILLON_WORKERS:-4}" --maxschedchunk=1 faults
	"$PYTHON" "$ROOT/tests/faults/table.py" "$struck" || count strikes 0 1
}
