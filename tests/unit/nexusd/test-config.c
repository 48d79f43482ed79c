// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The configuration reader: every kind of mistake gives exactly the line an administrator will read, right files
 * give the right structures, and equal configurations are recognized as such.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "config-internal.h"
#include "prefix.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

#define CLIENT_HEAD                             \
	"tunnel = { office = {\n"               \
	"role = \"client\";\n"                  \
	"endpoint = \"vpn.example.org:443\";\n" \
	"server_name = \"www.example.org\";\n"  \
	"server_public_key = \"" KEY_A "\";\n"  \
	"short_id = \"0123456789abcdef\";\n"    \
	"private_key_file = \"/k/office.key\";\n"

/* The client's own lines start at 8. */
#define CLIENT(more) CLIENT_HEAD "interface = \"nexus0\";\n" more "}; };\n"

#define SERVER_HEAD                                     \
	"tunnel = { public = {\n"                       \
	"role = \"server\";\n"                          \
	"listen = [ \"0.0.0.0:443\", \"[::]:443\" ];\n" \
	"cover = \"www.example.org:443\";\n"            \
	"server_names = [ \"www.example.org\" ];\n"     \
	"private_key_file = \"/k/server.key\";\n"       \
	"interface = \"nexus0\";\n"                     \
	"addresses = [ \"10.66.0.1/24\", \"fd66::1/64\" ];\n"

/* The server's own lines start at 9. */
#define SERVER(more) SERVER_HEAD more "}; };\n"

#define USER(name, key, id, addr, more)                                             \
	"{ name = \"" name "\"; public_key = \"" key "\"; short_id = \"" id "\";\n" \
	"addresses = [ \"" addr "\" ]; " more "}"

#define ALICE USER("alice", KEY_A, "0000000000000001", "10.66.0.2", "")

struct bad {
	const char *text;
	const char *error;
};

