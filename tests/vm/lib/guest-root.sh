# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest has. Under QEMU it is all in an initramfs of three parts, one after the other: tools
# (cached by content, the same for every kernel), modules of the kernel (cached with it), and what
# belongs to the run (the tree, built programs and modules, the script). User-Mode Linux sees the files
# of this machine, copy on write, and gets the third part as a folder.
#
# Paths in every guest: /nexus is the tree, built programs in /nexus/build; /nexus-lab the run.

# Busybox stands in for what is not named here. Its own shell would run its own "tc" and "ip" instead of these.
guest_programs=(bash sh basename cat chmod chown cmp cp cut date dd dirname env expr head id install kill ln ls
	mkdir mktemp mkfifo mv nice od paste printf readlink realpath rm rmdir seq sha256sum sort stat stdbuf
	sync tail tee test timeout touch tr truncate true false uname uniq wc yes
	awk cmp comm diff find grep sed xargs
	dmesg flock mount umount nsenter setpriv setsid taskset unshare
	free pgrep pkill ps sysctl
	depmod insmod lsmod modinfo modprobe rmmod
	bridge ip nstat ss tc ethtool iperf3 nft ping tcpdump wg
	busctl dbus-daemon dbus-send getent jq)

# Modules that are packed, with all they depend on, where the kernel has them.
guest_modules=(veth tun dummy bridge ifb udp_tunnel ip6_udp_tunnel wireguard ovpn tls
	sch_netem sch_fq sch_fq_codel sch_tbf sch_htb sch_ingress cls_u32 act_mirred tcp_bbr
	nf_tables nft_ct nft_reject_inet nft_limit nft_masq nft_nat nft_chain_nat nf_conntrack
	aesni-intel gcm ccm ecb ctr cmac hmac chacha20poly1305 chacha-x86_64 poly1305-x86_64 chacha libchacha
	ghash-clmulni-intel sha256_ssse3 sha512_ssse3 sha256_generic sha512_generic cryptd crypto_simd authenc
	algif_aead algif_hash algif_skcipher overlay virtio_rng virtio_pci inet_diag udp_diag)

# pack DIR FILE: as an archive that can follow another one.
pack() {
	(cd "$1" && find . -mindepth 1 -print0 | sort -z |
		cpio --quiet --null --create --format=newc --owner=+0:+0) >"$2" &&
		truncate -s %4 "$2"
}

