-- SPDX-License-Identifier: Apache-2.0
-- Prepares a migrated database for the bench: a login for each process, the lane without limits and closed, and
-- perf_enqueue(ids, due times, bodies), which makes a lead and its follow-up for each of 79,100 fictional numbers.
-- psql variable source: follow_ups, or leads for leads whose follow-ups the producer has to make.
-- perf_enqueue is PL/pgSQL for its kept plans: its own cost counts as the database's in the paced runs.
SELECT format('CREATE ROLE %I LOGIN IN ROLE %I', process || '_login', process)
FROM unnest(ARRAY['carillon_producer', 'carillon_consumer']) process
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = process || '_login')
\gexec

UPDATE carillon.lanes SET active = false, max_concurrent = 0, batch_per_run = 0 WHERE name = 'follow_ups';

CREATE TABLE public.bench_numbers AS
SELECT row_number() OVER (ORDER BY line, area) AS id, format('+1%s55501%s', area, lpad(line::text, 2, '0')) AS phone
FROM generate_series(200, 999) area CROSS JOIN generate_series(0, 99) line
WHERE area % 100 <> 11 AND area <> 900;
ALTER TABLE public.bench_numbers ADD PRIMARY KEY (id);
ANALYZE public.bench_numbers;

CREATE TABLE public.bench_source AS SELECT :'source' = 'leads' AS is_leads;

-- The body becomes the lead's variables, so that it goes out with the POST.
CREATE OR REPLACE FUNCTION public.perf_enqueue(i bigint[], d timestamptz[], b text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WITH work AS MATERIALIZED (
		SELECT w.id, w.due_at, w.body::jsonb AS body, n.phone
		FROM unnest(i, d, b) w (id, due_at, body) JOIN public.bench_numbers n USING (id)
	), lead AS (
		INSERT INTO carillon.leads (external_id, first_name, last_name, phone, time_zone, auto_follow_up, raw_payload)
		SELECT w.id::text, 'Ada', 'Lovelace', w.phone, 'America/New_York', s.is_leads,
			jsonb_build_object('variables', w.body - 'call_id' - 'phone_number')
		FROM work w, public.bench_source s
		RETURNING id, external_id
	)
	INSERT INTO carillon.follow_ups (lead_id, kind, source, source_id, due_at)
	SELECT l.id, 'follow_up', 'bench', l.external_id, w.due_at
	FROM lead l JOIN work w ON w.id::text = l.external_id JOIN public.bench_source s ON NOT s.is_leads;
END $$;

-- A system in use: as many people as are to come were called last week. The planner then knows its tables for what they
-- are; plans made on empty ones are bad until the next ANALYZE.
WITH before AS MATERIALIZED (
	SELECT id, phone, gen_random_uuid() AS job_id, now() - interval '7 days' AS t FROM public.bench_numbers WHERE id <= 20000
), lead AS (
	INSERT INTO carillon.leads (external_id, first_name, last_name, phone, time_zone, stage, call_date, auto_follow_up, seeded_at)
	SELECT 'before-' || id, 'Grace', 'Hopper', phone, 'America/New_York', 'contacted', t, false, t FROM before
	RETURNING id, external_id
), follow_up AS (
	INSERT INTO carillon.follow_ups (lead_id, kind, source, source_id, due_at, status, job_id, completed_at, attempts)
	SELECT l.id, 'follow_up', 'bench', l.external_id, b.t, 'completed', b.job_id, b.t, 1
	FROM before b JOIN lead l ON l.external_id = 'before-' || b.id
	RETURNING id, lead_id, lane_id, job_id
)
INSERT INTO carillon.calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status,
	worker, due_at, claimed_at, posted_at, answered_at, ended_at, http_status, provider_call_id, event_rank, outcome, decided_at)
SELECT b.job_id, 'default', f.id, 'follow_up', f.lane_id, f.lead_id, 0, 'vapi', b.phone, 1, 'completed', 'before', b.t, b.t, b.t,
	b.t, b.t, 201, 'before-' || b.id, 5, 'SALE', b.t
FROM before b JOIN follow_up f USING (job_id);