static const struct bad bad_files[] = {
	/* syntax and structure */
	{ "", "t.conf:0: tunnel: is missing; right is tunnel = { NAME = { role = ...; }; };" },
	{ "tunnel = {", "t.conf:1: syntax error" },
	{ "tunnel = 1;",
	  "t.conf:1: tunnel: must be a group of tunnels: tunnel = { office = { ... }; };" },
	{ "tunnel = { a = 1; };", "t.conf:1: tunnel.a: must be a group: a = { role = ...; };" },
	{ "tunnel = {};\nfoo = 1;",
	  "t.conf:2: foo: unknown setting; right are dco_mode and tunnel" },
	{ "tunnel = {};\ndco_mode = \"maybe\";",
	  "t.conf:2: dco_mode: must be \"disabled\", \"preferred\" or \"required\"" },
	{ "tunnel = {};\ndco_mode = 1;",
	  "t.conf:2: dco_mode: must be \"disabled\", \"preferred\" or \"required\"" },
	{ "tunnel = { a = {}; };",
	  "t.conf:1: tunnel.a.role: is missing; right is \"client\" or \"server\"" },
	{ "tunnel = { a = {\nrole = \"peer\"; }; };",
	  "t.conf:2: tunnel.a.role: must be \"client\" or \"server\"" },
	{ "tunnel = { a = {\nrole = 1; }; };",
	  "t.conf:2: tunnel.a.role: must be \"client\" or \"server\"" },
	{ "tunnel = { a = { }; a = { }; };", "t.conf:1: duplicate setting name" },
	{ "tunnel = { abcdefghijklmnopqrstuvwxyz_123456 = {\nrole = \"client\"; }; };",
	  "t.conf:1: tunnel.abcdefghijklmnopqrstuvwxyz_123456: is not a tunnel name; right is 1 to 31 of a-z A-Z 0-9 _ -" },

	/* single values of a client */
	{ CLIENT("colour = 1;"),
	  "t.conf:9: tunnel.office.colour: unknown setting; nexus.conf(5) lists all settings" },
	{ CLIENT("cover = \"a.example:443\";"),
	  "t.conf:9: tunnel.office.cover: belongs to a tunnel with role = \"server\"" },
	{ CLIENT("relay = { max_flows = 8; };"),
	  "t.conf:9: tunnel.office.relay: belongs to a tunnel with role = \"server\"" },
	{ CLIENT("roaming = true;"),
	  "t.conf:9: tunnel.office.roaming: belongs to a tunnel with role = \"server\"" },
	{ SERVER("roaming = \"no\";"),
	  "t.conf:9: tunnel.public.roaming: must be true or false, without quotes" },
	{ SERVER("users = (\n" USER("bob", KEY_B, "00000000000000ff", "fd66::3",
				    "roaming = 1; ") ");"),
	  "t.conf:11: tunnel.public.users[0].roaming: must be true or false, without quotes" },
	{ SERVER("relay = 5;"),
	  "t.conf:9: tunnel.public.relay: must be a group: relay = { max_flows = 1024; };" },
	{ SERVER("relay = { max_flows = 0; };"),
	  "t.conf:9: tunnel.public.relay.max_flows: 0 is out of range; right is 1 to 8192" },
	{ SERVER("relay = { max_flows_per_site = 8193; };"),
	  "t.conf:9: tunnel.public.relay.max_flows_per_site: 8193 is out of range; right is 1 to 8192" },
	{ SERVER("relay = { idle_timeout_s = 3601; };"),
	  "t.conf:9: tunnel.public.relay.idle_timeout_s: 3601 is out of range; right is 1 to 3600" },
	{ SERVER("relay = { max_rate_mbit = \"1\"; };"),
	  "t.conf:9: tunnel.public.relay.max_rate_mbit: must be a number from 1 to 100000, without quotes" },
	{ SERVER("relay = { colour = 1; };"),
	  "t.conf:9: tunnel.public.relay.colour: unknown setting; nexus.conf(5) lists all settings" },
	{ CLIENT_HEAD "}; };", "t.conf:1: tunnel.office.interface: is missing" },
	{ CLIENT_HEAD "interface = \"waytoolonginterface\"; }; };",
	  "t.conf:8: tunnel.office.interface: \"waytoolonginterface\" is not an interface name; right is 1 to 15 of a-z A-Z 0-9 _ - ." },
	{ CLIENT_HEAD "interface = \"a/b\"; }; };",
	  "t.conf:8: tunnel.office.interface: \"a/b\" is not an interface name; right is 1 to 15 of a-z A-Z 0-9 _ - ." },
	{ CLIENT_HEAD "interface = 7; }; };",
	  "t.conf:8: tunnel.office.interface: must be a string in double quotes, such as \"nexus0\"" },
	{ CLIENT("mtu = \"1400\";"),
	  "t.conf:9: tunnel.office.mtu: must be a number from 576 to 65000, without quotes" },
	{ CLIENT("mtu = 100;"),
	  "t.conf:9: tunnel.office.mtu: 100 is out of range; right is 576 to 65000" },
	{ CLIENT("mtu = -1;"),
	  "t.conf:9: tunnel.office.mtu: -1 is out of range; right is 576 to 65000" },
	{ CLIENT("keepalive_s = 4000;"),
	  "t.conf:9: tunnel.office.keepalive_s: 4000 is out of range; right is 0 to 3600" },
	{ CLIENT("keepalive_s = 120;"),
	  "t.conf:9: tunnel.office.keepalive_s: 120 is not below idle_timeout_s (120): the tunnel would idle out first" },
	{ CLIENT("rekey_interval_s = 4;"),
	  "t.conf:9: tunnel.office.rekey_interval_s: 4 is out of range; right is 5 to 604800" },
	{ SERVER("max_session_age_s = 9;"),
	  "t.conf:9: tunnel.public.max_session_age_s: 9 is out of range; right is 10 to 2592000" },
	{ SERVER("rekey_interval_s = 3600;"),
	  "t.conf:9: tunnel.public.rekey_interval_s: belongs to a tunnel with role = \"client\"" },
	{ CLIENT("idle_timeout_s = 4294967400L;"),
	  "t.conf:9: tunnel.office.idle_timeout_s: 4294967400 is out of range; right is 5 to 86400" },
	{ CLIENT("autoconnect = \"yes\";"),
	  "t.conf:9: tunnel.office.autoconnect: must be true or false, without quotes" },
	{ CLIENT("fwmark = 0;"),
	  "t.conf:9: tunnel.office.fwmark: 0 is out of range; right is 1 to 4294967295" },
	{ CLIENT("congestion = \"a\nb\";"),
	  "t.conf:9: tunnel.office.congestion: \"a?b\" is unknown; right is \"cubic\", \"newreno\" or \"bbr\"" },
	{ CLIENT("congestion = \"vegas\";"),
	  "t.conf:9: tunnel.office.congestion: \"vegas\" is unknown; right is \"cubic\", \"newreno\" or \"bbr\"" },
	{ CLIENT("congestion = \"fixed_rate_test\"; fixed_rate_mbit = 100;"),
	  "t.conf:9: tunnel.office.congestion: \"fixed_rate_test\" sends at a set rate whatever is lost: a test only, refused in public mode, which is whenever nexusd runs without --insecure-fixed-rate" },
	{ CLIENT("fixed_rate_mbit = 100;"),
	  "t.conf:9: tunnel.office.fixed_rate_mbit: is for congestion = \"fixed_rate_test\" alone, not for \"cubic\"" },
	{ CLIENT("fixed_rate_mbit = 0;"),
	  "t.conf:9: tunnel.office.fixed_rate_mbit: 0 is out of range; right is 1 to 100000" },
	{ CLIENT("ciphers = [ \"rc4\" ];"),
	  "t.conf:9: tunnel.office.ciphers: \"rc4\" is not a cipher; right is \"aes-128-gcm\", \"aes-256-gcm\" or \"chacha20-poly1305\"" },
	{ CLIENT("ciphers = \"aes-128-gcm\";"),
	  "t.conf:9: tunnel.office.ciphers: must be a list, such as \"aes-128-gcm\", \"aes-256-gcm\" or \"chacha20-poly1305\"" },
	{ CLIENT("allowed_ips = [ \"10.0.0.1/8\" ];"),
	  "t.conf:9: tunnel.office.allowed_ips: \"10.0.0.1/8\" has bits behind its prefix length; right is \"10.0.0.0/8\"" },
	{ CLIENT("allowed_ips = [ \"10.0.0.0/33\" ];"),
	  "t.conf:9: tunnel.office.allowed_ips: \"10.0.0.0/33\" is not an address or network; right is [ \"10.66.0.0/24\", \"fd66::/64\" ]" },
	{ CLIENT("allowed_ips = [ \"10.0.0.0/8\", \"10.0.0.0/8\" ];"),
	  "t.conf:9: tunnel.office.allowed_ips: \"10.0.0.0/8\" stands there twice" },
	{ CLIENT("allowed_ips = [ 1, 2 ];"),
	  "t.conf:9: tunnel.office.allowed_ips: element 1 must be a string in double quotes; right is [ \"10.66.0.0/24\", \"fd66::/64\" ]" },
	{ CLIENT("preshared_key_file = \"psk\";"),
	  "t.conf:9: tunnel.office.preshared_key_file: \"psk\" is not an absolute path of at most 255 bytes" },
	{ CLIENT("insecure_keylog_file = \"/k/log\";"),
	  "t.conf:9: tunnel.office.insecure_keylog_file: writes the keys of every session to a file; refused unless nexusd runs with --insecure-keylog" },
	{ "tunnel = { a = {\nrole = \"client\"; interface = \"n\"; private_key_file = \"/k\";\n"
	  "server_name = \"www.example.org\"; server_public_key = \"" KEY_A
	  "\"; short_id = \"1\";\n"
	  "endpoint = \"vpn.example.org\"; }; };",
	  "t.conf:3: tunnel.a.short_id: \"1\" is not a short id; right are 16 hexadecimal digits, not all zero" },
	{ "tunnel = { a = {\nrole = \"client\"; interface = \"n\"; private_key_file = \"/k\";\n"
	  "server_name = \"www.example.org\"; server_public_key = \"" KEY_A
	  "\"; short_id = \"0123456789abcdef\";\nendpoint = \"vpn.example.org\"; }; };",
	  "t.conf:4: tunnel.a.endpoint: \"vpn.example.org\" is not host:port; right is \"vpn.example.org:443\", \"192.0.2.1:443\" or \"[2001:db8::1]:443\"" },
	{ "tunnel = { a = {\nrole = \"client\"; interface = \"n\"; private_key_file = \"/k\";\n"
	  "server_name = \"10.0.0.1\"; server_public_key = \"" KEY_A
	  "\"; short_id = \"0123456789abcdef\";\nendpoint = \"10.0.0.1:1\"; }; };",
	  "t.conf:3: tunnel.a.server_name: \"10.0.0.1\" is not a host name; right is \"www.example.org\"" },
	{ "tunnel = { a = {\nrole = \"client\"; interface = \"n\"; private_key_file = \"/k\";\n"
	  "server_name = \"a.example\"; server_public_key = \"AAAA\"; short_id = \"0123456789abcdef\";\n"
	  "endpoint = \"10.0.0.1:1\"; }; };",
	  "t.conf:3: tunnel.a.server_public_key: is not a public key; right are 44 characters of base64 as nexusctl pubkey prints them" },

	/* a server's */
	{ "tunnel = { a = {\nrole = \"server\"; listen = [ \"0.0.0.0:443\" ];\n"
	  "server_names = [ \"a.example\" ]; private_key_file = \"/k\"; interface = \"n\";\n"
	  "addresses = [ \"10.66.0.1/24\" ];\ncover = \"ownsite\"; }; };",
	  "t.conf:5: tunnel.a.cover: \"ownsite\" is not host:port; right is \"own-site\", \"www.example.org:443\", \"192.0.2.1:443\" or \"[2001:db8::1]:443\"" },
	{ "tunnel = { a = {\nrole = \"server\"; listen = [ \"0.0.0.0:443\" ];\n"
	  "server_names = [ \"a.example\" ]; private_key_file = \"/k\"; interface = \"n\";\n"
	  "addresses = [ \"10.66.0.1/24\" ];\ncover = 8443; }; };",
	  "t.conf:5: tunnel.a.cover: must be a string in double quotes, such as \"own-site\" or \"www.example.org:443\"" },
	{ SERVER("endpoint = \"a:1\";"),
	  "t.conf:9: tunnel.public.endpoint: belongs to a tunnel with role = \"client\"" },
	{ SERVER("dns = [ \"dns.example\" ];"),
	  "t.conf:9: tunnel.public.dns: \"dns.example\" is not an address; right is [ \"10.66.0.1\" ]" },
	{ SERVER("dns_domains = [ \"-x\" ];"),
	  "t.conf:9: tunnel.public.dns_domains: \"-x\" is not a host name; right is [ \"www.example.org\" ]" },
	{ SERVER("routes = [ \"10.66.0.1/24\" ];"),
	  "t.conf:9: tunnel.public.routes: \"10.66.0.1/24\" has bits behind its prefix length; right is \"10.66.0.0/24\"" },
	{ SERVER("users = [ ];"),
	  "t.conf:9: tunnel.public.users: must be a list of users: ( { name = ...; }, { ... } )" },
	{ SERVER("users = ( 1 );"),
	  "t.conf:9: tunnel.public.users[0]: must be a group: { name = ...; public_key = ...; }" },
	{ SERVER("users = (\n{ } );"), "t.conf:10: tunnel.public.users[0].name: is missing" },
	{ SERVER("users = (\n" USER("a b", KEY_A, "0000000000000001", "10.66.0.2", "") ");"),
	  "t.conf:10: tunnel.public.users[0].name: \"a b\" is not a name; right is 1 to 63 of a-z A-Z 0-9 _ - . @" },
	{ SERVER("users = (\n" USER("a", KEY_A, "0000000000000000", "10.66.0.2", "") ");"),
	  "t.conf:10: tunnel.public.users[0].short_id: \"0000000000000000\" is not a short id; right are 16 hexadecimal digits, not all zero" },
	{ SERVER("users = (\n" USER("a", "????", "0000000000000001", "10.66.0.2", "") ");"),
	  "t.conf:10: tunnel.public.users[0].public_key: is not a public key; right are 44 characters of base64 as nexusctl pubkey prints them" },
	{ SERVER("users = (\n" ALICE
		 ",\n" USER("alice", KEY_B, "0000000000000002", "10.66.0.3", "") ");"),
	  "t.conf:12: tunnel.public.users[1].name: \"alice\" is also the name of users[0]" },
	{ SERVER("users = (\n" ALICE
		 ",\n" USER("bob", KEY_B, "0000000000000001", "10.66.0.3", "") ");"),
	  "t.conf:12: tunnel.public.users[1].short_id: is also the short id of users[0] (\"alice\")" },
	{ SERVER("users = (\n" ALICE
		 ",\n" USER("bob", KEY_B, "0000000000000002", "10.66.0.2", "") ");"),
	  "t.conf:13: tunnel.public.users[1].addresses: 10.66.0.2/32 overlaps 10.66.0.2/32 of users[0] (\"alice\")" },
	{ SERVER("users = (\n" USER(
		  "net", KEY_A, "0000000000000001", "10.66.0.9",
		  "allowed_ips = [ \"10.66.0.0/28\" ]; ") ",\n" USER("bob", KEY_B,
								     "0000000000000002",
								     "10.66.0.2", "") ");"),
	  "t.conf:13: tunnel.public.users[1].addresses: 10.66.0.2/32 overlaps 10.66.0.0/28 of users[0] (\"net\")" },
	{ SERVER("users = (\n" USER("a", KEY_A, "0000000000000001", "10.66.0.0/25", "") ");"),
	  "t.conf:11: tunnel.public.users[0].addresses: 10.66.0.0/25 is a network; right is one address (/32), and allowed_ips for networks" },
	{ SERVER("users = (\n" USER("a", KEY_A, "0000000000000001", "10.66.0.1", "") ");"),
	  "t.conf:11: tunnel.public.users[0].addresses: 10.66.0.1/32 is the server's own address" },
	{ "tunnel = { public = {\nrole = \"server\"; listen = [ \"0.0.0.0:443\", \"1.2.3.4:443\" ];\n"
	  "cover = \"a.example:443\"; server_names = [ \"a.example\" ]; private_key_file = \"/k\";\n"
	  "interface = \"n\"; addresses = [ \"10.0.0.1/24\" ]; }; };",
	  "t.conf:2: tunnel.public.listen: \"1.2.3.4:443\" overlaps another address of the list" },
	{ "tunnel = { public = {\nrole = \"server\"; listen = [ ];\n"
	  "cover = \"a.example:443\"; server_names = [ \"a.example\" ]; private_key_file = \"/k\";\n"
	  "interface = \"n\"; addresses = [ \"10.0.0.1/24\" ]; }; };",
	  "t.conf:2: tunnel.public.listen: has 0 addresses; right are 1 to 7" },
	{ "tunnel = { public = {\nrole = \"server\"; listen = [ \"0.0.0.0:443\" ];\n"
	  "cover = \"a.example:443\"; server_names = [ ]; private_key_file = \"/k\";\n"
	  "interface = \"n\"; addresses = [ \"10.0.0.1/24\" ]; }; };",
	  "t.conf:3: tunnel.public.server_names: is empty; right is at least one name of the cover site" },
	{ SERVER("old_key_until = \"2026-12-24 12:00\";"),
	  "t.conf:1: tunnel.public.old_private_key_file: is missing: old_key_until says how long its key is accepted" },
	{ SERVER("old_private_key_file = \"/k/old.key\";"),
	  "t.conf:1: tunnel.public.old_key_until: is missing: until when is the old key accepted? right is \"2026-12-24 12:00\"" },
	{ SERVER("old_private_key_file = \"/k/server.key\";\nold_key_until = \"2026-12-24 12:00\";"),
	  "t.conf:9: tunnel.public.old_private_key_file: is the file of private_key_file; right is the file of the key the server had before" },
	{ SERVER("old_private_key_file = \"/k/old.key\";\nold_key_until = \"tomorrow\";"),
	  "t.conf:10: tunnel.public.old_key_until: \"tomorrow\" is no date and time; right is \"2026-12-24 12:00\" (local time) or \"2026-12-24T12:00:00+01:00\"" },
	{ SERVER("old_private_key_file = \"/k/old.key\";\nold_key_until = \"2026-02-30 12:00\";"),
	  "t.conf:10: tunnel.public.old_key_until: \"2026-02-30 12:00\" does not exist: look at month, day, hour and minute" },
	{ SERVER("old_key_until = 86400;"),
	  "t.conf:9: tunnel.public.old_key_until: must be a string in double quotes, such as \"2026-12-24 12:00\"" },
	{ CLIENT("old_private_key_file = \"/k/old.key\";"),
	  "t.conf:9: tunnel.office.old_private_key_file: belongs to a tunnel with role = \"server\"" },

	/* two tunnels */
	{ CLIENT("};\nhome = {\nrole = \"client\"; endpoint = \"a:1\"; server_name = \"b.example\";\n"
		 "server_public_key = \"" KEY_A "\"; short_id = \"0123456789abcdef\";\n"
		 "private_key_file = \"/k\"; interface = \"nexus0\";"),
	  "t.conf:13: tunnel.home.interface: \"nexus0\" is also the interface of tunnel.office" },
	{ SERVER("};\nother = {\nrole = \"server\"; listen = [ \"127.0.0.1:443\" ];\n"
		 "cover = \"a.example:443\"; server_names = [ \"a.example\" ]; private_key_file = \"/k\";\n"
		 "interface = \"n\"; addresses = [ \"10.0.0.1/24\" ];"),
	  "t.conf:11: tunnel.other.listen: 127.0.0.1:443 is also listened on by tunnel.public" },
};

