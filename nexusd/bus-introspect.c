// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The D-Bus interfaces as introspection XML, written from the vtables themselves, without a bus. A
 * test compares it with the committed dbus/org.nexusvpn.Nexus1.xml and with what sd-bus answers
 * live.
 */
#include <errno.h>
#include <string.h>

#include "bus.h"

/* Length of the first complete type of a (valid: sd-bus checked it) signature. */
static size_t complete_type_len(const char *signature)
{
	size_t len = 0;
	int depth = 0;

	do {
		char c = signature[len];

		if (c == '(' || c == '{')
			depth++;
		else if (c == ')' || c == '}')
			depth--;
		len++;
		/* An array goes on with its element. */
		if (c == 'a')
			continue;
		if (depth == 0)
			break;
	} while (signature[len]);
	return len;
}

/* One <arg> for each type; @names is a list of strings, advanced past what was used. */
static void write_args(FILE *out, const char *signature, const char *direction, const char **names)
{
	while (signature && *signature) {
		size_t len = complete_type_len(signature);

		fprintf(out, "   <arg name=\"%s\" type=\"%.*s\"", *names, (int)len, signature);
		if (direction)
			fprintf(out, " direction=\"%s\"", direction);
		fprintf(out, "/>\n");
		*names += strlen(*names) + 1;
		signature += len;
	}
}

static void write_method(FILE *out, const sd_bus_vtable *v)
{
	const char *names = v->x.method.names;

	fprintf(out, "  <method name=\"%s\">\n", v->x.method.member);
	write_args(out, v->x.method.signature, "in", &names);
	write_args(out, v->x.method.result, "out", &names);
	fprintf(out, "  </method>\n");
}

static void write_signal(FILE *out, const sd_bus_vtable *v)
{
	const char *names = v->x.signal.names;

	fprintf(out, "  <signal name=\"%s\">\n", v->x.signal.member);
	write_args(out, v->x.signal.signature, NULL, &names);
	fprintf(out, "  </signal>\n");
}

static void write_property(FILE *out, const sd_bus_vtable *v)
{
	const char *emits = "false";

	if (v->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
		emits = NULL;
	else if (v->flags & SD_BUS_VTABLE_PROPERTY_CONST)
		emits = "const";
	fprintf(out, "  <property name=\"%s\" type=\"%s\" access=\"read\">\n", v->x.property.member,
		v->x.property.signature);
	if (emits)
		fprintf(out,
			"   <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\""
			" value=\"%s\"/>\n",
			emits);
	fprintf(out, "  </property>\n");
}

static void write_interface(FILE *out, const char *name, const sd_bus_vtable *v)
{
	fprintf(out, " <interface name=\"%s\">\n", name);
	for (v++; v->type != _SD_BUS_VTABLE_END; v++) {
		if (v->type == _SD_BUS_VTABLE_METHOD)
			write_method(out, v);
		else if (v->type == _SD_BUS_VTABLE_SIGNAL)
			write_signal(out, v);
		else
			write_property(out, v);
	}
	fprintf(out, " </interface>\n");
}

int nx_bus_introspect(FILE *out)
{
	fprintf(out, "<node>\n");
	write_interface(out, NX_BUS_IFACE_MANAGER, nx_manager_vtable);
	write_interface(out, NX_BUS_IFACE_TUNNEL, nx_tunnel_vtable);
	write_interface(out, NX_BUS_IFACE_PEER, nx_peer_vtable);
	fprintf(out, "</node>\n");
	return fflush(out) || ferror(out) ? -EIO : 0;
}
