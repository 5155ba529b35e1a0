# SPDX-License-Identifier: Apache-2.0
"""The harness of the system tests: servers, processes, and helpers to look at what they did."""
