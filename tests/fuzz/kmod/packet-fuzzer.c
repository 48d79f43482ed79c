// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Packets for the kernel module, with its coverage as feedback (see harness.h), also of softirqs
 * and workers: there packets are received, on the stack of whoever sends them over loopback.
 *
 * An input is a program (packet-program.h). Its sessions are made when a step first names one and
 * are gone after it; this end has their keys, but no engine: packet numbers, key phases, headers
 * and frames are the program's. What must hold is checked after each input, and now and then that a
 * fresh session carries a good packet.
 *
 * With PACKET_FUZZER_FAULTS=PERCENT so many allocations that may not sleep fail while steps run,
 * whoever's.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../lib/crypto.h"
#include "../../../quic/frame.h"
#include "../../../quic/pn.h"
#include "../../unit/dp/abi-client.h"
#include "../../unit/dp/packets.h"
#include "harness.h"
#include "packet-program.h"

#define DEVICE "nxf0"
#define MTU 1400
#define ADDRESSES (STEP_SESSIONS + 2)
#define BURST 64
#define RUNS_MAX 16384
#define WIRE_MAX 2048
#define PEER_ID_LEN 20
#define FIRST_PN 10
#define GOOD_EVERY 64
#define GOOD_LEN 321
#define GOOD_TRIES 100

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* One direction's keys. */
struct keys {
	uint8_t secret[NQD_SECRET_MAX_LEN], iv[NQ_IV_LEN];
	void *aead, *hp;
	bool raw, phase;
};

static const struct kind {
	uint16_t cipher;
	bool server; /* the module is */
	bool secrets; /* it can update its keys */
	uint8_t id_len; /* of the module's */
	uint32_t flags;
	const char *congestion;
} kinds[STEP_SESSIONS] = {
	/* Whose sources are everybody's. */
	{ NQ_AES_128_GCM, true, true, 20, NQD_SESSION_F_MIGRATION | NQD_SESSION_F_DEFAULT_ROUTE,
	  "cubic" },
	{ NQ_AES_256_GCM, false, true, 20, 0, "newreno" },
	{ NQ_CHACHA20_POLY1305, true, true, 4, NQD_SESSION_F_MIGRATION | NQD_SESSION_F_ECN,
	  "cubic" },
	{ NQ_AES_128_GCM, true, false, 20, 0, "bbr" },
};

static struct peer {
	bool up;
	struct keys out, in;
	uint64_t next_pn; /* ours */
	uint64_t first_in, next_in; /* theirs that came, without a gap */
	uint64_t sealed; /* packets that will open, at most */
	uint64_t datagrams; /* and what is in them, at most */
} peers[STEP_SESSIONS];

/* What leaves together. */
static struct {
	uint8_t wire[BURST][WIRE_MAX];
	uint32_t len[BURST];
	unsigned int n, from;
	uint8_t ecn;
} burst;

static const struct nq_crypto_ops *crypto;
static struct abi abi;
static int udp, inner, packet, device_stats, addresses[ADDRESSES];
static struct sockaddr_storage bound, where[ADDRESSES];
static unsigned int ifindex;
/* Of this input: datagrams that left, and what they and runs of them were, as they were sent. */
static uint64_t sent, runs[RUNS_MAX];
static unsigned int n_runs;
/* PACKET_FUZZER_FAULTS. */
static const char *fault_percent;
static int fault_files[2];

/* The input's fault: what must hold does not. */
#define broken(...)                                             \
	do {                                                    \
		fprintf(stderr, "packet-fuzzer: " __VA_ARGS__); \
		fprintf(stderr, "\n");                          \
		abort();                                        \
	} while (0)

/* ---- softirqs ---- */

static int ksoftirqd = -1;

static void find_ksoftirqd(void)
{
	char path[64], text[64];
	unsigned int pid;
	ssize_t len;

	/* There is one CPU. It is among the first threads of the kernel. */
	for (pid = 2; pid < 100; pid++) {
		snprintf(path, sizeof(path), "/proc/%u/stat", pid);
		ksoftirqd = open(path, O_RDONLY | O_CLOEXEC);
		len = ksoftirqd < 0 ? 0 : read(ksoftirqd, text, sizeof(text) - 1);
		text[len > 0 ? len : 0] = 0;
		if (strstr(text, "(ksoftirqd/0)"))
			return;
		close(ksoftirqd);
	}
	fatal("ksoftirqd");
}

