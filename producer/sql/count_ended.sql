-- SPDX-License-Identifier: Apache-2.0
-- Ended calls that have become old are counted, once. $1 of how many lanes and statuses
SELECT ended_count($1::bigint) AS counted
