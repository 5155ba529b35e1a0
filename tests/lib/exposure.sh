# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What an intruder would find: systemd's units and the programs of a release. To be sourced by lint.sh.

# systemd-analyze security's sum of what is left open, in tenths: 0 is all shut, 100 is all open.
UNIT_EXPOSURE_MAX=15

# Both look at a copy that names the instances and a program that is there.
units_check() {
	local dir unit instance bad=0
	dir=$(mktemp -d)
	for unit in deploy/systemd/*@.service; do
		for instance in producer consumer webhook; do
			sed "s|^\(Exec[A-Za-z]*\)=/usr/bin/carillon-%i|\1=/bin/true|; s|^Documentation=.*||" "$unit" \
				>"$dir/$(basename "${unit/@./@$instance.}")"
		done
	done
	for unit in "$dir"/*.service; do
		systemd-analyze verify --man=no "$unit" || bad=1
		systemd-analyze security --offline=true --no-pager --threshold="$UNIT_EXPOSURE_MAX" "$unit" || bad=1
	done
	rm -rf "$dir"
	return "$bad"
}

# has WHAT PATTERN TEXT, has_not WHAT PATTERN TEXT: says it where it is not so.
has() {
	grep -qE "$2" <<<"$3" || { echo "$program: $1" && return 1; }
}

has_not() {
	! grep -qE "$2" <<<"$3" || { echo "$program: $1" && return 1; }
}

binaries_check() {
	local program bad=0 header segments dynamic symbols guard object
	configure_and_build "$BUILD/release" all -DCMAKE_BUILD_TYPE=Release -DCARILLON_TESTS=OFF || return 1
	case $(uname -m) in
	x86_64) guard='IBT.*SHSTK' ;;
	aarch64) guard='BTI.*PAC' ;;
	*) guard='' ;;
	esac
	for program in "$BUILD"/release/carillon-{producer,consumer,webhook}; do
		header=$(readelf -hW "$program") segments=$(readelf -lW "$program") dynamic=$(readelf -dW "$program")
		symbols=$(readelf --dyn-syms -W "$program")
		has "can't be loaded anywhere (PIE)" 'Type: +DYN' "$header" || bad=1
		has "is no PIE" 'FLAGS_1.*PIE' "$dynamic" || bad=1
		has "has no read-only relocations" 'GNU_RELRO' "$segments" || bad=1
		has "binds late" 'FLAGS.*NOW' "$dynamic" || bad=1
		has "has a stack that can be run" 'GNU_STACK.* RW +0x' "$segments" || bad=1
		has_not "has memory that can be written and run" 'LOAD.* RWE ' "$segments" || bad=1
		has_not "looks for libraries in places of its own" 'R(UN)?PATH' "$dynamic" || bad=1
		has "has no guarded stack" '__stack_chk_fail' "$symbols" || bad=1
		has "has no fortified calls" '__[a-z]+_chk(@| |$)' "$symbols" || bad=1
		has_not "prints unchecked" ' (sprintf|vsprintf|strcpy|strcat|gets)(@| |$)' "$symbols" || bad=1
		# Neither the fail points nor the tests' clock.
		! grep -qaE 'CARILLON_(FAIL_POINT|CLOCK_OFFSET)' "$program" || { echo "$program: has the tests' fail points" && bad=1; }
	done
	# Where jumps may land (CET, BTI). Debian's start-up code does not say, so that no program can bear the mark; all of ours does.
	while [[ $guard ]] && IFS= read -r object; do
		readelf -nW "$object" | grep -qE "$guard" || { echo "$object: jumps anywhere" && bad=1; }
	done < <(find "$BUILD/release/CMakeFiles" -name '*.c.o')
	return "$bad"
}