/*
 * What was sent has been received: not so if a softirq took too long, for then a thread does the
 * rest.
 */
static void settle(void)
{
	char text[64] = "";
	const char *at;

	/* Nobody tells when it sleeps. */
	for (;;) {
		if (pread(ksoftirqd, text, sizeof(text) - 1, 0) <= 0)
			fatal("ksoftirqd");
		at = strchr(text, ')');
		if (at && at[2] != 'R')
			return;
		sched_yield();
	}
}

/* ---- keys ---- */

static uint32_t secret_len(uint16_t cipher)
{
	return cipher == NQ_AES_256_GCM ? 48 : 32;
}

static void derive(const struct kind *kind, const struct keys *k, const char *label, uint8_t *out,
		   uint32_t len)
{
	if (nx_quic_derive(kind->cipher, k->secret, secret_len(kind->cipher), label, out, len))
		fatal(label);
}

static void use_key(const struct kind *kind, struct keys *k)
{
	uint8_t key[NQ_KEY_MAX_LEN];

	derive(kind, k, "quic key", key, nq_key_len(kind->cipher));
	derive(kind, k, "quic iv", k->iv, NQ_IV_LEN);
	crypto->aead_wipe(k->aead);
	if (crypto->aead_init(k->aead, kind->cipher, key))
		fatal("AEAD");
}

/* As abi_put_keys() makes them up. */
static void first_keys(const struct kind *kind, struct keys *k, uint8_t value)
{
	uint8_t key[NQ_KEY_MAX_LEN];

	crypto->hp_wipe(k->hp);
	k->phase = false;
	k->raw = !kind->secrets;
	memset(k->secret, value, sizeof(k->secret));
	if (kind->secrets) {
		use_key(kind, k);
		derive(kind, k, "quic hp", key, nq_key_len(kind->cipher));
	} else {
		crypto->aead_wipe(k->aead);
		if (crypto->aead_init(k->aead, kind->cipher, memset(key, value, sizeof(key))))
			fatal("AEAD");
		memset(k->iv, value + 1, sizeof(k->iv));
		memset(key, value + 2, sizeof(key));
	}
	if (crypto->hp_init(k->hp, kind->cipher, key))
		fatal("header protection");
}

static void next_keys(const struct kind *kind, struct keys *k)
{
	uint8_t next[NQD_SECRET_MAX_LEN];

	if (k->raw)
		return;
	derive(kind, k, "quic ku", next, secret_len(kind->cipher));
	memcpy(k->secret, next, sizeof(next));
	k->phase = !k->phase;
	use_key(kind, k);
}

static void *context(uint32_t bytes)
{
	size_t size = (bytes + 63) & ~63ul;
	void *ctx = aligned_alloc(64, size);

	if (!ctx)
		fatal("memory");
	return memset(ctx, 0, size);
}

/* ---- sessions ---- */

static void faults(const char *percent)
{
	unsigned int i;

	for (i = 0; fault_percent && i < 2; i++)
		if (write(fault_files[i], percent, strlen(percent)) < 0)
			fatal("faults");
}

static int call(struct nxm *m, abi_answer_fn fn, void *arg)
{
	abi.frames_len = 0;
	return abi_call(&abi, m, NULL, fn, arg);
}

/* @cmd of a session. */
static int session_call(unsigned int i, uint8_t cmd, abi_answer_fn fn, void *arg)
{
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, cmd, 0);
	nest = nxm_nest_begin(&m, NQD_A_SESSION);
	nxm_put_u64(&m, NQD_A_SESSION_ID, i + 1);
	nxm_nest_end(&m, nest);
	return call(&m, fn, arg);
}

