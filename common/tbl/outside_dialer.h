/* SPDX-License-Identifier: Apache-2.0 */
/* Providers that dial by themselves: their events tell of calls that no job of ours asked for. OUTSIDE_DIALER(provider) */
OUTSIDE_DIALER("convoso")
OUTSIDE_DIALER("generic")
