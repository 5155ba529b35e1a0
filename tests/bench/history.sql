-- SPDX-License-Identifier: Apache-2.0
-- A history to measure: :calls calls of a year to a fifth as many leads, of three lanes and sixty campaigns of very different sizes,
-- and what is still scheduled or was called off. For psql, on an empty migrated database.

\set ON_ERROR_STOP on
SET search_path = carillon, public;
SET session_replication_role = replica;   -- the triggers' work is done here in sets
SET synchronous_commit = off;
SET maintenance_work_mem = '256MB';
SET work_mem = '128MB';
ALTER INDEX leads_search SET (gin_pending_list_limit = 131072);
SELECT setseed(0.5) \gset _

INSERT INTO accounts (tenant_id, name, provider) VALUES ('default', 'bench', 'vapi');
INSERT INTO lanes (tenant_id, name, account_id, active, use_lead_window)
SELECT 'default', 'campaign:' || i, (SELECT id FROM accounts WHERE name = 'bench'), true, false FROM generate_series(1, 60) i;
INSERT INTO campaigns (tenant_id, lane_id, name) SELECT 'default', id, 'Campaign ' || substr(name, 10) FROM lanes WHERE name LIKE 'campaign:%' ORDER BY id;

-- Twenty first names and as many last ones are common, the others rare.
CREATE TEMP TABLE first_names AS SELECT i, (ARRAY['James','Mary','Robert','Patricia','John','Jennifer','Michael','Linda','David','Elizabeth','William',
	'Barbara','Richard','Susan','Joseph','Jessica','Thomas','Sarah','Charles','Karen'])[i % 20 + 1] || CASE WHEN i < 60 THEN '' ELSE chr(97 + i % 26) || chr(97 + i / 26 % 26) END AS name
	FROM generate_series(0, 299) i;
CREATE TEMP TABLE last_names AS SELECT i, (ARRAY['Smith','Johnson','Williams','Brown','Jones','Garcia','Miller','Davis','Rodriguez','Martinez','Hernandez',
	'Lopez','Gonzalez','Wilson','Anderson','Thomas','Taylor','Moore','Jackson','Martin'])[i % 20 + 1] || CASE WHEN i < 100 THEN '' ELSE chr(97 + i % 26) || chr(97 + i / 7 % 26) END AS name
	FROM generate_series(0, 999) i;

INSERT INTO leads (tenant_id, first_name, last_name, phone, phone_e164, zones, auto_follow_up, seeded_at, stage, created_at)
SELECT 'default', f.name, l.name, p.phone, p.phone, '{America/New_York}', false, now(), 'contacted', now() - interval '1 year'
FROM generate_series(1, :calls / 5) g (n)
CROSS JOIN LATERAL (SELECT '+1' || 200 + (n * 7919::bigint % 800) || '55501' || lpad((n % 100)::text, 2, '0') AS phone,
	floor(300 * random() + 0 * n)::integer AS first, floor(1000 * random() + 0 * n)::integer AS last) p
JOIN first_names f ON f.i = p.first
JOIN last_names l ON l.i = p.last;
UPDATE leads SET first_name = 'Zebulon', last_name = 'Quetzal' WHERE id % 100000 = 7;

-- Of each call's moment the squares of a random number: the small lanes are much smaller than the large ones.
CREATE TEMP TABLE lane AS SELECT row_number() OVER (ORDER BY id) - 1 AS i, id, (SELECT k.id FROM campaigns k WHERE k.lane_id = lanes.id) AS campaign_id
	FROM lanes WHERE tenant_id = 'default';
CREATE TEMP TABLE made AS
SELECT g.i, now() - interval '365 days' + g.i * (interval '365 days' / :calls) AS at, n.id AS lane_id, n.campaign_id IS NOT NULL AS is_campaign,
	1 + g.i::bigint * 48271 % (:calls / 5) AS lead_id, r.dice,
	CASE WHEN r.dice < 0.55 THEN 'completed' WHEN r.dice < 0.98 THEN 'failed' WHEN r.dice < 0.99 THEN 'rejected' WHEN r.dice < 0.9999 THEN 'not_dialed' ELSE 'refused' END AS word
FROM generate_series(1, :calls) g (i)
CROSS JOIN LATERAL (SELECT random() + 0 * g.i AS dice, floor(power(random(), 3) * 63 + 0 * g.i) AS lane) r
JOIN lane n ON n.i = r.lane;
CREATE INDEX ON made (i);
ANALYZE made;

INSERT INTO follow_ups (id, tenant_id, lead_id, kind, lane_id, source, source_id, status, due_at, attempts, job_id, claim_id, completed_at, created_at, reason)
OVERRIDING SYSTEM VALUE
SELECT i, 'default', lead_id, CASE WHEN is_campaign THEN 'campaign' ELSE 'follow_up' END, lane_id, CASE WHEN is_campaign THEN 'campaign' ELSE 'sql' END,
	i::text, CASE WHEN word = 'refused' THEN 'failed' ELSE 'completed' END, at, 1, NULL, NULL, at, at - interval '1 hour', CASE WHEN word = 'refused' THEN 'number' END