static struct nx_config *parse(const char *text, unsigned int insecure, char *error, size_t cap)
{
	struct nx_config_report report = { .path = "t.conf" };
	struct nx_config *c = NULL;
	int r = nx_config_parse(text, &report, insecure, &c);

	snprintf(error, cap, "%s", report.n_errors ? report.errors[0] : "");
	assert_int_equal(r != 0, report.n_errors != 0);
	assert_int_equal(r != 0, c == NULL);
	nx_config_report_free(&report);
	return c;
}

static struct nx_config *parse_good(const char *text)
{
	char error[NX_CONFIG_ERROR_LEN];
	struct nx_config *c = parse(text, false, error, sizeof(error));

	assert_string_equal(error, "");
	return c;
}

static void test_bad_files(void **state)
{
	char error[NX_CONFIG_ERROR_LEN];

	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		assert_null(parse(bad_files[i].text, 0, error, sizeof(error)));
		assert_string_equal(error, bad_files[i].error);
	}
}

static void test_all_errors_are_listed(void **state)
{
	struct nx_config_report report = { .path = "t.conf" };
	struct nx_config *c;

	assert_int_equal(nx_config_parse(CLIENT("mtu = 1; foo = 2;\nbar = 3;"), &report, 0, &c),
			 -22);
	assert_int_equal(report.n_errors, 3);
	nx_config_report_free(&report);
}

