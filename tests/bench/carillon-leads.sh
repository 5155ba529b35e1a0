# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# Carillon as in carillon.sh, but what falls due are leads that the producer first has to make follow-ups for.
SOURCE=leads
# shellcheck source=tests/bench/carillon.sh
. "$(dirname "${BASH_SOURCE[0]}")/carillon.sh"
DESC="Carillon, from leads without a follow-up"
