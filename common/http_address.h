/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses a provider can have.
 *
 * Credentials and account settings name hosts; a name that resolves to a machine of ours (loopback,
 * private networks, the cloud's metadata service) must not be reachable through them.
 */
#ifndef CARILLON_HTTP_ADDRESS_H
#define CARILLON_HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* True for globally reachable unicast IPv4 and IPv6 addresses; IPv4 inside IPv6 (mapped, 6to4,
 * NAT64) is judged as what it carries. */
bool http_address_is_public(const struct sockaddr *address);

#endif