static void test_client(void **state)
{
	struct nx_config *c = parse_good("dco_mode = \"required\";\n" CLIENT(
		"allowed_ips = [ \"10.0.0.0/8\", \"::/0\" ]; fwmark = 0xffffffff; mtu = 0;\n"
		"autoconnect = true; ciphers = [ \"aes-256-gcm\", \"aes-128-gcm\" ];\n"
		"preshared_key_file = \"/k/psk\"; congestion = \"newreno\";"));
	struct nx_tunnel_config *t = c->tunnels[0];

	assert_int_equal(c->dco_mode, NX_DCO_REQUIRED);
	assert_int_equal(c->n_tunnels, 1);
	assert_int_equal(t->role, NX_ROLE_CLIENT);
	assert_string_equal(t->name, "office");
	assert_string_equal(t->endpoint, "vpn.example.org:443");
	assert_int_equal(t->server_public_key[31], 31);
	assert_true(t->short_id == 0x0123456789abcdefull);
	assert_int_equal(t->n_allowed_ips, 2);
	assert_int_equal(t->allowed_ips[1].family, AF_INET6);
	assert_int_equal(t->fwmark, 0xffffffff);
	assert_true(t->autoconnect);
	assert_string_equal(t->ciphers[1], "aes-128-gcm");
	assert_null(t->ciphers[2]);
	assert_int_equal(t->idle_timeout_s, 120);
	assert_int_equal(t->rekey_interval_s, 7200);
	assert_string_equal(t->congestion, "newreno");
	nx_config_free(c);
}

