# SPDX-License-Identifier: GPL-2.0-or-later
# What every tests/system/*.test sources first: all helpers, a private world, tidy ends.
set -u
tap_name=$(basename "$0" .test)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for nx_part in net nexus traffic; do
	. "$NX_TOP/tests/lib/$nx_part.sh"
done
private_world "$@"
. "$NX_TOP/tests/lib/tap.sh"

# Logs of every end go where tests/run finds them; a sanitizer report fails the test whatever else it
# says.
finish() {
	local status=$? end logs=$NX_LOGS/system-$tap_name
	trap '' INT TERM
	if [ -n "${T:-}" ]; then
		nexus_stop_all
		rm -rf "$logs" && mkdir -p "$logs"
		for end in client client2 server; do
			[ -d "$T/$end" ] || continue
			cat "$T/$end/nexusd.out" >>"$T/$end/nexusd.log" 2>/dev/null
			cp "$T/$end/nexusd.log" "$logs/nexusd-$end.log"
			cp "$T/$end/bus.log" "$logs/bus-$end.log" 2>/dev/null
			cp "$T/$end/nexus.conf" "$logs/nexus-$end.conf" 2>/dev/null
		done
		cp "$T"/*.log "$T"/*.json "$T"/*.txt "$logs" 2>/dev/null
		check_not "$tap_name: no sanitizer report" \
			grep -rlE 'Sanitizer|runtime error:' "$logs"
		rm -rf "$T"
	fi
	[ "$status" = 0 ] || [ "$tap_failed" -gt 0 ] || tap_fail "$tap_name: ran to its end"
	rm -f "$tap_output"
	echo "1..$tap_count"
	exit $((tap_failed > 0))
}
trap finish EXIT
trap 'exit 130' INT TERM