static void bring_up(unsigned int i)
{
	const struct kind *kind = &kinds[i];
	struct abi_session s = { .id = i + 1,
				 .server = kind->server,
				 .number = i + 1,
				 .server_cid_len = kind->server ? kind->id_len : 0,
				 .flags = kind->flags,
				 .cipher = kind->cipher,
				 .secrets = kind->secrets,
				 .congestion = kind->congestion,
				 .mtu = MTU,
				 .ifname = DEVICE,
				 .peer_group = 1,
				 .socket = udp,
				 .remote = where[i],
				 .n_routes = 2,
				 .routes = { { AF_INET, { 10, 20 + i }, 16 },
					     { AF_INET6, { 0xfd, 0x20 + i }, 16 } } };
	struct peer *p = &peers[i];
	struct nxm_error e;

	if (p->up)
		return;
	faults("0");
	first_keys(kind, &p->out, kind->server ? 0xc0 : 0x50);
	first_keys(kind, &p->in, kind->server ? 0x50 : 0xc0);
	p->next_pn = p->first_in = p->next_in = FIRST_PN;
	p->sealed = p->datagrams = 0;
	abi.frames_len = 0;
	if (abi_add_session(&abi, &s, &e)) {
		fprintf(stderr, "%s\n", e.text);
		fatal("ADD_SESSION");
	}
	p->up = true;
	faults(fault_percent);
}

static void take_down(unsigned int i)
{
	if (!peers[i].up)
		return;
	if (session_call(i, NQD_CMD_DELETE_SESSION, NULL, NULL))
		fatal("DELETE_SESSION");
	peers[i].up = false;
}

/* ---- what goes out ---- */

static uint64_t hash(uint64_t h, const uint8_t *data, size_t len)
{
	while (len--)
		h = (h ^ *data++) * 1099511628211u;
	return h;
}

#define HASH_START 14695981039346656037u

static void remember(uint64_t h)
{
	if (n_runs < RUNS_MAX)
		runs[n_runs++] = h;
}

/* @n packets of one length, but for the last, which may be shorter. */
static void send_run(unsigned int first, unsigned int n)
{
	struct iovec iov[BURST];
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint16_t))];
	} control = { 0 };
	struct msghdr msg = { .msg_name = &bound,
			      .msg_namelen = sizeof(struct sockaddr_in),
			      .msg_iov = iov,
			      .msg_iovlen = n,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	uint64_t h = HASH_START;
	unsigned int i;

	for (i = 0; i < n; i++) {
		iov[i] = (struct iovec){ burst.wire[first + i], burst.len[first + i] };
		h = hash(h, burst.wire[first + i], burst.len[first + i]);
		/* The owner has it for itself, if something else of the run is a session's. */
		remember(hash(HASH_START, burst.wire[first + i], burst.len[first + i]));
	}
	if (n > 1)
		remember(h);
	*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_IP, IP_TOS };
	memcpy(CMSG_DATA(c), (int[]){ burst.ecn }, sizeof(int));
	if (n > 1) {
		c = CMSG_NXTHDR(&msg, c);
		*c = (struct cmsghdr){ CMSG_LEN(sizeof(uint16_t)), SOL_UDP, UDP_SEGMENT };
		memcpy(CMSG_DATA(c), (uint16_t[]){ burst.len[first] }, sizeof(uint16_t));
	} else {
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
	}
	sendmsg(addresses[burst.from], &msg, 0);
	sent += n;
}

static void send_burst(void)
{
	unsigned int first, end;
	uint32_t bytes;

	for (first = 0; first < burst.n; first = end) {
		bytes = burst.len[first];
		for (end = first + 1;
		     end < burst.n && burst.len[end - 1] == burst.len[first] && burst.len[end] &&
		     burst.len[end] <= burst.len[first] && bytes + burst.len[end] < 65000;
		     end++)
			bytes += burst.len[end];
		send_run(first, end - first);
	}
	burst.n = 0;
	settle();
}

/* Room for one more datagram of this step. */
static uint8_t *next_wire(const struct step *s)
{
	unsigned int other = s->from & 7,
		     from = other ? (other - 1) % ADDRESSES : s->session % STEP_SESSIONS;
	uint8_t ecn = s->from >> 4 & 3;

	if (burst.n == BURST || (burst.n && (burst.from != from || burst.ecn != ecn)))
		send_burst();
	burst.from = from;
	burst.ecn = ecn;
	return burst.wire[burst.n];
}

/* It is in its place. Returns whether it still is what it was. */
static bool queue_wire(const struct step *s, uint32_t len)
{
	uint8_t *wire = burst.wire[burst.n];
	bool whole = true;

	if (s->flags & STEP_F_CUT) {
		len = len * s->where / 256;
		whole = false;
	}
	if (s->flags & STEP_F_DAMAGE && len) {
		wire[len * s->where / 256] ^= 1 << (s->pn & 7);
		whole = false;
	}
	burst.len[burst.n++] = len;
	return whole;
}