static void test_server(void **state)
{
	struct nx_config *c = parse_good(SERVER(
		"routes = [ \"10.66.0.0/24\" ]; dns = [ \"10.66.0.1\", \"fd66::1\" ]; time_window_s = 30;\n"
		"relay = { max_flows = 7; max_rate_mbit = 5; };\n"
		"gate = { max_auth_per_s = 500; };\n"
		"users = (\n" ALICE
		",\n" USER("bob", KEY_B, "00000000000000ff", "fd66::3",
			   "allowed_ips = [ \"192.168.7.0/24\" ]; group = \"staff\"; ") ");"));
	struct nx_tunnel_config *t = c->tunnels[0];

	assert_int_equal(c->dco_mode, NX_DCO_PREFERRED);
	assert_int_equal(t->n_listen, 2);
	assert_int_equal(t->n_users, 2);
	assert_int_equal(t->time_window_s, 30);
	assert_int_equal(t->relay.max_flows, 7);
	assert_int_equal(t->relay.max_flows_per_site, 256);
	assert_int_equal(t->relay.idle_timeout_s, 60);
	assert_int_equal(t->relay.max_rate_mbit, 5);
	assert_int_equal(t->gate.max_auth_per_s, 500);
	assert_int_equal(t->gate.max_auth_per_site_per_s, 200);
	assert_true(t->users[1].short_id == 255);
	assert_ptr_equal(nx_config_user(t, 255), &t->users[1]);
	assert_ptr_equal(nx_config_user(t, t->users[0].short_id), &t->users[0]);
	assert_null(nx_config_user(t, 254));
	assert_string_equal(t->users[1].group, "staff");
	assert_int_equal(t->users[1].allowed_ips[0].len, 24);
	assert_int_equal(t->users[0].addresses[0].len, 32);
	assert_null(t->users[0].group);
	nx_config_free(c);
}

