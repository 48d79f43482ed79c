/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct HkdfLabel of TLS 1.3 (RFC 8446 7.1) with an empty context, which RFC 9001 5.1 and 6.1
 * expand traffic secrets with. The HMAC behind it is each data plane's own.
 */
#ifndef NQ_LABEL_H
#define NQ_LABEL_H

#include "nq_types.h"

#define NQ_LABEL_PREFIX		"tls13 "
#define NQ_LABEL_PREFIX_LEN	6
#define NQ_LABEL_OVERHEAD	(2 + 1 + NQ_LABEL_PREFIX_LEN + 1)
#define NQ_LABEL_MAX_LEN	64

/* Write it for @label and @out_len bytes of output to @info (NQ_LABEL_MAX_LEN bytes). Returns its
 * bytes, 0 if the label is too long.
 */
static inline u32 nq_hkdf_label(u8 *info, const char *label, u32 out_len)
{
	u32 len = (u32)strlen(label);

	if (len > NQ_LABEL_MAX_LEN - NQ_LABEL_OVERHEAD)
		return 0;
	info[0] = (u8)(out_len >> 8);
	info[1] = (u8)out_len;
	info[2] = (u8)(NQ_LABEL_PREFIX_LEN + len);
	memcpy(info + 3, NQ_LABEL_PREFIX, NQ_LABEL_PREFIX_LEN);
	memcpy(info + 3 + NQ_LABEL_PREFIX_LEN, label, len);
	info[3 + NQ_LABEL_PREFIX_LEN + len] = 0;
	return NQ_LABEL_OVERHEAD + len;
}

#endif /* NQ_LABEL_H */