FROM made ORDER BY made.i;
-- A tenth as many wait, and a fiftieth were called off.
INSERT INTO follow_ups (id, tenant_id, lead_id, kind, lane_id, source, source_id, status, due_at, next_look_at, created_at, reason)
OVERRIDING SYSTEM VALUE
SELECT :calls + g.n, 'default', m.lead_id, CASE WHEN m.is_campaign THEN 'campaign' ELSE 'follow_up' END, m.lane_id, CASE WHEN m.is_campaign THEN 'campaign' ELSE 'sql' END,
	(:calls + g.n)::text, CASE WHEN g.n % 6 = 0 THEN CASE WHEN g.n % 4 = 0 THEN 'skipped' ELSE 'cancelled' END ELSE 'pending' END, now() + interval '100 days',
	CASE WHEN g.n % 6 <> 0 THEN now() + interval '100 days' END, m.at, CASE WHEN g.n % 6 = 0 THEN CASE WHEN g.n % 4 = 0 THEN 'suppressed' ELSE 'campaign_stopped' END END
FROM generate_series(1, :calls * 12 / 100) g (n) JOIN made m ON m.i = g.n * 8;
SELECT setval(pg_get_serial_sequence('follow_ups', 'id'), :calls * 2) \gset _

INSERT INTO calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at, claimed_at, posted_at,
	answered_at, ended_at, http_status, provider_call_id, refusal, error, event_rank, outcome, ended_reason, success, duration_ms)
SELECT uuid_v7(lpad(to_hex((extract(epoch FROM m.at) * 1000)::bigint), 12, '0') || '7' || substr(gen_random_uuid()::text, 1, 3)), 'default', m.i,
	CASE WHEN m.is_campaign THEN 'campaign' ELSE 'follow_up' END, m.lane_id, m.lead_id, a.id, 'vapi', l.phone_e164, 1,
	CASE m.word WHEN 'refused' THEN 'rejected' ELSE m.word END, 'bench/1', m.at, m.at, m.at, m.at,
	CASE WHEN m.word IN ('completed', 'failed') THEN m.at + interval '1 minute' END, 201, 'bench-' || m.i,
	CASE m.word WHEN 'refused' THEN 'number' WHEN 'rejected' THEN 'backpressure' END, NULL, 5,
	CASE m.word WHEN 'completed' THEN 'HUMAN' WHEN 'failed' THEN 'NO_ANSWER' END, 'customer-ended-call', m.dice < 0.1, 60000
FROM made m JOIN leads l ON l.id = m.lead_id, accounts a WHERE a.name = 'bench' ORDER BY m.i;

-- The youngest go on.
INSERT INTO live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)
SELECT job_id, tenant_id, '+1' || 2000000000 + follow_up_id, lane_id, account_id, follow_up_id,
	(ARRAY['dialing', 'calling', 'ringing', 'in_progress', 'unknown', 'undetermined'])[follow_up_id % 6 + 1], now(), 'infinity'
FROM calls WHERE claimed_at > now() - 600 * (interval '365 days' / :calls);
UPDATE calls c SET status = v.state, ended_at = NULL, outcome = NULL FROM live v WHERE v.job_id = c.job_id;

INSERT INTO ended_calls (lane_id, status, at, job_id, lead_id)
SELECT lane_id, ended_word(status, refusal), claimed_at, job_id, lead_id FROM calls WHERE status IN ('completed', 'failed', 'rejected', 'not_dialed') ORDER BY claimed_at;

-- What the other views show: a campaign of all contacts, the redial queue, the workflow, messages that could not be used.
INSERT INTO campaign_contacts (campaign_id, lead_id, scheduled, schedule_at) SELECT (SELECT min(id) FROM campaigns), id, 1, NULL FROM leads;
INSERT INTO redial_queue (tenant_id, lead_id, phone_number, lead_ref, first_name, last_name, attempts, status, next_redial_timestamp, outcomes, last_outcome)
SELECT 'default', 'L-' || id, phone, id, first_name, last_name, id % 4, (ARRAY['pending', 'rescheduled', 'paused', 'completed', 'max_attempts'])[id % 5 + 1],
	CASE WHEN id % 5 < 2 THEN now() + interval '100 days' END, '{NO_ANSWER}', 'NO_ANSWER' FROM leads WHERE id % 5 = 0 OR id % 7 = 0;
INSERT INTO pending_calls (tenant_id, lead_id, employee_name, phone, phone_e164, clinic_name, workflow_state, state_since, next_action_at)
SELECT 'default', id, first_name || ' ' || last_name, phone, phone_e164, 'A clinic', (ARRAY['new', 'needs_classification', 'classifying', 'classification_pending', 'ready_to_call',
	'calling', 'retry_pending', 'completed', 'failed', 'classification_failed'])[id % 10 + 1], now() - id % 1000 * interval '1 minute',
	CASE WHEN id % 10 < 7 THEN now() + interval '100 days' END FROM leads WHERE id % 3 = 0;
INSERT INTO dead_letters (topic, partition, "offset", reason, value, resolution, resolved_at)
SELECT 'calls.event.v1', n % 12, n, 'no message', 'none', CASE WHEN n % 10 > 0 THEN 'discarded' END, CASE WHEN n % 10 > 0 THEN now() END FROM generate_series(1, :calls / 50) n;
ALTER INDEX leads_search SET (gin_pending_list_limit = 256);
SELECT ended_count(1000);   -- as a sweeper would have
VACUUM ANALYZE leads, follow_ups, calls, live, ended_calls, ended_totals, campaigns, campaign_contacts, lanes, redial_queue, pending_calls, dead_letters;
