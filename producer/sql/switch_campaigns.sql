-- SPDX-License-Identifier: Apache-2.0
-- Scheduled calls of a campaign that was stopped are cancelled, of one that was started again taken up. $1 limit
SELECT campaign_switch($1::bigint) AS switched
