# SPDX-License-Identifier: GPL-2.0-or-later
# The three build folders of the test commands, all inside the tree and all ignored by git:
#	build		release, gcc: what demo, system tests and benchmarks run
#	build-asan	gcc, ASan + UBSan, warnings are errors
#	build-fuzz	clang, ASan + UBSan, warnings are errors, with the libFuzzer targets

# meson_build FOLDER LOG TARGETS [meson setup options...]: configures if new, builds TARGETS (words; all if
# empty); 0 when up to date.
meson_build() {
	local dir=$NX_TOP/$1 log=$2 targets=$3
	shift 3
	mkdir -p "$(dirname "$log")"
	if ! meson introspect --buildoptions "$dir" >/dev/null 2>&1; then
		rm -rf "$dir"/meson-* "$dir"/build.ninja
		meson setup "$dir" "$NX_TOP" "$@" >"$log" 2>&1 || return
	fi
	ninja -C "$dir" $targets >>"$log" 2>&1
}

build_release() {
	meson_build build "$NX_LOGS/build-release.log" "${1:-}" -Dbuildtype=release -Ddebug=true
}

# Only what the demo and the benchmark run.
build_programs() {
	build_release 'nexusd/nexusd nexusctl/nexusctl nexus-hsd/nexus-hsd nexusd/dataplane/nexus-dp'
}

build_asan() {
	meson_build build-asan "$NX_LOGS/build-asan.log" '' -Dwerror=true -Db_sanitize=address,undefined
}

build_fuzz() {
	CC=clang meson_build build-fuzz "$NX_LOGS/build-fuzz.log" "${1:-}" -Dwerror=true \
		-Db_sanitize=address,undefined -Db_lundef=false -Dfuzzers=true
}
