# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the module as a user's machine does: DKMS, in a Debian of the kernel's suite, from the source
# that "meson install" leaves in /usr/src. What DKMS installs goes into the guest, and DKMS has to
# remove all of it again.

fill_dkms_root() {
	local source
	source=$(kernel_source "$kernel_name")
	apt_lists "$source" || return
	quietly "dkms-$kernel_version" mmdebstrap --variant=apt --mode=root \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
		--include="linux-headers-$kernel_version,dkms" "${source%-backports}" "$1/root" \
		"$lab_cache/apt/$source/sources.list" || return 77
	rm -rf "$1"/root/var/cache/apt/archives "$1"/root/var/lib/apt/lists
}

# The life of a DKMS package, in the root: the module it makes is left in /out.
dkms_life() {
	cat <<-'END'
		set -eu
		version=$1 kernel=$2 package=nexus-quic-dco/$1
		places=/lib/modules/$kernel/updates/dkms
		step() { echo "== $*"; "$@"; }
		step dkms add "$package"
		step dkms build "$package" -k "$kernel"
		step dkms install "$package" -k "$kernel"
		dkms status "$package" | tee /out/status
		grep -q ": installed" /out/status
		cp "$places"/nexus_quic_dco.ko* /out/
		step dkms remove "$package" --all
		# Nothing stays: no entry, no module.
		[ -z "$(dkms status "$package")" ]
		[ -z "$(find /lib/modules /var/lib/dkms -name 'nexus*')" ]
	END
}

# dkms_run WORK ARGUMENT...: dkms_life in the root of $cache_dir, which stays as it is: writes go to
# memory and are gone with the namespace. WORK/install is what was installed, WORK/out what is kept.
dkms_run() {
	nice -n 10 unshare --mount --fork -- bash -c '
		root=$1 work=$2 layer=$2/layer life=$3
		shift 3
		mount -t tmpfs tmpfs "$layer" && mkdir "$layer/upper" "$layer/work" "$layer/root" &&
			mount -t overlay overlay -o "lowerdir=$root,upperdir=$layer/upper,workdir=$layer/work" "$layer/root" &&
			cp -a "$work/install/usr/src/." "$layer/root/usr/src" && mkdir "$layer/root/out" &&
			mount --bind "$work/out" "$layer/root/out" && mount -t proc proc "$layer/root/proc" &&
			mount --bind /dev "$layer/root/dev" || exit 1
		exec chroot "$layer/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C bash -c "$life" dkms "$@"
		' dkms "$cache_dir/root" "$1" "$(dkms_life)" "${@:2}" </dev/null
}

# dkms_build: sets module_files and module_log, as module_build does, module_place and dkms_version.
dkms_build() {
	local work lock status=0
	! is_debug_kernel "$kernel_name" || { say "DKMS is for Debian's own kernels"; return 1; }
	cache_entry dkms "$kernel_version" fill_dkms_root || return
	work=$lab_cache/module/$(cksum <<<"$NX_TOP" | cut -d' ' -f1)/dkms-$kernel_version
	module_log=$work/build.log
	mkdir -p "$work" && exec {lock}>"$work/lock" && flock "$lock" || return
	rm -rf "$work/install" "$work/out" && mkdir -p "$work/install" "$work/out" "$work/layer" || return
	{
		DESTDIR=$work/install meson install -C "$NX_BUILD" --no-rebuild --tags dkms &&
			dkms_version=$(cd "$work/install/usr/src" && echo nexus-quic-dco-*) &&
			dkms_version=${dkms_version#nexus-quic-dco-} &&
			dkms_run "$work" "$dkms_version" "$kernel_version"
	} >"$module_log" 2>&1 || status=$?
	exec {lock}>&-
	if [ $status != 0 ]; then
		tail -n 40 "$module_log" >&2
		say "DKMS failed with $status; all that was said is in $module_log"
		return 1
	fi
	module_place=updates/dkms
	mapfile -t module_files < <(find "$work/out" -name '*.ko*')
	[ ${#module_files[@]} -gt 0 ] || { say "DKMS has made no module"; return 1; }
}
