# SPDX-License-Identifier: GPL-2.0-or-later
# The cover site of a test: Caddy with HTTP/3 in a namespace "cover" behind the router, 10.77.4.2:443,
# and clients that fetch pages from it or through our port. Sourced after system.sh.

NX_COVER=10.77.4.2:443
NX_PAGE=https://www.example.org/index.html

# cover_site: a certificate and a page in $T/cover.
cover_site() {
	local dir=$T/cover
	mkdir -p "$dir/site" || return
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 \
		-subj /CN=www.example.org -addext subjectAltName=DNS:www.example.org \
		-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null || return
	{
		echo '<!DOCTYPE html><title>Cover</title><pre>'
		head -c 30000 /dev/urandom | base64
		echo '</pre>'
	} >"$dir/site/index.html"
}

# cover_up: the namespace, the site, Caddy, serving.
cover_up() {
	local dir=$T/cover
	net_link cover v0 4 && cover_site || return
	cat >"$dir/Caddyfile" <<-END
		{
			admin off
			auto_https off
			skip_install_trust
			servers {
				protocols h1 h2 h3
			}
		}
		https://www.example.org {
			tls $dir/cert.pem $dir/key.pem
			root * $dir/site
			file_server
		}
	END
	caddy_start cover && wait_until 15 cover_serves
}

# caddy_start END: with $T/cover/Caddyfile. Nothing of it is written outside that folder.
caddy_start() {
	local dir=$T/cover
	bg_ns cover_pid "$1" "$T/cover.log" env HOME="$dir" XDG_DATA_HOME="$dir/data" \
		XDG_CONFIG_HOME="$dir/config" caddy run --config "$dir/Caddyfile" --adapter caddyfile
}

# Another kind of web server in its place: ngtcp2's example.
cover_start_gtlsserver() {
	local dir=$T/cover
	bg_ns cover_pid cover "$T/cover.log" gtlsserver -q -d "$dir/site" 10.77.4.2 443 \
		"$dir/key.pem" "$dir/cert.pem"
	wait_until 15 cover_serves
}

cover_serves() {
	[ -n "$(in_ns cover ss -Hlun 'sport = :443')" ]
}

# resolve_to ADDRESS: who www.example.org is, for the programs of this test only.
resolve_to() {
	[ -e "$T/hosts" ] || { cp /etc/hosts "$T/hosts" && mount --bind "$T/hosts" /etc/hosts; } || return
	printf '127.0.0.1 localhost\n%s www.example.org\n' "$1" >"$T/hosts"
}

# fetch_CLIENT ADDRESS FILE: the page over HTTP/3 from that address.
fetch_gtlsclient() {
	local dir
	dir=$(mktemp -d "$T/fetch-XXXXXX") && resolve_to "$1" || return
	in_ns client timeout 15 gtlsclient -q --exit-on-all-streams-close --download "$dir" \
		www.example.org 443 "$NX_PAGE" && mv "$dir/index.html" "$2"
}

libcurl_path() {
	local path=$NX_TOP/build/libcurl-h3/usr/lib/$(uname -m)-linux-gnu
	[ ! -d "$path" ] || echo "$path"
}

fetch_libcurl() {
	LD_LIBRARY_PATH=$(libcurl_path) in_ns client python3 "$NX_TOP/tests/system/fetch-h3.py" \
		"$NX_PAGE" "$1" "$2"
}

# The curl of Debian 13 in words, an array; on Debian 12 with the C library it was made for.
curl_h3=(curl)
if [ -d "$NX_TOP/build/curl-openssl" ]; then
	curl_h3=("$NX_TOP"/build/curl-openssl/usr/lib*/ld-linux-*.so.*)
	curl_h3=("${curl_h3[0]}" --library-path "$NX_TOP/build/curl-openssl/usr/lib/$(uname -m)-linux-gnu"
		"$NX_TOP/build/curl-openssl/usr/bin/curl")
fi

# Its QUIC is OpenSSL's, not that of ngtcp2, and its ClientHello takes two datagrams.
fetch_curl() {
	local version
	version=$(in_ns client "${curl_h3[@]}" -s --http3-only --max-time 15 --cacert "$T/cover/cert.pem" \
		--resolve "www.example.org:443:$1" -w '%{http_version}' -o "$2" "$NX_PAGE")
	[ "$version" = 3 ]
}

# Chromium never falls back to TCP for an origin that it is told to reach by QUIC. What it gives back
# is the page as it has understood it.
fetch_chromium() {
	local spki profile
	profile=$(mktemp -d "$T/chromium-XXXXXX")
	spki=$(openssl x509 -in "$T/cover/cert.pem" -pubkey -noout | openssl pkey -pubin -outform der |
		openssl dgst -sha256 -binary | base64)
	HOME=$profile in_ns client timeout 60 chromium --headless --no-sandbox --disable-gpu \
		--disable-background-networking --user-data-dir="$profile" \
		--origin-to-force-quic-on=www.example.org:443 \
		--host-resolver-rules="MAP www.example.org $1" \
		--ignore-certificate-errors-spki-list="$spki" --dump-dom "$NX_PAGE" >"$2" 2>/dev/null
	grep -q '<title>Cover</title>' "$2"
}
