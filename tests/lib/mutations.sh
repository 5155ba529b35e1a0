# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Patches that break a rule, each in a copy of the tree: the command that its head names has to fail.

# mutation_field PATCH NAME: what stands after "NAME: " in its head.
mutation_field() {
	sed -n "/^diff/q; s/^$2: //p" "$1"
}

# mutation_tests PATCH TREE: the command that is to find it, there.
mutation_tests() (
	command=$(mutation_field "$1" "Found by")
	cd "$2" || exit 1
	export CARILLON_BUILD_DIR=$WORK/mutants/build
	CARILLON_BUILD_TARGETS=$(mutation_field "$1" Builds)
	export CARILLON_BUILD_TARGETS
	# shellcheck disable=SC2086
	${command:?the head says nothing} >"$WORK/mutation.log" 2>&1
)

# mutation_is_found PATCH TREE: whether its tests pass without it, are run with it, and fail.
mutation_is_found() {
	local log=$WORK/mutation.log passed=0
	mutation_tests "$@" || return 1
	patch -s -p1 -d "$2" <"$1" || die "$1 does not fit (tests/run lint rules)"
	mutation_tests "$@" && passed=1
	patch -s -R -p1 -d "$2" <"$1"
	((!passed)) && grep -qE '^[0-9]+ passed, [1-9][0-9]* failed$' "$log" && ! grep -q 'the build failed' "$log"
}

part_mutations() {
	local patch name tree=$WORK/mutants/tree wanted=" $* "
	CHECKS_PASSED=0 CHECKS_FAILED=0
	rm -rf "$tree"
	mkdir -p "$tree"
	(cd "$ROOT" && git ls-files -coz --exclude-standard | tar --null -T - -cf -) | tar -C "$tree" -xf -
	for patch in "$ROOT"/tests/faults/mutations/*.patch; do
		name=$(basename "$patch" .patch)
		[[ $# == 0 || $wanted == *" $name "* ]] || continue
		# Those have a quicker way: tests/run simulation --mutations.
		[[ $(mutation_field "$patch" "Found by") != tests/run\ simulation* ]] || continue
		if mutation_is_found "$patch" "$tree"; then
			CHECKS_PASSED=$((CHECKS_PASSED + 1))
			echo "ok   $name: $(mutation_field "$patch" Rule); found by $(mutation_field "$patch" "Found by")"
		else
			CHECKS_FAILED=$((CHECKS_FAILED + 1))
			echo "FAIL $name is not found by $(mutation_field "$patch" "Found by")"
			tail -n 20 "$WORK/mutation.log" | sed 's/^/     /'
		fi
	done
	count mutations "$CHECKS_PASSED" "$CHECKS_FAILED"
}
