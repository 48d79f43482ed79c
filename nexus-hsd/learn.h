/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a server's cover profile (profile.h) is learnt: by visits to the cover, each a connection of
 * the shape that our clients have, through one of the relay's sockets. Most visits shake hands and
 * close; one leaves the cover's answer unanswered and notes what is repeated, and when.
 *
 * Bounded: HS_LEARN_VISITS visits for a profile, one at a time, each of so many datagrams and so
 * much time; a visit that fails is tried again after a pause that doubles. Begins when the relay has
 * sockets to spare, again after HS_LEARN_REFRESH_S, and when the cover has moved while we knew where it
 * was.
 */
#ifndef HS_LEARN_H
#define HS_LEARN_H

#include <stdbool.h>
#include <stdint.h>
#include "conn.h"
#include "profile.h"
#include "tunnel.h"

#define HS_LEARN_VISITS HS_PROFILE_FLIGHTS_MAX
#define HS_LEARN_REFRESH_S 86400
#define HS_LEARN_MOVED_S 3600
/* Datagrams with no longer a pause between them are one flight. */
#define HS_LEARN_PAUSE_MS 60
/* How long repeats are waited for, and an answer. */
#define HS_LEARN_SILENCE_MS 8000
#define HS_LEARN_ANSWER_MS 3000
/* Between visits. */
#define HS_LEARN_INTERVAL_MS 700
#define HS_LEARN_RETRY_MIN_MS 5000
#define HS_LEARN_RETRY_MAX_MS 3600000
/* Of one visit, enough for a large chain of certificates; whatever else comes is ignored. */
#define HS_LEARN_DGRAMS_MAX 32

struct hs_visit;
struct hs_learner;

/* For a server's tunnel; NULL: no memory. */
struct hs_learner *hs_learner_new(struct hs_tunnel *t);
void hs_learner_free(struct hs_learner *l);
/* Visits ask for this name. If it is another than before, visit it as soon as may be. */
void hs_learner_set_name(struct hs_learner *l, const uint8_t hash[HS_PROFILE_NAME_HASH_LEN]);
/*
 * The cover has another address. Names with many addresses change them all the time: what is not older
 * than HS_LEARN_MOVED_S stays as long as that.
 */
void hs_learner_moved(struct hs_learner *l);
/* Somebody may have mended what kept the last visits from succeeding: do not wait any longer. */
void hs_learner_retry(struct hs_learner *l);
/* What is known is @age_s old: visit again when it is HS_LEARN_REFRESH_S old. */
void hs_learner_postpone(struct hs_learner *l, uint64_t age_s);
/* Timers of all tunnels; returns the earliest next time. */
uint64_t hs_learners_run_timers(struct hsd *h);
/* From conn.c: the visit's connection ends and will be freed. */
void hs_visit_ended(struct hs_visit *v);
/* From quic.c: an Initial of the cover, opened; its header in clear. */
void hs_visit_initial(struct hs_visit *v, const uint8_t *header, size_t header_len,
		      const uint8_t *plain, size_t len);
/* Handshake CRYPTO of the cover. */
void hs_visit_crypto(struct hs_visit *v, size_t bytes);

#endif /* HS_LEARN_H */
