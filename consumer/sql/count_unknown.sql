-- SPDX-License-Identifier: Apache-2.0
-- Calls whose fate is being looked up, for the metric.
SELECT count(*) AS n FROM live WHERE state = 'unknown' OR state = 'dialing' AND lease_until < now()
