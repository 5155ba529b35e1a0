-- SPDX-License-Identifier: Apache-2.0
-- Pending calls that are over, unless an operator has yet to decide about their call, and classifications that have not counted for as
-- long and that no pending call refers to are removed, a batch at a time. Their history stays in transitions. $1 limit, $2 days
WITH over AS MATERIALIZED (
	SELECT p.id FROM pending_calls p LEFT JOIN follow_ups f ON f.id = p.follow_up_id
	WHERE p.workflow_state IN ('completed', 'failed', 'classification_failed') AND p.state_since < now() - $2::integer * interval '1 day'
	AND f.status IS DISTINCT FROM 'undetermined'
	ORDER BY p.state_since LIMIT $1::bigint FOR UPDATE OF p SKIP LOCKED
), removed AS (
	DELETE FROM pending_calls WHERE id = ANY (ARRAY(SELECT id FROM over)) RETURNING id
), spent AS MATERIALIZED (
	SELECT c.id FROM call_classifications c
	WHERE least(c.classification_expires_at, CASE WHEN NOT c.is_active THEN c.updated_at END) < now() - $2::integer * interval '1 day'
	AND NOT EXISTS (SELECT FROM pending_calls p WHERE p.classification_id = c.id)
	ORDER BY least(c.classification_expires_at, CASE WHEN NOT c.is_active THEN c.updated_at END) LIMIT $1::bigint FOR UPDATE OF c SKIP LOCKED
), forgotten AS (
	DELETE FROM call_classifications WHERE id = ANY (ARRAY(SELECT id FROM spent)) RETURNING id
)
SELECT greatest((SELECT count(*) FROM removed), (SELECT count(*) FROM forgotten)) AS removed
