/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The special-purpose address registries of IANA as two tables. For IPv4 all is public but what is
 * listed; for IPv6 only 2000::/3 is, less what is listed.
 */
#include "common/http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct network4 {
	uint32_t prefix;
	unsigned bits;
};

static const struct network4 special4[] = {
	{0x00000000, 8},  /* "this" network */
	{0x0a000000, 8},  /* private */
	{0x64400000, 10}, /* carrier-grade NAT */
	{0x7f000000, 8},  /* loopback */
	{0xa9fe0000, 16}, /* link-local, the metadata service among it */
	{0xac100000, 12}, /* private */
	{0xc0000000, 24}, /* protocol assignments */
	{0xc0000200, 24}, /* documentation */
	{0xc0586300, 24}, /* 6to4 relays */
	{0xc0a80000, 16}, /* private */
	{0xc6120000, 15}, /* benchmarks */
	{0xc6336400, 24}, /* documentation */
	{0xcb007100, 24}, /* documentation */
	{0xe0000000, 3},  /* multicast, reserved, broadcast */
};

struct network6 {
	unsigned char prefix[4];
	unsigned bits;
};

static const struct network6 special6[] = {
	{{0x20, 0x01, 0x00, 0x00}, 23}, /* protocol assignments, Teredo among them */
	{{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
	{{0x3f, 0xff, 0x00, 0x00}, 20}, /* documentation */
};

/* Where in an IPv6 address an IPv4 one is carried. */
struct carrier6 {
	unsigned char prefix[12];
	size_t prefix_bytes;
	size_t at;
};

static const struct carrier6 carriers[] = {
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 12, 12}, /* mapped */
	{{0x00, 0x64, 0xff, 0x9b}, 12, 12},		      /* NAT64 */
	{{0x20, 0x02}, 2, 2},				      /* 6to4 */
};

static bool is_public4(uint32_t address)
{
	for (size_t i = 0; i < sizeof(special4) / sizeof(special4[0]); i++)
		if ((address ^ special4[i].prefix) >> (32 - special4[i].bits) == 0)
			return false;
	return true;
}

static uint32_t read32(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static bool is_public6(const unsigned char *address)
{
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
		if (memcmp(address, carriers[i].prefix, carriers[i].prefix_bytes) == 0)
			return is_public4(read32(address + carriers[i].at));
	if ((address[0] & 0xe0) != 0x20)
		return false;
	for (size_t i = 0; i < sizeof(special6) / sizeof(special6[0]); i++)
		if ((read32(address) ^ read32(special6[i].prefix)) >> (32 - special6[i].bits) == 0)
			return false;
	return true;
}

bool http_address_is_public(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, address, sizeof(in));
		return is_public4(ntohl(in.sin_addr.s_addr));
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, address, sizeof(in6));
		return is_public6(in6.sin6_addr.s6_addr);
	}
	return false;
}