static uint64_t choose_pn(struct peer *p, int8_t change)
{
	uint64_t pn = p->next_pn;

	if (change == STEP_PN_ZERO)
		pn = 0;
	else if (change == STEP_PN_FAR)
		pn += 1 << 20;
	else
		pn = change < 0 && pn < (uint64_t)-change ? 0 : pn + change;
	if (pn >= p->next_pn)
		p->next_pn = pn + 1;
	return pn;
}

/* The @len bytes of @frames as one packet, into the burst. */
static void seal(const struct step *s, int8_t pn_change, const uint8_t *frames, size_t len)
{
	unsigned int i = s->session % STEP_SESSIONS, pn_len = 4 - (s->bits & 3), k;
	const struct kind *kind = &kinds[i];
	struct peer *p = &peers[i];
	uint8_t id = (kind->server ? 0x80 : 0x10) + 4 * (i + 1) + !!(s->flags & STEP_F_OTHER_ID);
	uint32_t hdr = 1 + kind->id_len + pn_len, least = 4 - pn_len;
	uint8_t *wire = next_wire(s), mask[1][NQ_HP_MASK_LEN];
	uint64_t pn = choose_pn(p, pn_change);
	const uint8_t *sample = wire + 1 + kind->id_len + 4;
	struct nq_aead_op op = { .aad = wire, .aad_len = hdr, .text = wire + hdr };

	if (s->flags & STEP_F_PAD && burst.n && burst.len[0] > hdr + NQ_TAG_LEN)
		least = burst.len[0] - hdr - NQ_TAG_LEN;
	if (len > WIRE_MAX - hdr - NQ_TAG_LEN)
		len = WIRE_MAX - hdr - NQ_TAG_LEN;
	wire[0] = (0x40 | p->out.phase << 2) ^ (s->bits & 0xfc);
	wire[0] |= pn_len - 1;
	memset(wire + 1, id, kind->id_len);
	for (k = 0; k < pn_len; k++)
		wire[1 + kind->id_len + k] = pn >> 8 * (pn_len - 1 - k);
	memcpy(op.text, frames, len);
	if (len < least) {
		memset(op.text + len, 0, least - len);
		len = least;
	}
	op.text_len = len;
	memcpy(op.nonce, p->out.iv, NQ_IV_LEN);
	for (k = 0; k < 8; k++)
		op.nonce[NQ_IV_LEN - 1 - k] ^= pn >> 8 * k;
	crypto->seal(p->out.aead, &op, 1);
	crypto->hp_mask(p->out.hp, &sample, mask, 1);
	wire[0] ^= mask[0][0] & 0x1f;
	for (k = 0; k < pn_len; k++)
		wire[1 + kind->id_len + k] ^= mask[0][1 + k];
	if (queue_wire(s, hdr + len + NQ_TAG_LEN)) {
		p->sealed++;
		/* A type and a context. */
		p->datagrams += len / 2;
	}
}

/* ---- steps ---- */

static void step_raw(const struct step *s, const uint8_t *payload, size_t len)
{
	memcpy(next_wire(s), payload, len);
	queue_wire(s, len);
}

static void step_sealed(const struct step *s, const uint8_t *payload, size_t len)
{
	unsigned int copies = 1 + (s->copies & STEP_COPIES), k;
	bool inner_packet = s->op % STEP_OPS == STEP_INNER;
	uint8_t frames[2 + STEP_PAYLOAD_MAX], *pkt = frames + 2;
	size_t l4, at;

	if (s->flags & STEP_F_NEXT_KEYS)
		next_keys(&kinds[s->session % STEP_SESSIONS],
			  &peers[s->session % STEP_SESSIONS].out);
	if (!inner_packet) {
		for (k = 0; k < copies; k++)
			seal(s, k ? 0 : s->pn, payload, len);
		return;
	}
	frames[0] = NQ_FRAME_DATAGRAM;
	frames[1] = 0;
	memcpy(pkt, payload, len);
	for (k = 0; k < copies; k++) {
		if (s->flags & STEP_F_FIX || k)
			step_fix(pkt, len);
		seal(s, k ? 0 : s->pn, frames, 2 + len);
		if (len < 40)
			continue;
		l4 = l4_at(pkt);
		if (pkt[0] >> 4 == 4)
			put16(pkt + 4, (pkt[4] << 8 | pkt[5]) + 1);
		at = l4 + 4;
		if ((pkt[0] >> 4 == 4 ? pkt[9] : pkt[6]) == IPPROTO_TCP && l4 + 20 <= len) {
			uint32_t seq, n = len - l4 - (pkt[l4 + 12] >> 4) * 4u;

			memcpy(&seq, pkt + at, 4);
			seq = htonl(ntohl(seq) + n);
			memcpy(pkt + at, &seq, 4);
		}
	}
}

