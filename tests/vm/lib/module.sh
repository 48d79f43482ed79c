# SPDX-License-Identifier: GPL-2.0-or-later
# Builds kernel modules of this tree for a kernel of the lab. Kbuild writes beside the sources, so it is
# given a farm of links to them in the cache, one for each checkout and kernel: nothing is written into
# the tree, and a second build compiles only what has changed.

# farm_update: sets farm_dir. It has the path of the tree in it, because a chroot sees both.
farm_update() {
	farm_dir=$lab_cache/module/$(cksum <<<"$NX_TOP" | cut -d' ' -f1)/${kernel_dir##*/}
	mkdir -p "$farm_dir/tree" &&
		find "$farm_dir/tree" -xtype l -delete &&
		(cd "$NX_TOP" && find . \( -path './build*' -o -path './.git' \) -prune -o -type f \
			\( -name '*.[chS]' -o -name Kbuild -o -name Makefile \) -not -name '*.mod.c' -print0 |
			while IFS= read -rd '' file; do
				file=${file#./}
				[ -e "$farm_dir/tree/$file" ] || printf '%s\0' "$file"
			done | farm_link)
}

farm_link() {
	local file
	while IFS= read -rd '' file; do
		mkdir -p "$farm_dir/tree/$(dirname "$file")" &&
			ln -sf "$NX_TOP/$file" "$farm_dir/tree/$file" || return
	done
}

# in_root COMMAND...: in the build root of a stock kernel, with the tree and the farm where they are.
in_root() {
	unshare --mount --fork -- bash -c '
		root=$1 farm=$2 top=$3
		shift 3
		mkdir -p "$root$farm" "$root$top" && mount -t proc proc "$root/proc" &&
			mount --bind "$farm" "$root$farm" && mount --bind -o ro "$top" "$root$top" &&
			exec chroot "$root" "$@"
		' in-root "$kernel_dir/root" "$farm_dir" "$NX_TOP" env -i PATH=/usr/bin:/bin LC_ALL=C "$@"
}

# What only modules have, because it would make a whole debug kernel slow: UBSAN's checks, and coverage for
# the fuzzers. User-Mode Linux, where they run, gets the hook that counts it as one more object of the module,
# and is not told of comparisons, which nobody asks for.
module_checks=(UBSAN_SANITIZE=y KCOV_INSTRUMENT=y)
module_coverage=(CFLAGS_KCOV=-fsanitize-coverage=trace-pc nexus_quic_dco-objs=../tests/fuzz/kmod/module/coverage.o
	{KCOV_INSTRUMENT,KASAN_SANITIZE,UBSAN_SANITIZE}_coverage.o=n)

# module_build FOLDER: all modules of that folder of the tree; sets module_files. What the compiler
# said is in $module_log; a warning is not an error here, but module_warnings shows it.
module_build() {
	local folder=$1 lock kbuild=(make -j"$(nproc)" W=1 "M=PLACE" modules)
	[ -e "$NX_TOP/$folder/Kbuild" ] || [ -e "$NX_TOP/$folder/Makefile" ] ||
		{ say "$folder has no Kbuild: there is no module to build"; return 1; }
	farm_update || return
	module_log=$farm_dir/build-${folder//\//-}.log
	kbuild[3]=M=$farm_dir/tree/$folder
	exec {lock}>"$farm_dir/lock"
	flock "$lock"
	if [ "$kernel_name" = uml ]; then
		nice -n 10 "${kbuild[@]}" -C "$kernel_dir/build" ARCH=um "${module_checks[@]}" \
			"${module_coverage[@]}"
	elif [ "$kernel_name" = dbg ]; then
		# The folder had another name when it was built, which its Makefile remembers.
		nice -n 10 "${kbuild[@]}" -C "$kernel_dir/build" O="$kernel_dir/build" "${module_checks[@]}"
	else
		in_root nice -n 10 "${kbuild[@]}" -C "/usr/src/linux-headers-$kernel_version"
	fi >"$module_log" 2>&1 </dev/null || {
		tail -n 40 "$module_log" >&2
		exec {lock}>&-
		say "$folder does not build for $kernel_version; all that was said is in $module_log"
		return 1
	}
	exec {lock}>&-
	mapfile -t module_files < <(find "$farm_dir/tree/$folder" -name '*.ko')
	[ ${#module_files[@]} -gt 0 ] || { say "$folder makes no module"; return 1; }
}

module_warnings() {
	grep -E ': warning: |WARNING: modpost' "$module_log" | sed "s|$farm_dir/tree/||"
}
