# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Each libFuzzer target for a bounded time, from its corpus: tests/run fuzz [SECONDS [TARGET...]]

part_fuzz() {
	local seconds=${1:-10} target targets=("${@:2}") source fresh seeds
	local corpus=$ROOT/tests/fuzz/corpus
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
	CHECKS_PASSED=0 CHECKS_FAILED=0
	for target in "${targets[@]}"; do
		# Inputs found in this run go to the first directory, so the tree's corpus stays as it is.
		fresh=$WORK/fuzz/$target
		mkdir -p "$fresh"
		fuzz_inputs=("$fresh")
		for seeds in "$corpus/$target" "$corpus/${target#fuzz_}"; do
			[[ ! -d $seeds ]] || fuzz_inputs+=("$seeds")
		done
		check "$target for $seconds s" "$BUILD/fuzz/$target" -max_total_time="$seconds" -timeout=10 \
			-rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
			-artifact_prefix="$WORK/fuzz/$target-" "${fuzz_inputs[@]}"
	done
	count fuzz "$CHECKS_PASSED" "$CHECKS_FAILED"
}
