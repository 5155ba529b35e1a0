# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Simulated histories of dispatcher and reconciler (tests/simulation): seeds, and mutants that they must find.

part_simulation() {
	local seeds=1-500 twin=1-40 trace=()
	CHECKS_PASSED=0 CHECKS_FAILED=0
	while (($#)); do
		case $1 in
		--seeds) seeds=$2 twin='' && shift 2 ;;
		--twin) seeds='' twin=$2 && shift 2 ;;
		--trace) trace=(--trace) && shift ;;
		--mutations) seeds='' twin='' && shift && simulate_mutants ;;
		*) die "simulation: [--seeds A-B] [--twin A-B] [--trace] [--mutations]" ;;
		esac
	done
	if [[ $seeds$twin ]]; then build_asan || return 1; fi
	[[ -z $seeds ]] || simulate "histories $seeds" --seeds "$seeds" "${trace[@]}"
	[[ -z $twin ]] || simulate_twin "$twin" "${trace[@]}"
	count simulation "$CHECKS_PASSED" "$CHECKS_FAILED"
}

# simulate WHAT ARGUMENT...: one run, and what it says.
simulate() {
	local what=$1
	shift
	if "$BUILD/asan/carillon-simulation" "$@"; then
		CHECKS_PASSED=$((CHECKS_PASSED + 1))
		echo "ok   $what"
	else
		CHECKS_FAILED=$((CHECKS_FAILED + 1))
		echo "FAIL $what"
	fi
}

# The simulation's tables beside the real ones: the same statements, the same rows.
simulate_twin() { # SEEDS [--trace]
	throwaway_postgres || return 1
	PGPASSWORD=$PG_PASSWORD psql -X -q -h 127.0.0.1 -p "$PG_PORT" -U postgres -d postgres -c 'create database twin'
	DATABASE_URL=$PG_URL/twin KAFKA_BROKERS=127.0.0.1:1 "$BUILD/asan/carillon-producer" --migrate >"$WORK/twin.log" 2>&1 || return 1
	simulate "beside PostgreSQL $1" --database "$PG_URL/twin" --seeds "$@"
}

# Each patch of tests/faults/mutations that names this part breaks a rule: a history has to show it.
simulate_mutants() {
	local tree=$WORK/mutants/tree mutant=$WORK/mutants/build patch charts
	charts=$("$ROOT/deploy/local/npm.sh" uplot) || return 1
	rm -rf "$tree"
	mkdir -p "$tree"
	(cd "$ROOT" && cp -a CMakeLists.txt LICENSE README.md common consumer producer webhook schemas "$tree")
	mkdir "$tree/tests"
	cp -a "$ROOT/tests/simulation" "$tree/tests"
	cmake -S "$tree" -B "$mutant" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCARILLON_UPLOT_DIR="$charts" >"$WORK/mutants/cmake.log" || return 1
	for patch in "$ROOT"/tests/faults/mutations/*.patch; do
		grep -q '^Found by: tests/run simulation' "$patch" || continue
		check "${patch##*/} is found" simulate_mutant "$tree" "$mutant" "$patch"
	done
}

simulate_mutant() { # TREE BUILD PATCH
	local seeds status=0 log=$WORK/mutants/run.log
	seeds=$(sed -n 's/^Found by: tests\/run simulation --seeds //p' "$3")
	: >"$log"
	patch -d "$1" -p1 -s <"$3" || return 1
	ninja -C "$2" carillon-simulation && "$2/carillon-simulation" --seeds "$seeds" >"$log" || status=$?
	patch -d "$1" -p1 -s -R <"$3"
	cat "$log"
	((status == 1)) && grep -q '^seed [0-9]*, after' "$log"
}