static void step_device(const struct step *s, const uint8_t *payload, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex };
	uint8_t buf[STEP_PAYLOAD_MAX], *pkt = buf + sizeof(struct virtio_net_hdr);
	unsigned int k;

	if (len <= sizeof(struct virtio_net_hdr))
		return;
	memcpy(buf, payload, len);
	if (s->flags & STEP_F_FIX)
		step_fix(pkt, len - sizeof(struct virtio_net_hdr));
	to.sll_protocol = htons(pkt[0] >> 4 == 4   ? ETH_P_IP
				: pkt[0] >> 4 == 6 ? ETH_P_IPV6
						   : ETH_P_ARP);
	for (k = 0; k <= (s->copies & STEP_COPIES); k++)
		sendto(packet, buf, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
}

static void step_udp(const struct step *s, const uint8_t *payload, size_t len)
{
	static const uint8_t zero[1 << 16];
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	uint8_t v4[16] = { [10] = 0xff, 0xff, 10, 20 + s->session % STEP_SESSIONS, 0, 1 };
	uint8_t v6[16] = { 0xfd, 0x20 + s->session % STEP_SESSIONS, [15] = 1 };
	int segment;

	if (len < 4)
		return;
	segment = payload[0] << 8 | payload[1];
	memcpy(&to.sin6_addr, s->bits & 1 ? v6 : v4, 16);
	setsockopt(inner, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	sendto(inner, zero, payload[2] << 8 | payload[3], MSG_DONTWAIT, (struct sockaddr *)&to,
	       sizeof(to));
}

/* Open what the module has sent, in place. Returns where its frames are, and *@len; or NULL. */
static uint8_t *open_answer(unsigned int i, uint8_t *wire, uint32_t *len, uint64_t *pn)
{
	const uint8_t *sample = wire + 1 + PEER_ID_LEN + 4;
	struct nq_aead_op op = { .aad = wire };
	struct keys *k = &peers[i].in;
	uint8_t mask[1][NQ_HP_MASK_LEN];
	uint32_t pn_len, truncated = 0, b;

	if (*len < 1 + PEER_ID_LEN + 4 + NQ_HP_SAMPLE_LEN)
		return NULL;
	crypto->hp_mask(k->hp, &sample, mask, 1);
	wire[0] ^= mask[0][0] & 0x1f;
	pn_len = 1 + (wire[0] & 3);
	for (b = 0; b < pn_len; b++) {
		wire[1 + PEER_ID_LEN + b] ^= mask[0][1 + b];
		truncated = truncated << 8 | wire[1 + PEER_ID_LEN + b];
	}
	*pn = nq_pn_decode(peers[i].next_in, truncated, pn_len);
	if (!(wire[0] & 4) == k->phase)
		next_keys(&kinds[i], k);
	op.aad_len = 1 + PEER_ID_LEN + pn_len;
	op.text = wire + op.aad_len;
	op.text_len = *len = *len - op.aad_len - NQ_TAG_LEN;
	memcpy(op.nonce, k->iv, NQ_IV_LEN);
	for (b = 0; b < 8; b++)
		op.nonce[NQ_IV_LEN - 1 - b] ^= *pn >> 8 * b;
	crypto->open(k->aead, &op, 1);
	return op.status ? NULL : op.text;
}

static uint8_t *put_number(uint8_t *p, uint64_t value)
{
	uint32_t v = htonl(0x80000000u | (value & 0x3fffffff));

	memcpy(p, &v, 4);
	return p + 4;
}

/* An ACK, and the answer to a challenge, from where it was heard. */
static void answer_one(unsigned int i, unsigned int address, uint8_t *wire, uint32_t len)
{
	struct step s = { .op = STEP_FRAMES, .session = i, .from = 1 + address };
	struct peer *p = &peers[i];
	uint8_t out[128], *at = out, *frames, *end;
	struct nq_frame f;
	uint64_t pn;

	frames = open_answer(i, wire, &len, &pn);
	if (!frames)
		return;
	if (pn != p->next_in)
		p->first_in = pn;
	p->next_in = pn + 1;
	*at++ = NQ_FRAME_ACK;
	at = put_number(at, pn);
	*at++ = 0;
	*at++ = 0;
	at = put_number(at, pn - p->first_in);
	for (end = frames + len; frames < end && !nq_frame_parse(frames, end, &f); frames += f.len)
		if (f.type == NQ_FRAME_PATH_CHALLENGE && at + 9 <= out + sizeof(out))
			at += nq_put_path(at, 9, NQ_FRAME_PATH_RESPONSE, f.path_data);
	seal(&s, 0, out, at - out);
	send_burst();
}

static void drain(int fd)
{
	static uint8_t buf[1 << 16];

	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) >= 0)
		;
}