/* A user's own setting comes first. Neither it nor the default asks for another tunnel. */
static void test_roaming(void **state)
{
	static const char plain[] = SERVER("users = ( " ALICE " );");
	static const char fixed[] = SERVER("roaming = false;\nusers = ( " ALICE ",\n" USER(
		"bob", KEY_B, "00000000000000ff", "fd66::3", "roaming = true; ") ");");
	struct nx_config *a = parse_good(plain), *b = parse_good(fixed);
	const struct nx_tunnel_config *t = b->tunnels[0];

	assert_true(nx_user_roams(a->tunnels[0], &a->tunnels[0]->users[0]));
	assert_false(nx_user_roams(t, &t->users[0]));
	assert_true(nx_user_roams(t, &t->users[1]));
	assert_true(nx_tunnel_config_equal_but_users(a->tunnels[0], t));
	b->tunnels[0]->n_users = 1;
	assert_false(nx_tunnel_config_equal(a->tunnels[0], t));
	b->tunnels[0]->roaming = true;
	assert_true(nx_tunnel_config_equal(a->tunnels[0], t));
	b->tunnels[0]->users[0].roaming = NX_CHOICE_NO;
	assert_false(nx_tunnel_config_equal(a->tunnels[0], t));
	b->tunnels[0]->n_users = 2;
	nx_config_free(a);
	nx_config_free(b);
}

