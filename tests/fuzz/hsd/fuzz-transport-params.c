// SPDX-License-Identifier: GPL-2.0-or-later
/* The scan of transport parameters for the source connection ID. */
#include "clienthello.h"
#include "fuzz-hsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *scid = NULL;
	size_t scid_len = 0;

	if (!hs_tp_initial_scid(data, size, &scid, &scid_len))
		promise(scid >= data && scid_len <= 20 && scid + scid_len <= data + size);
	else
		promise(!scid && !scid_len);
	return 0;
}
