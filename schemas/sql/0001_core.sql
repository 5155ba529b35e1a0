-- SPDX-License-Identifier: Apache-2.0
-- The core tables. Words of status columns are those of common/tbl (a test compares them).
-- The runner has made schema carillon and schema_migrations and set search_path = carillon, public.

-- ---- Who: tenants and their provider accounts -------------------------------------------------------------------

CREATE TABLE tenants (
	id         text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
	name       text NOT NULL,
	stopped_at timestamptz,          -- nothing of this tenant is dialed while set
	stop_reason text,
	created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE accounts (
	id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id      text NOT NULL DEFAULT 'default' REFERENCES tenants,
	name           text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
	provider       text NOT NULL,
	active         boolean NOT NULL DEFAULT true,
	source         text NOT NULL DEFAULT 'api' CHECK (source IN ('environment', 'api')),
	settings       jsonb NOT NULL DEFAULT '{}',    -- not secret: agent, assistant, caller number, base URL
	credentials    bytea,                          -- sealed (common/seal.h), bound to the name; null: environment
	credential_names text[] NOT NULL DEFAULT '{}', -- what is sealed in them
	max_concurrent integer NOT NULL DEFAULT 0 CHECK (max_concurrent >= 0),   -- over all lanes; 0: no limit
	breaker_until  timestamptz,                    -- no dials before: the provider refuses the account
	breaker_reason text,
	created_at     timestamptz NOT NULL DEFAULT now(),
	updated_at     timestamptz NOT NULL DEFAULT now()
);

-- ---- Time: zones that this server knows, zones of number blocks, holidays ---------------------------------------

CREATE TABLE time_zones (name text PRIMARY KEY);
INSERT INTO time_zones SELECT name FROM pg_timezone_names WHERE name NOT LIKE 'posix%' ON CONFLICT DO NOTHING;

CREATE TABLE phone_zones (      -- filled from schemas/phone_zones.tsv by the migration runner
	prefix text PRIMARY KEY CHECK (prefix ~ '^[0-9]{1,15}$'),
	zones  text[] NOT NULL
);

CREATE TABLE holidays (
	tenant_id text NOT NULL REFERENCES tenants,
	day       date NOT NULL,
	name      text NOT NULL DEFAULT '',
	PRIMARY KEY (tenant_id, day)
);

-- ---- Pacing: lanes ----------------------------------------------------------------------------------------------

CREATE TABLE lanes (
	id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id       text NOT NULL DEFAULT 'default' REFERENCES tenants,
	name            text NOT NULL,
	account_id      bigint REFERENCES accounts,
	active          boolean NOT NULL DEFAULT true,
	window_start    time,                           -- both null: any hour; start > end: over midnight; 24:00 is legal
	window_end      time,
	days            smallint[] CHECK (days <@ '{1,2,3,4,5,6,7}'),    -- ISO, 1 = Monday; null: all
	time_zone       text REFERENCES time_zones (name),
	use_lead_window boolean NOT NULL DEFAULT true,
	max_concurrent  integer NOT NULL DEFAULT 50 CHECK (max_concurrent >= 0),  -- live calls; 0: no limit
	batch_per_run   integer NOT NULL DEFAULT 500 CHECK (batch_per_run >= 0),  -- claims a pass; 0: no limit
	rate_per_second double precision CHECK (rate_per_second > 0),             -- null: no limit
	cap_24h         integer CHECK (cap_24h > 0),    -- dials a number in 24 hours, over all lanes
	cap_7d          integer CHECK (cap_7d > 0),
	priority        smallint NOT NULL DEFAULT 0,
	stopped_at      timestamptz,                    -- when it was last made inactive; null while it is active, and before it ever was
	tokens          double precision NOT NULL DEFAULT 0,     -- the rate's bucket, at tokens_at
	tokens_at       timestamptz NOT NULL DEFAULT now(),
	next_at         timestamptz NOT NULL DEFAULT '-infinity',  -- not served before; early is harmless, late is not
	served_at       timestamptz NOT NULL DEFAULT '-infinity',
	claim_token     uuid,                           -- of the pass that holds the lane's lock
	UNIQUE (tenant_id, name),
	CHECK ((window_start IS NULL) = (window_end IS NULL)),
	CHECK (window_start IS NULL AND days IS NULL OR time_zone IS NOT NULL)
) WITH (fillfactor = 50);

CREATE INDEX lanes_stopped ON lanes (stopped_at) WHERE stopped_at IS NOT NULL;

-- ---- Whom: leads ------------------------------------------------------------------------------------------------

CREATE TABLE leads (
	id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id      text NOT NULL DEFAULT 'default' REFERENCES tenants,
	external_id    text,
	first_name     text,
	last_name      text,
	phone          text,                            -- as given
	phone_e164     text,                            -- kept by trigger; null: none that can be dialed
	state          text,
	list_id        text,
	time_zone      text,                            -- IANA name if known
	zones          text[] NOT NULL DEFAULT '{}',    -- kept by trigger: all zones the lead may be in
	stage          text NOT NULL DEFAULT 'new',
	call_date      timestamptz,
	auto_follow_up boolean NOT NULL DEFAULT true,   -- the lead source may make follow-ups of its own
	paused         boolean NOT NULL DEFAULT false,
	seeded_at      timestamptz,                     -- the lead source has looked, or needs not; null: look (again)
	raw_payload    jsonb NOT NULL DEFAULT '{}',
	created_at     timestamptz NOT NULL DEFAULT now(),
	updated_at     timestamptz NOT NULL DEFAULT now(),
	UNIQUE (tenant_id, external_id)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02);

-- A dispatch makes the row a third longer: of a page that is half full not all would find room there, and each that does not
-- costs an entry in every index.

-- A predicate on what a dispatch changes (stage, call_date) would cost each of them an entry in every index of the table.
CREATE INDEX leads_unseeded ON leads (id) WHERE seeded_at IS NULL;
CREATE INDEX leads_phone ON leads (phone_e164);

CREATE TABLE suppressions (
	tenant_id  text NOT NULL DEFAULT 'default' REFERENCES tenants,
	phone      text NOT NULL CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
	reason     text NOT NULL DEFAULT '',
	source     text NOT NULL DEFAULT 'operator',
	expires_at timestamptz,
	created_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (phone, tenant_id)
);
CREATE INDEX suppressions_recent ON suppressions (created_at);
CREATE INDEX suppressions_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;

-- ---- The one queue ----------------------------------------------------------------------------------------------

CREATE TABLE claims (                               -- one row a lane, account and pass: which jobs were published, and their lease
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	lane_id      bigint NOT NULL,
	account_id   bigint,                            -- by which they were to be dialed then
	producer     text NOT NULL,
	jobs         integer NOT NULL,
	claimed_at   timestamptz NOT NULL DEFAULT now(),
	published_at timestamptz,                       -- all jobs acknowledged by Kafka
	lease_s      integer NOT NULL,
	lease_until  timestamptz NOT NULL
);
CREATE INDEX claims_lease ON claims (lease_until);
CREATE INDEX claims_lane ON claims (lane_id);

CREATE TABLE follow_ups (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id    text NOT NULL DEFAULT 'default',
	lead_id      bigint NOT NULL REFERENCES leads ON DELETE CASCADE,
	kind         text NOT NULL DEFAULT 'follow_up' CHECK (kind IN ('follow_up', 'redial', 'campaign', 'classify', 'task')),
	lane_id      bigint NOT NULL REFERENCES lanes,
	account_id   bigint REFERENCES accounts,        -- null: the lane's
	source       text NOT NULL DEFAULT 'sql',       -- lead, redial, campaign, workflow, api, sql
	source_id    text NOT NULL,
	occurrence   text NOT NULL DEFAULT '',
	status       text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'queued', 'dialing', 'completed',
	                 'skipped', 'cancelled', 'failed', 'undetermined')),
	priority     smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 2),   -- 0 bulk, 1 normal, 2 manual
	due_at       timestamptz NOT NULL DEFAULT now(),
	next_look_at timestamptz,                       -- of a pending one: due_at, or when a held one is looked at again; else null
	gate         text,                              -- what holds it
	reason       text,                              -- of a final state
	last_error   text,
	attempts     integer NOT NULL DEFAULT 0,        -- dials and refusals that count
	job_id       uuid,
	claim_id     bigint,
	lease_until  timestamptz,
	completed_at timestamptz,
	created_at   timestamptz NOT NULL DEFAULT now(),
	UNIQUE (source_id, source, occurrence)          -- what tells most comes first
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);

