# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Each libFuzzer target for a bounded time, from its corpus, as many at once as there are processors:
# tests/run fuzz [SECONDS [TARGET...]]

part_fuzz() {
	local seconds=${1:-2} target targets=("${@:2}") source running=0
	configure_and_build "$BUILD/fuzz" fuzzers -DCMAKE_C_COMPILER="$(clang_command)" \
		-DCMAKE_BUILD_TYPE=RelWithDebInfo -DCARILLON_FUZZ=ON || return 1
	if ((${#targets[@]} == 0)); then
		for source in "$ROOT"/tests/fuzz/fuzz_*.c; do
			[[ ! -e $source ]] || targets+=("$(basename "$source" .c)")
		done
	fi
	if ((${#targets[@]} == 0)); then
		if nothing_there tests/fuzz; then count fuzz 0 1; else count fuzz 0 0; fi
		return
	fi
	for target in "${targets[@]}"; do
		rm -f "$WORK/fuzz/$target.done"
		if ((running >= $(nproc))); then wait -n && true; else running=$((running + 1)); fi
		fuzz_target "$target" "$seconds" &
	done
	wait
	CHECKS_PASSED=0 CHECKS_FAILED=0
	for target in "${targets[@]}"; do
		check "$target for $seconds s" fuzz_verdict "$target"
	done
	count fuzz "$CHECKS_PASSED" "$CHECKS_FAILED"
}

# fuzz_target TARGET SECONDS: leaves what it said and, if nothing was found, a mark.
fuzz_target() {
	local target=$1 seconds=$2 fresh=$WORK/fuzz/$1 seeds
	# Inputs found in this run go to the first directory, so the tree's corpus stays as it is.
	mkdir -p "$fresh"
	seeds=$ROOT/tests/fuzz/corpus/$target
	if [[ ! -d $seeds ]]; then
		echo "no corpus: $seeds" >"$fresh.log"
	elif "$BUILD/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
		-print_final_stats=1 -artifact_prefix="$fresh-" "$fresh" "$seeds" >"$fresh.log" 2>&1; then
		touch "$fresh.done"
	fi
}

fuzz_verdict() {
	cat "$WORK/fuzz/$1.log"
	[[ -e $WORK/fuzz/$1.done ]]
}
