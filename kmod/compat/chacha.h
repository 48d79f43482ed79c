/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ChaCha20 library, whose state was an array of words before it became a struct (6.16).
 */
#ifndef NQD_COMPAT_CHACHA_H
#define NQD_COMPAT_CHACHA_H

#include <linux/version.h>
#include <crypto/chacha.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
struct nqd_chacha {
	u32 x[CHACHA_STATE_WORDS];
};

#define nqd_chacha_init(s, key, iv)		chacha_init((s)->x, key, iv)
#define nqd_chacha20_crypt(s, dst, src, n)	chacha20_crypt((s)->x, dst, src, n)
#define nqd_hchacha20(s, out)			hchacha_block((s)->x, out, 20)
#else
#define nqd_chacha				chacha_state
#define nqd_chacha_init(s, key, iv)		chacha_init(s, key, iv)
#define nqd_chacha20_crypt(s, dst, src, n)	chacha20_crypt(s, dst, src, n)
#define nqd_hchacha20(s, out)			hchacha_block(s, out, 20)
#endif

#endif /* NQD_COMPAT_CHACHA_H */
