# SPDX-License-Identifier: GPL-2.0-or-later
# Nexus daemons inside the network of net.sh. Every END (client, client2, server) has a folder $T/END
# with its configuration, secrets, bus, binaries and logs, and so its own "machine":
#	$T/END/nexus.conf secrets/ libexec/ bus nexusd.log bus.log
# The tunnel is called "srv" on the server and "vpn" on a client, the device nexus0 on both; the
# server is 10.66.0.1 / fd66::1, the users .2, .3 ... in the order of add_user.

NX_BUS_NAME=org.nexusvpn.Nexus1
NX_BUS_PATH=/org/nexusvpn/Nexus1

declare -A nexusd_pid=() bus_pid=() nexusd_options=()
declare -A user_number=() user_group=() user_short_id=() user_public_key=() user_extra=()
nx_users=()
server_extra='' server_public_key='' NX_WINDOW_S=90

tunnel_of() {
	case $1 in server) echo srv ;; *) echo vpn ;; esac
}

# System users of the children, as the package would make them.
ensure_users() {
	local user
	if ! getent passwd nexus nexus-hsd nexus-dp >/dev/null ||
		[ "$(getent passwd nexus nexus-hsd nexus-dp | wc -l)" != 3 ]; then
		systemd-sysusers "$NX_TOP/units/nexus.sysusers" 2>/dev/null
		for user in nexus nexus-hsd nexus-dp; do
			getent passwd "$user" >/dev/null ||
				useradd --system --no-create-home --home-dir / --user-group \
					--shell /usr/sbin/nologin "$user" || return
		done
	fi
}

# end_init END: the folder of an end. Binaries are copied, because the users of the children may not
# be allowed to look into the checkout.
end_init() {
	local dir=$T/$1
	mkdir -p "$dir/libexec" && mkdir -m 700 "$dir/secrets" &&
		install -d -m 750 -o nexus "$dir/state" &&
		cp "$NX_BUILD/nexusd/nexusd" "$NX_BUILD/nexusctl/nexusctl" "$dir" &&
		cp "$NX_BUILD/nexus-hsd/nexus-hsd" "$NX_BUILD/nexusd/dataplane/nexus-dp" "$dir/libexec"
}

# preload_hsd END LIBRARY [NAME=VALUE]: into its nexus-hsd. Every child starts with a clean environment, so a
# script stands in for the daemon.
preload_hsd() {
	local dir=$T/$1/libexec
	cp "$2" "$dir" && mv "$dir/nexus-hsd" "$dir/nexus-hsd.real" || return
	cat >"$dir/nexus-hsd" <<-END
		#!/bin/sh
		${3:-} LD_PRELOAD=$dir/$(basename "$2") exec $dir/nexus-hsd.real "\$@"
	END
	chmod 755 "$dir/nexus-hsd"
}

# nexus_init ENDS...: temporary folder $T, users, folders, the server's key.
nexus_init() {
	local end
	T=$(mktemp -d "${TMPDIR:-/tmp}/nexus-$NX_RUN-XXXXXX") && chmod 755 "$T" || return
	ensure_users || return
	for end in "$@"; do
		end_init "$end" || return
	done
	new_key server server.key server_public_key
}

# new_key END FILE PUBLIC-VARIABLE: a private key in END's secrets; its public half in the variable.
new_key() {
	local file=$T/$1/secrets/$2
	local -n public_var=$3
	(umask 077 && "$T/$1/nexusctl" genkey >"$file") &&
		public_var=$("$T/$1/nexusctl" pubkey <"$file")
}

