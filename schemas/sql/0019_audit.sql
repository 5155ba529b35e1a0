-- SPDX-License-Identifier: Apache-2.0
-- The audit: each account's list of calls at its provider against the ledger, both ways, slice by slice of time. What differs is kept
-- until an audit finds it no more, or somebody says what it was.

-- Calls of a time without an index that each of their updates would pay for.
CREATE INDEX calls_claimed ON calls USING brin (claimed_at) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE audits (
	account_id  bigint PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
	audited_to  timestamptz NOT NULL,                  -- all before was compared with a complete list
	slice_s     integer NOT NULL DEFAULT 3600,         -- the next one: shorter after a list that was too long
	next_at     timestamptz NOT NULL DEFAULT now(),
	audited_at  timestamptz,                           -- when the last complete list was compared
	failures    integer NOT NULL DEFAULT 0             -- incomplete lists in a row
);

CREATE TABLE audit_differences (
	id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	account_id       bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
	tenant_id        text NOT NULL,
	kind             text NOT NULL CHECK (kind IN ('unknown_call', 'second_call', 'denied_call', 'missing_call')),
	provider_call_id text NOT NULL,
	job_id           uuid,                             -- of the ledger's call, where one is meant
	phone            text,
	happened_at      timestamptz NOT NULL,
	first_seen_at    timestamptz NOT NULL DEFAULT now(),
	last_seen_at     timestamptz NOT NULL DEFAULT now(),
	resolved_at      timestamptz,
	note             text,                             -- an operator's; without one a later audit found it no more
	UNIQUE (account_id, provider_call_id, kind)
);
CREATE INDEX audit_differences_open ON audit_differences (id) WHERE resolved_at IS NULL;

CREATE FUNCTION audit_record(d audit_differences) RETURNS jsonb LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('id', (d).id, 'account', (SELECT a.name FROM carillon.accounts a WHERE a.id = (d).account_id), 'tenant', (d).tenant_id,
		'kind', (d).kind, 'provider_call_id', (d).provider_call_id, 'job_id', (d).job_id, 'phone', (d).phone,
		'happened_at', carillon.iso_utc((d).happened_at), 'first_seen_at', carillon.iso_utc((d).first_seen_at),
		'last_seen_at', carillon.iso_utc((d).last_seen_at), 'resolved_at', carillon.iso_utc((d).resolved_at), 'note', (d).note)
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA carillon FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA carillon TO carillon_producer, carillon_consumer, carillon_readonly;
GRANT SELECT, INSERT, UPDATE ON audits, audit_differences TO carillon_consumer;
GRANT SELECT, UPDATE ON audit_differences TO carillon_producer;
GRANT SELECT ON audits TO carillon_producer;
GRANT SELECT ON audits, audit_differences TO carillon_readonly;
