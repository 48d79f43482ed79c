# SPDX-License-Identifier: GPL-2.0-or-later
# The debug kernels, built from Debian's linux-source with tests/vm/config/common.config and
# config/uml.config or config/dbg.config. Everything that these do not name is off (allnoconfig), so a
# build is short; a name that the kernel does not take as written is an error unless the file allows it.

# debug_series NAME SOURCE: uml is built from the oldest kernel that is supported, dbg from the newest.
debug_series() {
	local newest
	case $1 in
	uml) echo 6.1 ;;
	dbg)
		newest=$(apt_newest "$2" 'linux-source-7[.]2')
		[ -n "$newest" ] || newest=$(apt_newest "$2" 'linux-source-[0-9]+[.][0-9]+')
		[ -n "$newest" ] && echo "${newest#linux-source-}"
		;;
	esac
}

debug_fragments() {
	echo "$lab_dir/config/common.config" "$lab_dir/config/$1.config"
}

# Counts the ways in which this file has built a kernel from the same source and configuration.
debug_revision=1
# And in which it has changed the source.
source_revision=2

# debug_key NAME: all that the build depends on. kernel_package is the version of the source.
debug_key() {
	echo "${kernel_package#linux-source-}-$(hash_of $(debug_fragments "$1"))-$source_revision-$debug_revision"
}

# The source, with two changes. kmemleak leaves alone what is younger than 5 s, and nobody wants to wait that
# long at the end of each script. Half a second does, because everything has come to rest by then. And User-Mode
# Linux of 6.1 has room for the vector registers of AVX-512 and no more, so on processors with AMX, whose state
# is 11008 bytes, it does not boot (Linux 6.14 asks the machine how large it is).
fill_source() {
	local offsets=$1/arch/x86/um/user-offsets.c
	apt_unpack "$2" "$1/deb" "$3" || return
	tar -C "$1" --strip-components=1 -xf "$1"/deb/usr/src/linux-source-*.tar.xz && rm -rf "$1/deb" &&
		sed -i 's/^#define MSECS_MIN_AGE.*/#define MSECS_MIN_AGE 500/' "$1/mm/kmemleak.c" &&
		grep -q 'MSECS_MIN_AGE 500$' "$1/mm/kmemleak.c" &&
		sed -i 's/DEFINE_LONGS(HOST_FP_SIZE, 2696)/DEFINE_LONGS(HOST_FP_SIZE, 12288)/' "$offsets" &&
		{ [ "$3" != linux-source-6.1 ] || grep -q 'HOST_FP_SIZE, 12288' "$offsets"; }
}

# debug_make NAME SOURCE-DIR BUILD-DIR ARGUMENTS...
debug_make() {
	local name=$1 source=$2 build=$3 arch=() cc=gcc
	shift 3
	[ "$name" != uml ] || arch=(ARCH=um)
	! command -v ccache >/dev/null || cc='ccache gcc'
	CCACHE_DIR=$lab_cache/ccache CCACHE_BASEDIR=$lab_cache CCACHE_NOHASHDIR=1 \
		nice -n 10 make -C "$source" O="$build" "${arch[@]}" CC="$cc" KBUILD_BUILD_TIMESTAMP=@0 "$@"
}

# What the fragments ask for and the configuration does not have. "# may be missing:" lists exceptions.
debug_config_gaps() {
	local config=$1 line optional
	shift
	optional=$(sed -n 's/^# may be missing://p' "$@")
	while IFS= read -r line; do
		case " $optional " in *" ${line%%=*} "*) continue ;; esac
		case $line in
		*=n) ! grep -q "^${line%=n}=" "$config" || echo "$line" ;;
		*) grep -qxF -- "$line" "$config" || echo "$line" ;;
		esac
	done < <(grep -h '^CONFIG_' "$@")
}

# fill_debug DIR NAME PACKAGE_VERSION
fill_debug() {
	local dir=$1 name=$2 package=${3%_*} source build=$1/build fragments version gaps
	fragments=$(debug_fragments "$name")
	source=$(kernel_source "$name")
	apt_lists "$source" || return
	cache_entry source "$3-$source_revision" fill_source "$source" "$package" || return
	source=$cache_dir
	mkdir "$build"
	cat $fragments >"$dir/config"
	quietly "config-$name" debug_make "$name" "$source" "$build" KCONFIG_ALLCONFIG="$dir/config" \
		allnoconfig || return
	gaps=$(debug_config_gaps "$build/.config" $fragments)
	[ -z "$gaps" ] || { say "$3 does not take these settings: $gaps"; return 1; }
	quietly "build-$name" debug_make "$name" "$source" "$build" -j"$(nproc)" all || return
	version=$(<"$build/include/config/kernel.release")
	if [ "$name" = uml ]; then
		mv "$build/linux" "$dir/linux"
	else
		cp "$build/arch/x86/boot/bzImage" "$dir/bzImage"
	fi || return
	mkdir -p "$dir/lib/modules/$version"
	cp "$build"/modules.builtin "$build"/modules.builtin.modinfo "$dir/lib/modules/$version" || return
	touch "$dir/lib/modules/$version/modules.order"
	# Modules need headers, scripts and symbol versions; most of the rest is object files.
	find "$build" \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' -o -name 'vmlinux*' \) \
		-not -path '*/scripts/*' -not -path '*/tools/*' -delete
	echo "$version" >"$dir/version"
}
