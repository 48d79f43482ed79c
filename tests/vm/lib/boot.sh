# SPDX-License-Identifier: GPL-2.0-or-later
# Starts a guest on the folder of a run and waits for its end. The kernel's log goes to the file
# $run_log, the script's output to standard output. Everything a guest starts is in a PID namespace of
# its own and ends with it.

# QEMU 7.2 emulates cmpxchg16b in a way that kernel 6.12 does not survive.
qemu_cpu=max,cx16=off

# kvm_probe IMAGE: a /dev/kvm that exists may still run no guest, or only the start of one: in nested virtualization a
# boot sector may run where the kernel's unpacking of itself is an instruction that KVM can not emulate. So a kernel is
# asked, without a root: it comes to its panic, which ends QEMU.
kvm_probe() {
	local log status
	log=$(mktemp)
	timeout -k 1 30 qemu-system-x86_64 -machine q35 -accel kvm -cpu host -smp 2 -m 512 -nodefaults -no-reboot \
		-display none -serial "file:$log" -kernel "$1" -append "console=ttyS0 panic=-1 nokaslr" \
		</dev/null >/dev/null 2>&1 && grep -q 'Kernel panic' "$log"
	status=$?
	rm -f "$log"
	return $status
}

# have_kvm IMAGE: the answer holds until the machine starts anew.
have_kvm() {
	local boot answer
	read -r boot </proc/sys/kernel/random/boot_id
	answer=$lab_cache/kvm-boots-$boot
	if [ ! -s "$answer" ]; then
		rm -f "$lab_cache"/kvm-boots-*
		if [ -w /dev/kvm ] && kvm_probe "$1"; then echo yes; else echo no; fi >"$answer"
	fi
	[ "$(<"$answer")" = yes ]
}

# QEMU before 8.1 reads code to translate it before it has locked its page: what another CPU's thread writes there
# meanwhile is lost. A kernel that patches its own code (static branches) then goes on with what was there
# before, or with the breakpoint it had put there for the time of the change. One thread for all CPUs has no such race.
tcg_threads() {
	local version
	version=$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version \([0-9.]*\).*/\1/p')
	if dpkg --compare-versions "$version" ge 8.1; then echo multi; else echo single; fi
}

# boot_guest DIR SECONDS [icount]: 0, or 124 if the guest was still running at the end of its time.
boot_guest() {
	local dir=$1 seconds=$2 mode=${3:-} command
	run_log=$dir/kernel.log
	: >"$run_log"
	if [ "$kernel_name" = uml ]; then
		uml_command "$dir"
	else
		qemu_command "$dir" "$mode" || return
	fi
	nice -n 10 unshare --mount --pid --fork --kill-child --mount-proc -- \
		timeout -k 5 "$seconds" "${command[@]}" </dev/null
}

# What all kernels are told: say warnings at once, and end when all is lost.
boot_words=(loglevel=5 panic=-1 kunit.enable=1 kunit.autorun=1)

# ttyS1 of a guest is its standard output.
uml_command() {
	command=("$lab_dir/lib/uml-start" "$1" "$kernel_dir/linux" "mem=${test_memory_mib}M" root=none
		rootfstype=hostfs rootflags=/ ro "init=$lab_dir/guest/init" "nexus_lab=$1"
		"nexus_tree=$NX_TOP" con=null ssl=null con0=null,fd:1 ssl1=null,fd:3
		rng_core.default_quality=1000 "${boot_words[@]}" "${test_append[@]}")
}

# Without no_timer_check a kernel takes a machine that is too busy to bring ten ticks in time for a broken one.
qemu_command() {
	local dir=$1 mode=$2 image=$kernel_dir/vmlinuz accel cpu=$qemu_cpu smp=2 memory=$test_memory_mib
	accel=(-accel "tcg,thread=$(tcg_threads)")
	# What KASAN, lockdep and DEBUG_OBJECTS remember of each object is as large as the object.
	[ "$kernel_name" != dbg ] || image=$kernel_dir/bzImage memory=$((2 * memory))
	(cd "$dir" && pack . "$dir.cpio") && cat "$tools_cpio" "$dir.cpio" >"$dir/initrd" && rm -f "$dir.cpio" || return
	if [ "$mode" = icount ]; then
		# Guest time is the number of instructions executed. Copies by "rep movsb" would count each byte.
		accel=(-accel tcg,thread=single -icount shift=0,sleep=off) cpu+=,erms=off,fsrm=off smp=1
	elif have_kvm "$image"; then
		accel=(-accel kvm) cpu=host
	fi
	command=(qemu-system-x86_64 -machine q35 "${accel[@]}" -cpu "$cpu" -smp "$smp" -m "$memory"
		-nodefaults -no-reboot -display none -serial "file:$run_log" -serial file:/dev/stdout
		-object rng-random,id=rng0,filename=/dev/urandom -device virtio-rng-pci,rng=rng0
		-kernel "$image" -initrd "$dir/initrd"
		-append "console=ttyS0 oops=panic nokaslr mitigations=off random.trust_cpu=on no_timer_check ${boot_words[*]} ${test_append[*]}")
}