/* A word for the address that the documentation gives to one's own web server. */
static void test_own_site(void **state)
{
	struct nx_config *c = parse_good(
		"tunnel = { a = { role = \"server\"; listen = [ \"0.0.0.0:443\" ];\n"
		"server_names = [ \"a.example\" ]; private_key_file = \"/k\"; interface = \"n\";\n"
		"addresses = [ \"10.66.0.1/24\" ]; cover = \"own-site\"; }; };");

	assert_string_equal(c->tunnels[0]->cover, "127.0.0.1:8443");
	nx_config_free(c);
}

static void test_congestion(void **state)
{
	const char *fixed = CLIENT("congestion = \"fixed_rate_test\"; fixed_rate_mbit = 100;");
	char error[NX_CONFIG_ERROR_LEN];
	struct nx_config *c = parse_good(CLIENT("congestion = \"bbr\";"));

	assert_string_equal(c->tunnels[0]->congestion, "bbr");
	assert_int_equal(c->tunnels[0]->fixed_rate_mbit, 0);
	nx_config_free(c);
	/* The permission to log keys is none to flood the path. */
	assert_null(parse(fixed, NX_INSECURE_KEYLOG, error, sizeof(error)));
	c = parse(fixed, NX_INSECURE_FIXED_RATE, error, sizeof(error));
	assert_non_null(c);
	assert_string_equal(c->tunnels[0]->congestion, "fixed_rate_test");
	assert_int_equal(c->tunnels[0]->fixed_rate_mbit, 100);
	nx_config_free(c);
	assert_null(parse(CLIENT("congestion = \"fixed_rate_test\";"), NX_INSECURE_FIXED_RATE,
			  error, sizeof(error)));
	assert_string_equal(
		error,
		"t.conf:9: tunnel.office.congestion: \"fixed_rate_test\" needs a rate: fixed_rate_mbit = 100;");
}

static void test_keylog_with_permission(void **state)
{
	char error[NX_CONFIG_ERROR_LEN];
	struct nx_config *c = parse(CLIENT("insecure_keylog_file = \"/k/log\";"),
				    NX_INSECURE_KEYLOG, error, sizeof(error));

	assert_non_null(c);
	assert_string_equal(c->tunnels[0]->insecure_keylog_file, "/k/log");
	nx_config_free(c);
}

static void test_equal(void **state)
{
	static const char base[] = SERVER("users = ( " ALICE " );");
	static const char other_user[] = SERVER(
		"users = ( " USER("alice", KEY_B, "0000000000000001", "10.66.0.2", "") " );");
	static const char other_window[] = SERVER("time_window_s = 30; users = ( " ALICE " );");
	static const char other_gate[] =
		SERVER("gate = { max_auth_per_s = 1; }; users = ( " ALICE " );");
	struct nx_config *a = parse_good(base), *b = parse_good(base), *u = parse_good(other_user);
	struct nx_config *w = parse_good(other_window), *g = parse_good(other_gate);

	assert_true(nx_tunnel_config_equal(a->tunnels[0], b->tunnels[0]));
	assert_false(nx_tunnel_config_equal(a->tunnels[0], u->tunnels[0]));
	assert_true(nx_tunnel_config_equal_but_users(a->tunnels[0], u->tunnels[0]));
	assert_false(nx_tunnel_config_equal_but_users(a->tunnels[0], w->tunnels[0]));
	assert_false(nx_tunnel_config_equal_but_users(a->tunnels[0], g->tunnels[0]));
	nx_config_free(a);
	nx_config_free(b);
	nx_config_free(u);
	nx_config_free(w);
	nx_config_free(g);
}

/* New server keys keep the sessions; a client's new key does not. */
static void test_equal_keys(void **state)
{
	struct nx_config *a = parse_good(SERVER("")),
			 *b = parse_good(SERVER("old_private_key_file = \"/k/old.key\";"
						"old_key_until = \"2026-12-24T12:00:00Z\";")),
			 *later = parse_good(SERVER("old_private_key_file = \"/k/old.key\";"
						    "old_key_until = \"2026-12-24T12:00:01Z\";")),
			 *c = parse_good(CLIENT("")), *d = parse_good(CLIENT(""));

	assert_true(b->tunnels[0]->old_key_until_s == 1798113600);
	assert_string_equal(b->tunnels[0]->old_private_key_file, "/k/old.key");
	assert_false(nx_tunnel_config_equal(a->tunnels[0], b->tunnels[0]));
	assert_true(nx_tunnel_config_equal_but_users(a->tunnels[0], b->tunnels[0]));
	assert_false(nx_tunnel_config_equal(b->tunnels[0], later->tunnels[0]));
	strcpy(a->tunnels[0]->private_key_file, "/k/other");
	assert_true(nx_tunnel_config_equal_but_users(a->tunnels[0], b->tunnels[0]));
	assert_true(nx_tunnel_config_equal(c->tunnels[0], d->tunnels[0]));
	strcpy(d->tunnels[0]->private_key_file, "/k/other");
	assert_false(nx_tunnel_config_equal_but_users(c->tunnels[0], d->tunnels[0]));
	nx_config_free(a);
	nx_config_free(b);
	nx_config_free(later);
	nx_config_free(c);
	nx_config_free(d);
}

