# SPDX-License-Identifier: GPL-2.0-or-later
# The kernels of the lab and what is made of each, once, in the cache:
#
#	6.1 6.12 7.2	Debian's own, newest of the series: $kernel_dir/vmlinuz, lib/modules, and
#			root/, a Debian that has the headers and their compiler
#	uml		User-Mode Linux from Debian's linux-source, full of checks: $kernel_dir/linux
#	dbg		x86-64 with the same checks: $kernel_dir/bzImage
#			Both have build/ (for modules) and lib/modules/VERSION (what is built in).
# Any other X.Y of trixie-backports can be asked for like 7.2.

all_kernels=(uml 6.1 6.12 7.2 dbg)
# Where its suite has moved on, the newest it has takes its place.
newest_series=7.2
# The cloud flavour has the same code and fewer drivers, so it starts sooner.
kernel_flavour=cloud-amd64

# kernel_source NAME: the suites it comes from.
kernel_source() {
	case $1 in
	6.1|uml) echo bookworm ;;
	6.12) echo trixie ;;
	*) echo trixie-backports ;;
	esac
}

is_debug_kernel() {
	case $1 in uml|dbg) return 0 ;; *) return 1 ;; esac
}

# kernel_select NAME: sets kernel_name, kernel_dir, kernel_version and kernel_label (what results are
# called by: the series, which may be newer than asked for). Makes what is not there.
kernel_select() {
	local note
	kernel_name=$1
	case $1 in
	uml|dbg) ;;
	[1-9].[0-9]|[1-9].[0-9][0-9]) ;;
	*) die "lab: there is no kernel '$1' (${all_kernels[*]})." ;;
	esac
	# Which version a name means is asked of the mirror once, and again by "lab prepare --update".
	note=$lab_cache/newest-$1
	[ -s "$note" ] || kernel_newest "$1" || return
	read -r kernel_label kernel_package <"$note"
	if is_debug_kernel "$1"; then
		cache_entry kernels "$1-$(debug_key "$1")" fill_debug "$1" "$kernel_package" || return
	else
		cache_entry kernels "$kernel_package" fill_stock "$1" "$kernel_package" || return
	fi
	kernel_dir=$cache_dir
	kernel_version=$(<"$kernel_dir/version")
}

# kernel_newest NAME: writes the note "LABEL PACKAGE-VERSION".
kernel_newest() {
	local name=$1 source found package version
	source=$(kernel_source "$name")
	apt_lists "$source" || return
	if is_debug_kernel "$name"; then
		package=linux-source-$(debug_series "$name" "$source") &&
			version=$(apt_version "$source" "$package") && [ -n "$version" ] &&
			echo "$name ${package}_$version" >"$lab_cache/newest-$name"
		return
	fi
	found=$(apt_newest "$source" "linux-headers-${name/./[.]}[.].*-$kernel_flavour")
	if [ -z "$found" ] && [ "$name" = "$newest_series" ]; then
		found=$(apt_newest "$source" "linux-headers-[1-9][.].*-$kernel_flavour")
		[ -n "$found" ] && say "$source has no Linux $name any more, but ${found#linux-headers-}"
	fi
	[ -n "$found" ] || { say "$source has no kernel $name"; return 1; }
	found=${found#linux-headers-}
	echo "$(cut -d. -f1,2 <<<"$found") $found" >"$lab_cache/newest-$name"
}

# Debian's kernel, its modules, and a root to build for it.
fill_stock() {
	local dir=$1 source package packages=() version=$3
	source=$(kernel_source "$2")
	apt_lists "$source" || return
	# Which packages hold the files changed with 6.19.
	for package in linux-image linux-binary linux-modules linux-base; do
		! apt_has "$source" "$package-$version" || packages+=("$package-$version")
	done
	quietly "download-$version" apt_unpack "$source" "$dir/image" "${packages[@]}" || return
	mkdir -p "$dir/lib"
	mv "$dir"/image/boot/vmlinuz-* "$dir/vmlinuz" 2>/dev/null ||
		mv "$dir"/image/usr/lib/modules/*/vmlinuz "$dir/vmlinuz" || return
	mv "$dir/image/lib/modules" "$dir/lib/modules" 2>/dev/null ||
		mv "$dir/image/usr/lib/modules" "$dir/lib/modules" || return
	rm -rf "$dir/image"
	quietly "root-$version" mmdebstrap --variant=apt --mode=root \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
		--include="linux-headers-$version,make,binutils,perl" "${source%-backports}" "$dir/root" \
		"$lab_cache/apt/$source/sources.list" || return 77
	rm -rf "$dir"/root/var/cache/apt/archives "$dir"/root/var/lib/apt/lists
	echo "$version" >"$dir/version"
}