static void step_answer(void)
{
	static uint8_t buf[1 << 16], copy[1 << 16];
	unsigned int a, i;
	ssize_t len;

	for (a = 0; a < ADDRESSES; a++) {
		while ((len = recv(addresses[a], buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
			for (i = 0; i < STEP_SESSIONS; i++) {
				if (!peers[i].up || (a < STEP_SESSIONS && a != i))
					continue;
				memcpy(copy, buf, len);
				answer_one(i, a, copy, len);
			}
		}
	}
	drain(inner);
}

static void step_wait(unsigned int ms)
{
	struct pollfd p[ADDRESSES];
	unsigned int a;

	for (a = 0; a < ADDRESSES; a++) {
		drain(addresses[a]);
		p[a] = (struct pollfd){ .fd = addresses[a], .events = POLLIN };
	}
	poll(p, ADDRESSES, (int)ms);
}

static void run_step(const struct step *s, const uint8_t *payload, size_t len)
{
	unsigned int op = s->op % STEP_OPS, i = s->session % STEP_SESSIONS;

	bring_up(i);
	if (op > STEP_INNER)
		send_burst();
	switch (op) {
	case STEP_RAW:
		step_raw(s, payload, len);
		break;
	case STEP_FRAMES:
	case STEP_INNER:
		step_sealed(s, payload, len);
		break;
	case STEP_DEVICE:
		step_device(s, payload, len);
		break;
	case STEP_UDP:
		step_udp(s, payload, len);
		break;
	case STEP_ANSWER:
		step_answer();
		break;
	case STEP_KEY_UPDATE:
		session_call(i, NQD_CMD_KEY_UPDATE, NULL, NULL);
		break;
	case STEP_WAIT:
		step_wait(s->where / 4);
	}
	if (op > STEP_INNER)
		settle();
	if (!(s->flags & STEP_F_JOIN))
		send_burst();
}

/* ---- what must hold ---- */

struct stats {
	bool there;
	uint64_t of[NQD_A_STATS_MAX + 1];
};

static void take_stats(void *arg, const uint8_t *msg, const struct nxm_hdr *hdr)
{
	struct nxa top[NQD_A_MAX + 1], st[NQD_A_STATS_MAX + 1];
	struct stats *stats = arg;
	struct nxm_error e;
	unsigned int i;

	if (nxa_parse(hdr->attrs, hdr->attrs_len, &nqd_top_set, top, msg, &e) ||
	    nxa_parse_nest(&top[NQD_A_STATS], &nqd_stats_set, st, msg, &e))
		broken("statistics: %s", e.text);
	for (i = 1; i <= NQD_A_STATS_MAX; i++)
		if (st[i].present)
			stats->of[i] = nxa_u64(&st[i]);
	stats->there = top[NQD_A_STATS].present;
}

/* Packets that the device has given to the stack. */
static uint64_t device_received(void)
{
	static char text[4096];
	unsigned long long packets = 0;
	ssize_t len = pread(device_stats, text, sizeof(text) - 1, 0);
	const char *at;

	if (len <= 0)
		fatal("/proc/net/dev");
	text[len] = 0;
	at = strstr(text, DEVICE ":");
	if (!at || sscanf(at, DEVICE ": %*u %llu", &packets) != 1)
		fatal("/proc/net/dev");
	return packets;
}

static void check_session(unsigned int i, const struct stats *s)
{
	uint64_t received = s->of[NQD_A_STATS_QUIC_RX_PACKETS],
		 datagrams = s->of[NQD_A_STATS_DATAGRAM_RX_FRAMES],
		 delivered = s->of[NQD_A_STATS_L3_RX_PACKETS];

	if (received > peers[i].sealed)
		broken("session %u: %llu packets accepted, of %llu that were genuine", i,
		       (unsigned long long)received, (unsigned long long)peers[i].sealed);
	if (datagrams > peers[i].datagrams)
		broken("session %u: %llu DATAGRAMs", i, (unsigned long long)datagrams);
	if (delivered + s->of[NQD_A_STATS_SOURCE_PREFIX_DROPS] +
		    s->of[NQD_A_STATS_PEER_GROUP_DROPS] >
	    datagrams)
		broken("session %u: %llu delivered, of %llu DATAGRAMs", i,
		       (unsigned long long)delivered, (unsigned long long)datagrams);
	received += s->of[NQD_A_STATS_AEAD_OPEN_FAILURES] + s->of[NQD_A_STATS_PN_DECODE_FAILURES] +
		    s->of[NQD_A_STATS_DUPLICATE_DROPS] + s->of[NQD_A_STATS_REPLAY_WINDOW_DROPS];
	if (received > sent)
		broken("session %u: %llu packets counted, of %llu", i, (unsigned long long)received,
		       (unsigned long long)sent);
}

/* What the socket's owner reads is as it was sent, although the module has looked at it. */
static void check_owners(void)
{
	static uint8_t buf[1 << 16];
	unsigned int i;
	ssize_t len;

	while ((len = recv(udp, buf, sizeof(buf), MSG_DONTWAIT)) >= 0) {
		uint64_t h = hash(HASH_START, buf, len);

		for (i = 0; i < n_runs && runs[i] != h; i++)
			;
		if (i == n_runs && n_runs < RUNS_MAX)
			broken("%zd bytes left to the owner that nobody has sent", len);
	}
}

/* All that reaches the stack has come through a session. */
static void check_all(uint64_t before)
{
	uint64_t delivered = 0, received;
	bool all = true;
	unsigned int i;

	for (i = 0; i < STEP_SESSIONS; i++) {
		struct stats s = { 0 };

		if (!peers[i].up)
			continue;
		session_call(i, NQD_CMD_GET_STATS, take_stats, &s);
		if (!s.there) {
			/* It has closed and is gone: what it counted is not known. */
			all = false;
			continue;
		}
		check_session(i, &s);
		delivered += s.of[NQD_A_STATS_L3_RX_PACKETS] - s.of[NQD_A_STATS_RX_QUEUE_DROPS];
	}
	received = device_received() - before;
	if (!all) {
		drain(udp);
		return;
	}
	check_owners();
	if (received != delivered)
		broken("%llu packets came out of the device, %llu out of sessions",
		       (unsigned long long)received, (unsigned long long)delivered);
}

/* A fresh session carries a good packet. */
static void check_good(unsigned int i)
{
	struct step s = { .op = STEP_INNER, .session = i };
	struct pollfd p = { .fd = inner, .events = POLLIN };
	struct flow f = { .udp = true };
	uint8_t pkt[STEP_PAYLOAD_MAX], got[STEP_PAYLOAD_MAX];
	uint32_t len = make_packet(&f, pkt, GOOD_LEN);
	unsigned int try;

	memcpy(pkt + 12, (uint8_t[]){ 10, 20 + i, 0, 1 }, 4);
	step_fix(pkt, len);
	bring_up(i);
	faults("0");
	for (try = 0; try < GOOD_TRIES; try++) {
		step_sealed(&s, pkt, len);
		send_burst();
		while (poll(&p, 1, 100) == 1)
			if (recv(inner, got, sizeof(got), MSG_DONTWAIT) == GOOD_LEN)
				goto out;
	}
	broken("session %u: a good packet does not arrive", i);
out:
	take_down(i);
}

/* ---- the run ---- */

static void run(const char *command)
{
	if (system(command))
		fatal(command);
}

/* The device keeps hold of the socket, so that it need not be given back after each input. */
static void keep_socket(void)
{
	struct nxm m;
	size_t nest;

	abi_begin(&abi, &m, NQD_CMD_CREATE_DEVICE, 0);
	nest = nxm_nest_begin(&m, NQD_A_DEVICE);
	nxm_put_str(&m, NQD_A_DEVICE_IFNAME, DEVICE);
	abi_put_fd(&abi, &m, NQD_A_DEVICE_SOCKET_FD, udp);
	nxm_nest_end(&m, nest);
	if (call(&m, NULL, NULL))
		fatal("SOCKET_FD");
}

static void open_sockets(void)
{
	struct sockaddr_in6 here = { .sin6_family = AF_INET6, .sin6_port = htons(2000) };
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex };
	unsigned int i;
	int on = 1;

	udp = abi_open_udp("127.0.0.1", 443, &bound);
	for (i = 0; i < ADDRESSES; i++) {
		addresses[i] = abi_open_udp(i == ADDRESSES - 1 ? "127.0.0.2" : "127.0.0.1",
					    5000 + i, &where[i]);
		if (addresses[i] < 0)
			fatal("a peer's socket");
	}
	inner = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (udp < 0 || inner < 0 || bind(inner, (struct sockaddr *)&here, sizeof(here)) ||
	    packet < 0 || bind(packet, (struct sockaddr *)&ll, sizeof(ll)) ||
	    setsockopt(packet, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)))
		fatal("sockets");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct nxm_error e;
	unsigned int i;

	(void)argc;
	(void)argv;
	harness_open();
	fault_percent = getenv("PACKET_FUZZER_FAULTS");
	if (fault_percent) {
		fault_files[0] =
			open("/sys/kernel/debug/failslab/probability", O_WRONLY | O_CLOEXEC);
		fault_files[1] =
			open("/sys/kernel/debug/fail_page_alloc/probability", O_WRONLY | O_CLOEXEC);
		faults("0");
	}
	if (unshare(CLONE_NEWNET))
		fatal("network namespace");
	find_ksoftirqd();
	run("ip link set lo up && sysctl -qw net.ipv4.ip_forward=1");
	crypto = nx_crypto_provider("gnutls");
	if (!crypto || abi_genl.open(&abi, "module") || abi_create_device(&abi, -1, DEVICE, &e))
		fatal("the module");
	run("ip link set " DEVICE " up mtu 1500 && ip address add 10.1.0.2/16 dev " DEVICE
	    " && ip address add fd00::2/64 dev " DEVICE
	    " nodad && ip route add 10.16.0.0/12 dev " DEVICE
	    " && ip route add fd20::/12 dev " DEVICE);
	ifindex = if_nametoindex(DEVICE);
	open_sockets();
	keep_socket();
	device_stats = open("/proc/thread-self/net/dev", O_RDONLY | O_CLOEXEC);
	if (device_stats < 0)
		fatal("/proc/net/dev");
	for (i = 0; i < STEP_SESSIONS; i++) {
		struct keys *k[] = { &peers[i].out, &peers[i].in };
		unsigned int j;

		for (j = 0; j < 2; j++) {
			k[j]->aead = context(crypto->aead_ctx_bytes);
			k[j]->hp = context(crypto->hp_ctx_bytes);
		}
	}
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	return program_mutate(data, size, max_size, seed, LLVMFuzzerMutate);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned int inputs;
	const uint8_t *payload;
	uint64_t before = device_received();
	unsigned int i;
	struct step s;
	size_t n, len;

	harness_note(data, size);
	sent = n_runs = 0;
	coverage_start(COVERAGE_ALL);
	while ((n = step_parse(data, size, &s, &payload, &len))) {
		run_step(&s, payload, len);
		data += n;
		size -= n;
	}
	send_burst();
	faults("0");
	coverage_stop();
	check_all(before);
	for (i = 0; i < STEP_SESSIONS; i++)
		take_down(i);
	for (i = 0; i < ADDRESSES; i++)
		drain(addresses[i]);
	drain(inner);
	if (++inputs % GOOD_EVERY == 0)
		check_good(inputs / GOOD_EVERY % STEP_SESSIONS);
	return 0;
}