static void test_time(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t time_s;
	} cases[] = {
		{ "2026-12-24T12:00:00Z", 0, 1798113600 },
		{ "2026-12-24 12:00Z", 0, 1798113600 },
		{ "2026-12-24T13:30:00+01:30", 0, 1798113600 },
		{ "2026-12-24T04:00:00-08:00", 0, 1798113600 },
		/* Berlin, winter and summer */
		{ "2026-12-24 13:00", 0, 1798113600 },
		{ "2026-12-24T13:00:00", 0, 1798113600 },
		{ "2026-07-01 14:00:05", 0, 1782907205 },
		{ "2026-03-29 02:30", -ERANGE, 0 }, /* skipped */
		{ "2026-03-29T02:30:00Z", 0, 1774751400 },
		{ "2028-02-29 00:00Z", 0, 1835395200 },
		{ "2026-02-29 00:00", -ERANGE, 0 },
		{ "2026-13-01 00:00", -ERANGE, 0 },
		{ "2026-00-01 00:00", -ERANGE, 0 },
		{ "2026-01-01 24:00", -ERANGE, 0 },
		{ "2026-01-01 12:60", -ERANGE, 0 },
		{ "1969-12-31T23:59:59Z", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "2026-12-24", -EINVAL, 0 },
		{ "2026-12-24 12", -EINVAL, 0 },
		{ "2026-12-24 12:0", -EINVAL, 0 },
		{ "2026-12-24 12:00 ", -EINVAL, 0 },
		{ "2026-12-24 12:00:", -EINVAL, 0 },
		{ "2026-12-24T12:00:00.5Z", -EINVAL, 0 },
		{ "2026-12-24T12:00:00+24:00", -EINVAL, 0 },
		{ "2026-12-24T12:00:00+0100", -EINVAL, 0 },
		{ "24.12.2026 12:00", -EINVAL, 0 },
		{ "+026-12-24 12:00", -EINVAL, 0 },
	};
	uint64_t time_s;

	assert_int_equal(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
	tzset();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		time_s = 0;
		assert_int_equal(nx_time_parse(cases[i].text, &time_s), cases[i].r);
		assert_true(time_s == cases[i].time_s);
	}
}

static void test_group_ids(void **state)
{
	assert_int_equal(nx_group_id(NULL), 0);
	assert_int_equal(nx_group_id("staff"), nx_group_id("staff"));
	assert_int_not_equal(nx_group_id("staff"), nx_group_id("guest"));
	assert_int_not_equal(nx_group_id(""), 0);
}

/* The examples of conf/, with the keys they ask for put in. */
static void check_example(const char *name)
{
	char path[512], error[NX_CONFIG_ERROR_LEN], text[16384], *at;
	struct nx_config *c;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/conf/%s", NX_SOURCE_DIR, name);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	assert_null(parse(text, false, error, sizeof(error)));
	assert_non_null(strstr(error, "public_key: is not a public key"));
	while ((at = strstr(text, "\"REPLACE"))) {
		char *end = strchr(at + 1, '"');

		assert_non_null(end);
		memmove(at + 1 + strlen(KEY_A), end, strlen(end) + 1);
		memcpy(at + 1, KEY_A, strlen(KEY_A));
	}
	c = parse(text, false, error, sizeof(error));
	assert_string_equal(error, "");
	assert_int_equal(c->n_tunnels, 1);
	nx_config_free(c);
}

static void test_examples(void **state)
{
	check_example("client.conf");
	check_example("server.conf");
}

static void test_unreadable(void **state)
{
	char error[NX_CONFIG_ERROR_LEN];
	struct nx_config *c;

	assert_int_equal(nx_config_load("/nonexistent/x.conf", false, &c, error, sizeof(error)),
			 -2);
	assert_string_equal(error, "/nonexistent/x.conf: No such file or directory");
	assert_int_equal(nx_config_load("/", false, &c, error, sizeof(error)), -21);
	assert_string_equal(error, "/: Is a directory");
	assert_null(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_all_errors_are_listed),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_own_site),
		cmocka_unit_test(test_congestion),
		cmocka_unit_test(test_keylog_with_permission),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_equal_keys),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_group_ids),
		cmocka_unit_test(test_roaming),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_unreadable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
