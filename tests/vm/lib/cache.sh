# SPDX-License-Identifier: GPL-2.0-or-later
# The lab's cache, outside the tree and shared by all checkouts of the machine.
#
# An entry is a folder $lab_cache/KIND/KEY. It is made under a temporary name and renamed when it is
# complete, so an entry that exists can be used. KEY holds all that the content depends on: versions,
# and a hash of the configuration. Whoever makes an entry holds a lock of that name; a second one waits.
# What else is there: apt/ (lists of the lab's own apt), ccache/, module/ (objects of each checkout).

lab_cache=${NEXUS_LAB_CACHE:-/var/cache/nexus-lab}

# cache_entry KIND KEY MAKER ARGUMENTS...: sets cache_dir to the entry. MAKER DIR ARGUMENTS... fills a
# new one; if it fails, there is no entry, and its status is returned: 77 says that something could not
# be fetched.
cache_entry() {
	local kind=$1 key=$2 dir=$lab_cache/$1/$2 lock status=0
	cache_dir=$dir
	[ ! -d "$dir" ] || return 0
	shift 2
	mkdir -p "$lab_cache/$kind" || die "lab: $lab_cache is not writable (set NEXUS_LAB_CACHE)."
	exec {lock}>"$lab_cache/$kind/.$key.lock"
	flock "$lock"
	if [ ! -d "$dir" ]; then
		rm -rf "$dir.new"
		mkdir "$dir.new"
		# The maker may need other entries.
		"$1" "$dir.new" "${@:2}" >&2
		status=$?
		if [ $status = 0 ]; then
			mv "$dir.new" "$dir" || status=1
		else
			rm -rf "$dir.new"
		fi
	fi
	exec {lock}>&-
	cache_dir=$dir
	return $status
}

# hash_of FILE...: of their contents and their order.
hash_of() {
	cat "$@" | sha256sum | cut -c1-12
}

say() {
	printf 'lab: %s\n' "$*" >&2
}

# quietly NAME COMMAND...: its output goes to a log that is shown if the command fails.
quietly() {
	local name=$1 log status started=$SECONDS
	shift
	log=$lab_cache/$name.log
	"$@" >"$log" 2>&1 </dev/null
	status=$?
	if [ $status != 0 ]; then
		tail -n 30 "$log" | sed 's/^/  | /' >&2
		say "$name failed with $status; all it said is in $log"
		return $status
	fi
	say "$name: $((SECONDS - started)) s"
}