# with_libraries ROOT FILE...: copies programs or libraries to the same place below ROOT, and what they
# load. /bin, /lib and so on are links to what is in /usr.
with_libraries() {
	local root=$1 file target
	shift
	for file in "$@"; do
		echo "$file"
		ldd "$file" 2>/dev/null | grep -o '/[^ ]*'
	done | sort -u | while IFS= read -r file; do
		case $file in
		/bin/*|/sbin/*|/lib/*|/lib64/*) target=$root/usr$file ;;
		*) target=$root$file ;;
		esac
		[ ! -e "$target" ] || continue
		mkdir -p "$(dirname "$target")" && cp -L "$file" "$target" || return
	done
}

# with_python ROOT PROGRAM: the library of an interpreter, without what is not for the scripts here.
with_python() {
	local library
	library=$("$2" -Ic 'import sysconfig; print(sysconfig.get_path("stdlib"))') && mkdir -p "$1$library" || return
	(cd "$library" && find . \( -name 'config-*' -o -name test -o -name '*-packages' \) -prune -o -type f -print0 |
		xargs -0 cp --parents -t "$1$library") && with_libraries "$1" "$library"/lib-dynload/*.so
}

# Where the tools are, without resolving links: mawk is called awk.
tool_paths() {
	local name
	for name in "${guest_programs[@]}"; do
		type -P "$name" || { say "this machine has no $name (tests/lib/install-deps vm)"; return 1; }
	done
	ls /lib/x86_64-linux-gnu/libgcc_s.so.1 /lib/x86_64-linux-gnu/libnss_files.so.2 2>/dev/null
	return 0
}

# In a shell of its own, because it goes where nothing is left afterwards.
fill_tools() (
	local root=$1/root dir name
	mkdir -p "$root" && cd "$root" || return
	mkdir -p usr/bin usr/sbin usr/lib usr/lib64 opt/busybox etc dev proc sys tmp run var/tmp root nexus nexus-lab
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$dir"
	done
	ln -s ../run var/run
	mapfile -t files < <(tool_paths) && with_libraries "$root" "${files[@]}" || return
	cp "$(type -P busybox)" opt/busybox/busybox || return
	for name in $(opt/busybox/busybox --list); do
		[ "$name" = busybox ] || ln -s busybox "opt/busybox/$name"
	done
	cat >etc/passwd <<-END
		root:x:0:0:root:/root:/bin/bash
		messagebus:x:100:100::/nonexistent:/usr/sbin/nologin
		nexus:x:101:101::/:/usr/sbin/nologin
		nexus-hsd:x:102:102::/:/usr/sbin/nologin
		nexus-dp:x:103:103::/:/usr/sbin/nologin
		nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
	END
	cut -d: -f1,3 etc/passwd | sed 's/:/:x:/; s/$/:/; s/^nobody/nogroup/' >etc/group
	echo 'passwd: files' >etc/nsswitch.conf
	echo '127.0.0.1 localhost' >etc/hosts
	cp "$lab_dir/guest/init" init && chmod 755 init || return
	pack "$root" "$1/tools.cpio" && rm -rf "$root"
)

# guest_tools: sets tools_cpio.
guest_tools() {
	local files
	mapfile -t files < <(tool_paths)
	cache_entry tools "$({ sha256sum "${files[@]}" "$(type -P busybox)"; cat "$lab_dir/guest/init" \
		"$lab_dir/lib/guest-root.sh"; } | sha256sum | cut -c1-12)" fill_tools || return
	tools_cpio=$cache_dir/tools.cpio
}

# fill_modules DIR: some of the modules of the kernel selected, unpacked.
fill_modules() {
	local name file target=$1/lib/modules/$kernel_version source=$kernel_dir/lib/modules/$kernel_version
	mkdir -p "$target" && cp "$source"/modules.builtin* "$source"/modules.order "$target" || return
	is_debug_kernel "$kernel_name" && return
	[ -e "$source/modules.dep" ] || depmod -b "$kernel_dir" "$kernel_version" || return
	for name in "${guest_modules[@]}"; do
		modprobe -d "$kernel_dir" -S "$kernel_version" --show-depends "$name" 2>/dev/null
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while IFS= read -r file; do
		name=$target/${file#*/lib/modules/*/}
		mkdir -p "$(dirname "$name")"
		case $file in
		*.xz) xz -dc "$file" >"${name%.xz}" ;;
		*.zst) zstd -qdc "$file" >"${name%.zst}" ;;
		*) cp "$file" "$name" ;;
		esac || return
	done
}

# guest_modules_folder: sets modules_dir, below which is lib/modules.
guest_modules_folder() {
	cache_entry modules "$(basename "$kernel_dir")-$(hash_of "$lab_dir/lib/guest-root.sh")" fill_modules ||
		return
	modules_dir=$cache_dir
}

# guest_run_folder DIR: the part that belongs to this run. module_files are modules to be found by
# modprobe, test_needs what else the script wants to have from the tree or this machine.
guest_run_folder() {
	local dir=$1 need file
	mkdir -p "$dir/nexus-lab" "$dir/lib" || return
	cp -a "$modules_dir/lib/modules" "$dir/lib" || return
	if [ ${#module_files[@]} -gt 0 ]; then
		mkdir -p "$dir/lib/modules/$kernel_version/$module_place" &&
			cp "${module_files[@]}" "$dir/lib/modules/$kernel_version/$module_place" || return
	fi
	depmod -b "$dir" "$kernel_version" || return
	[ "$kernel_name" != uml ] || return 0
	# Below usr, because /lib is a link.
	mkdir -p "$dir/usr" "$dir/nexus" && mv "$dir/lib" "$dir/usr/lib" || return
	(cd "$NX_TOP" && find . \( -path './build*' -o -path './.git' -o -path ./tests/fuzz \) -prune -o -type f -print0 |
		xargs -0 cp --parents -t "$dir/nexus") || return
	for need in "${programs[@]}" "${test_needs[@]}"; do
		case $need in
		/*) file=$need ;;
		build/*) file=$NX_BUILD/${need#build/} ;;
		*) file=$(type -P "$need") ;;
		esac
		[ -e "$file" ] || { say "$test_script needs $need, which is not there"; return 1; }
		with_libraries "$dir" "$file" || return
		case $need in
		*/python3) with_python "$dir" "$file" || return ;;
		build/*)
			mkdir -p "$dir/nexus/$(dirname "$need")" && mv "$dir$file" "$dir/nexus/$need" || return
			strip --strip-debug "$dir/nexus/$need" 2>/dev/null
			;;
		esac
	done
}
