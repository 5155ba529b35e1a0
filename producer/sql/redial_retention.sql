-- SPDX-License-Identifier: Apache-2.0
-- What the redial queue's retention says, a batch at a time. $1 limit
SELECT removed, closed FROM redial_retain($1::bigint, 'producer')