# add_user NAME END [GROUP]: a user whose key is in END's secrets.
add_user() {
	local key
	new_key "$2" "$1.key" key || return
	user_public_key[$1]=$key
	user_short_id[$1]=$("$T/$2/nexusctl" gensid) || return
	user_group[$1]=${3:-}
	user_extra[$1]=''
	[ -n "${user_number[$1]:-}" ] || user_number[$1]=$((${#user_number[@]} + 2))
	nx_users+=("$1")
}

# remove_user NAME: from the server's next configuration.
remove_user() {
	local name kept=()
	for name in "${nx_users[@]}"; do
		[ "$name" = "$1" ] || kept+=("$name")
	done
	nx_users=("${kept[@]}")
}

user_block() {
	local n=${user_number[$1]}
	cat <<-END
		{
			name = "$1";
			public_key = "${user_public_key[$1]}";
			short_id = "${user_short_id[$1]}";
			addresses = [ "10.66.0.$n/32", "fd66::$n/128" ];
			${user_group[$1]:+group = \"${user_group[$1]}\";}
			${user_extra[$1]}
		}
	END
}

keylog_setting() {
	[ -z "${NX_KEYLOG:-}" ] || echo "insecure_keylog_file = \"$T/$1/secrets/keylog\";"
}

# write_server_conf: from the users and $server_extra.
write_server_conf() {
	local name comma=''
	{
		cat <<-END
			dco_mode = "${NX_DCO_MODE:-disabled}";
			tunnel = { srv = {
			role = "server";
			listen = [ "0.0.0.0:443", "[::]:443" ];
			cover = "${NX_COVER:-www.example.org:443}";
			server_names = [ "www.example.org" ];
			private_key_file = "$T/server/secrets/server.key";
			interface = "nexus0";
			addresses = [ "10.66.0.1/24", "fd66::1/64" ];
			routes = [ "10.66.0.0/24", "fd66::/64" ];
			keepalive_s = ${NX_KEEPALIVE_S:-25};
			idle_timeout_s = ${NX_IDLE_S:-120};
			time_window_s = $NX_WINDOW_S;
			$(keylog_setting server)
			$server_extra
			users = (
		END
		for name in "${nx_users[@]}"; do
			printf '%s' "$comma"
			user_block "$name"
			comma=,
		done
		echo "); }; };"
	} >"$T/server/nexus.conf"
}

# write_client_conf END USER ENDPOINT [more settings]
write_client_conf() {
	cat >"$T/$1/nexus.conf" <<-END
		dco_mode = "${NX_DCO_MODE:-disabled}";
		tunnel = { vpn = {
		role = "client";
		endpoint = "$3";
		server_name = "www.example.org";
		server_public_key = "${client_server_key:-$server_public_key}";
		short_id = "${user_short_id[$2]}";
		private_key_file = "$T/$1/secrets/${client_key_file:-$2.key}";
		interface = "nexus0";
		autoconnect = false;
		keepalive_s = ${NX_KEEPALIVE_S:-25};
		idle_timeout_s = ${NX_IDLE_S:-120};
		$(keylog_setting "$1")
		${4:-}
		}; };
	END
}

# start_bus END: a private dbus-daemon that stands for END's system bus.
start_bus() {
	local dir=$T/$1 policy=$NX_TOP/dbus/org.nexusvpn.Nexus1.conf
	[ -e "$policy" ] || policy=$NX_BUILD/dbus/org.nexusvpn.Nexus1.conf
	cat >"$dir/bus.conf" <<-END
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
		 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig>
		  <type>system</type>
		  <listen>unix:path=$dir/bus</listen>
		  <auth>EXTERNAL</auth>
		  <policy context="default">
		    <allow user="*"/>
		    <deny own="*"/>
		    <deny send_type="method_call"/>
		    <allow send_type="signal"/>
		    <allow send_requested_reply="true" send_type="method_return"/>
		    <allow send_requested_reply="true" send_type="error"/>
		    <allow receive_type="method_call"/>
		    <allow receive_type="method_return"/>
		    <allow receive_type="error"/>
		    <allow receive_type="signal"/>
		    <allow send_destination="org.freedesktop.DBus"/>
		  </policy>
		  <policy user="root">
		    <allow own="org.freedesktop.login1"/>
		    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
		  </policy>
		  <include>$policy</include>
		</busconfig>
	END
	dbus-daemon --config-file="$dir/bus.conf" --nofork --nopidfile >"$dir/bus.log" 2>&1 </dev/null &
	bus_pid[$1]=$!
	wait_until 5 test -S "$dir/bus"
}

# nexusd_ready END: it serves D-Bus, and a server listens.
nexusd_ready() {
	case $1 in
	server) [ "$(tunnel_get "$1" State)" = listening ] ;;
	*) [ -n "$(bus "$1" get-property $NX_BUS_NAME $NX_BUS_PATH $NX_BUS_NAME.Manager Version)" ] ;;
	esac
}

# start_nexusd END: bus and nexusd, ready to serve. Options in ${nexusd_options[END]}.
start_nexusd() {
	local dir=$T/$1 pid options
	read -ra options <<<"${nexusd_options[$1]:-}${NX_KEYLOG:+ --insecure-keylog}"
	[ -S "$dir/bus" ] || start_bus "$1" || return
	DBUS_SYSTEM_BUS_ADDRESS=unix:path=$dir/bus bg_ns pid "$1" "$dir/nexusd.out" "$dir/nexusd" \
		--config "$dir/nexus.conf" --libexec-dir "$dir/libexec" --secret-dir "$dir/secrets" \
		--state-dir "$dir/state" --runtime-dir "$dir/run" "${options[@]}"
	nexusd_pid[$1]=$pid
	cat "$dir/nexusd.out" >>"$dir/nexusd.log" 2>/dev/null
	wait_until 15 nexusd_ready "$1" && return
	echo "nexusd of the $1 did not become ready; the end of its log:" >&2
	tail -n 20 "$dir/nexusd.out" >&2
	return 1
}

# check_config END FILE
check_config() {
	"$T/$1/nexusd" --secret-dir "$T/$1/secrets" ${NX_KEYLOG:+--insecure-keylog} --check-config "$2"
}

stop_nexusd() {
	stop_process "${nexusd_pid[$1]}"
}

# child_pid END control|nexus-hsd|nexus-dp
child_pid() {
	local name=$2
	[ "$name" != control ] || name=nexusd
	pgrep -P "${nexusd_pid[$1]}" -x "$name"
}

child_changed() {
	local now
	now=$(child_pid "$1" "$2") && [ "$now" != "$3" ]
}

# ctl END COMMAND...: nexusctl on END's bus.
ctl() {
	local end=$1
	shift
	DBUS_SYSTEM_BUS_ADDRESS=unix:path=$T/$end/bus "$T/$end/nexusctl" "$@"
}

# bus END VERB...: busctl on END's bus.
bus() {
	local end=$1
	shift
	DBUS_SYSTEM_BUS_ADDRESS=unix:path=$T/$end/bus busctl --system "$@"
}

tunnel_path() {
	echo "$NX_BUS_PATH/tunnel/$(tunnel_of "$1")"
}

# tunnel_get END PROPERTY
tunnel_get() {
	bus "$1" --json=short get-property $NX_BUS_NAME "$(tunnel_path "$1")" $NX_BUS_NAME.Tunnel "$2" |
		jq -r '.data | if type == "array" then .[] else . end'
}

# tunnel_stat END KEY: a number of GetStatistics, 0 if it is not there.
tunnel_stat() {
	bus "$1" --json=short call $NX_BUS_NAME "$(tunnel_path "$1")" $NX_BUS_NAME.Tunnel GetStatistics |
		jq -r --arg key "$2" '.data[0][$key].data // 0'
}

# state_is END STATE
state_is() {
	[ "$(tunnel_get "$1" State)" = "$2" ]
}

# connect END: nexusctl up, done when the tunnel carries packets.
connect() {
	ctl "$1" up --wait vpn
}

# peers: the users connected to the server, sorted.
peers() {
	bus server --json=short call $NX_BUS_NAME $NX_BUS_PATH org.freedesktop.DBus.ObjectManager \
		GetManagedObjects |
		jq -r '.data[0][]["org.nexusvpn.Nexus1.Peer"]?.User.data // empty' | sort
}

peers_are() {
	[ "$(peers | tr '\n' ' ')" = "${*:+$* }" ]
}

nexus_stop_all() {
	local end
	for end in "${!nexusd_pid[@]}"; do
		stop_nexusd "$end"
	done
	for end in "${!bus_pid[@]}"; do
		stop_process "${bus_pid[$end]}"
	done
}
