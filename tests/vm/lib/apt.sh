# SPDX-License-Identifier: GPL-2.0-or-later
# Packages of any Debian suite, from the mirror this machine uses. The machine's own apt, its lists and
# its sources are not touched.
#
# The suites of a SOURCE (bookworm, trixie, trixie-backports) include security updates where the
# machine has a security mirror. Lists are fetched once; apt_refresh fetches them again.

apt_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# mirror PATTERN: the address this machine gets suites of that name from.
mirror() {
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v suite="^(bookworm|trixie)$1\$" '$1 ~ suite && $2 == "main" { print $3; exit }'
}

# A snapshot's or a mirror's Release file may be past its date: signed it is all the same.
apt_sources() {
	local main security suite suites=()
	main=$(mirror '') security=$(mirror -security)
	[ -n "$main" ] || die "lab: no apt source for Debian (bookworm or trixie, main) is configured here."
	case $1 in
	*-backports) suites=("${1%-backports}" "$1") ;;
	*) suites=("$1") ;;
	esac
	for suite in "${suites[@]}"; do
		echo "deb [signed-by=$apt_keyring check-valid-until=no] $main $suite main"
	done
	[ -z "$security" ] ||
		echo "deb [signed-by=$apt_keyring check-valid-until=no] $security ${1%-backports}-security main"
}

# apt_of SOURCE PROGRAM ARGUMENTS...
apt_of() {
	local dir=$lab_cache/apt/$1 program=$2
	shift 2
	"$program" -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State="$dir/state" -o Dir::State::Status="$dir/state/status" \
		-o Dir::Cache="$dir/cache" -o Debug::NoLocking=true -o APT::Sandbox::User=root "$@"
}

fill_apt() {
	mkdir -p "$1/state/lists/partial" "$1/cache/archives/partial" &&
		touch "$1/state/status" &&
		apt_sources "$2" >"$1/sources.list" &&
		apt_of "$2.new" apt-get -qqy -o APT::Update::Error-Mode=any update
}

# apt_lists SOURCE: makes sure that its lists are there.
apt_lists() {
	cache_entry apt "$1" fill_apt "$1" || { say "the package lists of $1 could not be fetched"; return 77; }
}

apt_refresh() {
	apt_lists "$1" && apt_of "$1" apt-get -qqy -o APT::Update::Error-Mode=any update ||
		{ say "the package lists of $1 could not be fetched"; return 77; }
}

# apt_newest SOURCE REGEX: the package with the highest version in its name.
apt_newest() {
	apt_of "$1" apt-cache dumpavail | awk '$1 == "Package:" { print $2 }' | grep -xE -- "$2" |
		sort -V | tail -n 1
}

apt_has() {
	apt_of "$1" apt-cache show "$2" >/dev/null 2>&1
}

# apt_version SOURCE PACKAGE
apt_version() {
	apt_of "$1" apt-cache show --no-all-versions "$2" | awk '/^Version:/ { print $2; exit }'
}

# apt_unpack SOURCE DIR PACKAGE...: downloads and unpacks, without what they depend on; 77 without network.
apt_unpack() {
	local source=$1 dir=$2 work package
	shift 2
	work=$(mktemp -d)
	if (cd "$work" && apt_of "$source" apt-get -qq download "$@"); then
		for package in "$work"/*.deb; do
			dpkg -x "$package" "$dir" || { rm -rf "$work"; return 1; }
		done
		rm -rf "$work"
		return 0
	fi
	rm -rf "$work"
	return 77
}
