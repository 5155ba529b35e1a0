-- SPDX-License-Identifier: Apache-2.0
-- Scheduled calls of a campaign whose hours or rules have changed move to where these put them. $1 limit, of contacts
SELECT campaign_reschedule($1::bigint) AS rescheduled
