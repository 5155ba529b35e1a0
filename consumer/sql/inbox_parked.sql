-- SPDX-License-Identifier: Apache-2.0
-- How many messages wait for their call.
SELECT count(*) AS parked FROM call_events WHERE state = 'parked'
