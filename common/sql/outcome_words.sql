-- SPDX-License-Identifier: Apache-2.0
-- What providers' words mean, for rule_set. tenant "" is everybody's.
SELECT coalesce(tenant_id, '') AS tenant, provider, word, outcome
FROM carillon.outcome_words
ORDER BY 1, 2, 3