-- No index names status: what only moves it on (queued, dialing, completed) then writes no index entry.
CREATE INDEX follow_ups_pending ON follow_ups (lane_id, priority, next_look_at, account_id) WHERE next_look_at IS NOT NULL;
CREATE INDEX follow_ups_own ON follow_ups (lane_id, priority, next_look_at) WHERE next_look_at IS NOT NULL AND account_id IS NOT NULL;
CREATE INDEX follow_ups_claim ON follow_ups (claim_id) WHERE claim_id IS NOT NULL;
CREATE INDEX follow_ups_lead ON follow_ups (lead_id);

-- A campaign's pacing is its lane, which is active while the campaign is; here is what a lane does not have.
CREATE TABLE campaigns (
	id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id       text NOT NULL DEFAULT 'default' REFERENCES tenants,
	lane_id         bigint NOT NULL UNIQUE REFERENCES lanes,
	name            text NOT NULL CHECK (name <> ''),
	assistant_id    text,                           -- null: the account's
	phone_number_id text,                           -- null: the account's
	frequency       text NOT NULL DEFAULT 'none' CHECK (frequency IN ('none', 'daily', 'weekly', 'custom')),
	schedule_days   smallint[] CHECK (schedule_days <@ '{1,2,3,4,5,6,7}'),   -- ISO; the lane's days while they bind
	retry_attempts  integer NOT NULL DEFAULT 3 CHECK (retry_attempts BETWEEN 1 AND 100),
	changing        boolean NOT NULL DEFAULT false, -- started or stopped: its scheduled calls follow, a batch at a time,
	change_at       timestamptz NOT NULL DEFAULT '-infinity',   -- not before: what a dispatcher holds may come back
	rescheduling    boolean NOT NULL DEFAULT false, -- its hours or rules have changed: so do the times of its scheduled calls,
	rescheduled_up_to bigint NOT NULL DEFAULT 0,    -- of contacts by lead, a batch at a time
	deleted_at      timestamptz,
	created_at      timestamptz NOT NULL DEFAULT now(),
	updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX campaigns_tenant ON campaigns (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX campaigns_changing ON campaigns (change_at) WHERE changing;
CREATE INDEX campaigns_rescheduling ON campaigns (id) WHERE rescheduling;

CREATE TABLE campaign_contacts (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	campaign_id bigint NOT NULL REFERENCES campaigns,
	lead_id     bigint NOT NULL REFERENCES leads ON DELETE CASCADE,
	scheduled   integer NOT NULL DEFAULT 0,         -- calls scheduled so far
	schedule_at timestamptz DEFAULT now(),          -- a call is to be scheduled, not before; null: it is, or none follows
	created_at  timestamptz NOT NULL DEFAULT now(),
	UNIQUE (campaign_id, lead_id)
) WITH (fillfactor = 80);
CREATE INDEX campaign_contacts_schedule ON campaign_contacts (campaign_id, schedule_at) WHERE schedule_at IS NOT NULL;
CREATE INDEX campaign_contacts_lead ON campaign_contacts (lead_id);
CREATE INDEX follow_ups_stopped ON follow_ups (lane_id) WHERE reason = 'campaign_stopped';   -- what a start takes up

-- ---- The ledger -------------------------------------------------------------------------------------------------

CREATE TABLE calls (
	job_id           uuid PRIMARY KEY,
	tenant_id        text NOT NULL,
	follow_up_id     bigint,                        -- null: dialed by another dialer (kind `outside`)
	kind             text NOT NULL,
	lane_id          bigint,                        -- of another dialer's: the redial lane, which its end feeds
	lead_id          bigint NOT NULL,
	account_id       bigint NOT NULL,
	provider         text NOT NULL,
	fingerprint      text,                          -- of the credentials it was posted with
	phone            text NOT NULL,
	attempt          integer NOT NULL,
	status           text NOT NULL CHECK (status IN ('dialing', 'unknown', 'calling', 'ringing', 'in_progress',
	                     'completed', 'failed', 'rejected', 'not_dialed', 'undetermined')),
	worker           text NOT NULL,                 -- name and incarnation
	due_at           timestamptz NOT NULL,
	dial_by          timestamptz,
	claimed_at       timestamptz NOT NULL DEFAULT now(),
	posted_at        timestamptz,
	answered_at      timestamptz,                   -- the provider's answer
	ended_at         timestamptz,
	http_status      integer,
	provider_call_id text,
	refusal          text,
	error            text,
	event_rank       smallint NOT NULL DEFAULT 0,   -- of the highest event applied
	outcome          text,
	ended_reason     text,
	success          boolean,
	callback_at      timestamptz,
	duration_ms      integer,
	decided_at       timestamptz,                   -- its end was turned into a redial decision
	resolution       text CHECK (resolution IN ('close', 'redial'))   -- what an operator decided while it was undetermined
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX calls_phone ON calls (phone, claimed_at);
CREATE INDEX calls_lead ON calls (lead_id);

-- Which call has the provider's id: the first one that was named so. Apart from calls, because an index there would cost each of
-- a call's updates an entry in every index of the table.
CREATE TABLE provider_calls (
	account_id       bigint NOT NULL,
	provider_call_id text NOT NULL,
	job_id           uuid NOT NULL,
	PRIMARY KEY (account_id, provider_call_id)
);

CREATE TABLE live (                                 -- calls that hold their phone and a slot
	job_id        uuid PRIMARY KEY,
	tenant_id     text NOT NULL,
	phone         text NOT NULL,
	lane_id       bigint NOT NULL,
	account_id    bigint NOT NULL,
	follow_up_id  bigint NOT NULL,
	state         text NOT NULL CHECK (state IN ('dialing', 'unknown', 'calling', 'ringing', 'in_progress', 'undetermined')),
	lease_until   timestamptz NOT NULL,             -- of the worker that claimed it
	next_check_at timestamptz NOT NULL,             -- when the reconciler looks
	checks        integer NOT NULL DEFAULT 0,
	checker       text,                             -- the worker that looked last, and may still be about it
	absent_at     timestamptz,                      -- first complete list without it
	hang_up_at    timestamptz,                      -- somebody wants it ended, and its provider has not been told yet
	hang_up_tries integer NOT NULL DEFAULT 0,
	UNIQUE (phone, tenant_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX live_lane ON live (lane_id);

CREATE TABLE call_reports (
	job_id        uuid PRIMARY KEY REFERENCES calls ON DELETE CASCADE,
	summary       text,
	transcript    text,
	recording_url text,
	cost_micros   bigint,
	success_evaluation text,                        -- the provider's own, where it is more than yes or no
	updated_at    timestamptz NOT NULL DEFAULT now()
);

-- ---- The recorder's inbox: every message about a call first comes here --------------------------------------------

CREATE TABLE call_events (
	id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message          text NOT NULL CHECK (message IN ('event', 'redial', 'stage')),
	account          text NOT NULL DEFAULT '',
	event_id         text NOT NULL,
	tenant_id        text NOT NULL,
	type             text,                          -- of an event (common/tbl/event_type.h)
	rank             smallint NOT NULL DEFAULT 0,
	provider_call_id text,
	job_id           uuid,                          -- as echoed by the provider
	call_job_id      uuid,                          -- the call it belongs to, once known
	lead_id          text,
	phone            text,
	outcome          text,
	ended_reason     text,
	success          boolean,
	callback_at      timestamptz,
	duration_ms      integer,
	occurred_at      timestamptz,
	received_at      timestamptz,
	body             jsonb NOT NULL DEFAULT '{}',   -- what only this kind of message has
	raw              bytea,                         -- the provider's own bytes
	state            text NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'applied', 'history', 'orphan')),
	recorded_at      timestamptz NOT NULL DEFAULT now(),
	applied_at       timestamptz,
	UNIQUE (account, event_id)
);
CREATE INDEX call_events_call ON call_events (call_job_id) WHERE call_job_id IS NOT NULL;
CREATE INDEX call_events_parked ON call_events (recorded_at) WHERE state = 'parked';
CREATE INDEX call_events_parked_call ON call_events (provider_call_id) WHERE state = 'parked';
CREATE INDEX call_events_orphans ON call_events (phone) WHERE state = 'orphan';

CREATE TABLE applied_offsets (
	topic     text NOT NULL,
	partition integer NOT NULL,
	next      bigint NOT NULL,                      -- the first offset not applied yet
	read_to   timestamptz NOT NULL DEFAULT '-infinity', -- what was published by then is applied; noted while somebody waits for it
	PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE dead_letters (                         -- messages that could not be used, as they came
	id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	topic           text NOT NULL,                  -- where it was read; a provider's callback that is no message of ours was
	partition       integer NOT NULL,               --   nowhere but in a dead-letter topic, and has its place there
	"offset"        bigint NOT NULL,
	key             bytea,
	reason          text NOT NULL,
	headers         jsonb NOT NULL DEFAULT '[]',    -- [[name, text], ...]
	value           bytea,
	created_at      timestamptz NOT NULL DEFAULT now(),
	replays         integer NOT NULL DEFAULT 0,
	replaying_until timestamptz,                    -- a replay is under way: no second one before
	resolution      text CHECK (resolution IN ('replayed', 'discarded')),
	resolved_at     timestamptz,
	UNIQUE (topic, partition, "offset"),
	CHECK ((resolution IS NULL) = (resolved_at IS NULL))
);
CREATE INDEX dead_letters_open ON dead_letters (id) WHERE resolved_at IS NULL;

-- ---- What ends lead to ------------------------------------------------------------------------------------------

CREATE TABLE outcome_rules (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id  text REFERENCES tenants,             -- null: all that have no rule of their own
	outcome    text NOT NULL CHECK (outcome ~ '^[A-Z0-9_]{1,63}$'),
	action     text NOT NULL CHECK (action IN ('success', 'retry', 'callback', 'stop', 'suppress')),
	next_stage text,
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX outcome_rules_key ON outcome_rules (coalesce(tenant_id, ''), outcome);

-- What a provider's own words mean, and those its agents say. A row wins over the built-in meaning (common/tbl).
CREATE TABLE outcome_words (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id  text REFERENCES tenants,             -- null: all that have no row of their own
	provider   text NOT NULL CHECK (provider ~ '^[a-z0-9_]{1,31}$'),
	word       text NOT NULL CHECK (word ~ '^[A-Z0-9_]{1,127}$'),   -- as outcome_word() writes it
	outcome    text NOT NULL CHECK (outcome ~ '^[A-Z0-9_]{1,63}$'),
	updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX outcome_words_key ON outcome_words (coalesce(tenant_id, ''), provider, word);

CREATE TABLE redial_queue (
	id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant_id     text NOT NULL DEFAULT 'default' REFERENCES tenants,
	lead_id       text NOT NULL,                    -- the dialer's own id of the lead
	phone_number  text NOT NULL,
	phone_digits  text GENERATED ALWAYS AS (regexp_replace(phone_number, '[^0-9]', '', 'g')) STORED,
	lead_ref      bigint REFERENCES leads ON DELETE SET NULL,
	list_id       text,
	first_name    text,
	last_name     text,
	state         text,
	attempts      integer NOT NULL DEFAULT 0,       -- dials made, the first call included
	last_call_timestamp     timestamptz,
	next_redial_timestamp   timestamptz,
	scheduled_callback_time timestamptz,
	seeded_for    timestamptz,                      -- the next_redial_timestamp that has its follow-up
	outcomes      text[] NOT NULL DEFAULT '{}',
	last_outcome  text,
	last_call_id  text,
	status        text NOT NULL CHECK (status IN ('pending', 'rescheduled', 'completed', 'max_attempts', 'paused')),
	created_at    timestamptz NOT NULL DEFAULT now(),
	updated_at    timestamptz NOT NULL DEFAULT now(),
	imported_at   timestamptz,                      -- updated_at as it came from a file; later than this, it is ours alone
	UNIQUE (tenant_id, lead_id, phone_digits)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX redial_queue_due ON redial_queue (next_redial_timestamp)
	WHERE status IN ('pending', 'rescheduled') AND seeded_for IS DISTINCT FROM next_redial_timestamp;

CREATE TABLE redial_removed (                       -- by people: no file brings them back
	tenant_id    text NOT NULL REFERENCES tenants,
	lead_id      text NOT NULL,
	phone_digits text NOT NULL,
	removed_at   timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, lead_id, phone_digits)
);

CREATE TABLE transitions (
	id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	entity     text NOT NULL CHECK (entity IN ('lead', 'pending_call', 'campaign_call', 'campaign', 'redial',
	               'call', 'dead_letter', 'scheduler', 'tenant', 'audit')),
	entity_id  text NOT NULL,
	from_state text,
	to_state   text NOT NULL,
	reason     text,
	note       text,                                -- what a person said to it
	actor      text NOT NULL,
	event_id   text,
	at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX transitions_entity ON transitions (entity, entity_id);

CREATE TABLE settings (
	key        text PRIMARY KEY,
	value      jsonb NOT NULL,
	updated_at timestamptz NOT NULL DEFAULT now()
);
