// SPDX-License-Identifier: GPL-2.0-or-later
/* What a cover answers: datagrams as they come, and the frames of an opened packet. */
#include <string.h>
#include "fuzz-hsd.h"
#include "profile.h"
#include "shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t frames[HS_SHAPE_PACKET_MAX];
	struct hs_profile_style style;
	struct hs_profile_dgram d;
	ssize_t n;

	if (hs_profile_cut(data, size, &d))
		promise(hs_profile_dgram_bytes(&d) == size);
	hs_shape_find_padding(data, size, &style);
	promise(style.initial_padded || !style.padding_first);
	if (size > sizeof(frames))
		return 0;
	n = hs_shape_strip_padding(data, size, frames);
	promise(n <= (ssize_t)size);
	/* What is left is frames without PADDING. */
	if (n >= 0)
		promise(hs_shape_strip_padding(frames, (size_t)n, frames) == n);
	return 0;
}
