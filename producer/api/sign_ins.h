/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often wrong keys may be tried: a few at once, then one in a while, counted by address. Nobody
 * else's tries are in anybody's way, and a right key gives its address all of them back.
 */
#ifndef CARILLON_PRODUCER_API_SIGN_INS_H
#define CARILLON_PRODUCER_API_SIGN_INS_H

#include <stdbool.h>
#include <stdint.h>

#define SIGN_IN_TRIES 10       /* wrong keys at once */
#define SIGN_IN_EVERY_MS 2000  /* after that, one more in */
#define SIGN_IN_ADDRESSES 1024 /* that are remembered */
#define SIGN_IN_ADDRESS_BYTES 64

struct sign_ins {
	struct {
		char address[SIGN_IN_ADDRESS_BYTES];
		int64_t spent_until_ms; /* boot clock: when all tries are there again */
	} seen[SIGN_IN_ADDRESSES];
};

/* Milliseconds until it may be tried again; 0: now. */
int64_t sign_ins_wait_ms(const struct sign_ins *s, const char *address, int64_t now_ms);
void sign_ins_failed(struct sign_ins *s, const char *address, int64_t now_ms);
void sign_ins_succeeded(struct sign_ins *s, const char *address);

#endif
