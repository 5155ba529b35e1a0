-- SPDX-License-Identifier: Apache-2.0
-- The environment's accounts as rows, so that lanes can name them. Their secrets stay in the environment; a row of the
-- API's under the same name is left alone. $1 names, $2 providers, $3 settings that are no secrets
INSERT INTO accounts (name, provider, source, settings)
SELECT name, provider, 'environment', settings::jsonb
FROM unnest($1::text[], $2::text[], $3::text[]) e (name, provider, settings)
ON CONFLICT (name) DO UPDATE SET provider = excluded.provider, settings = excluded.settings, updated_at = now()
WHERE accounts.source = 'environment' AND (accounts.provider, accounts.settings) IS DISTINCT FROM (excluded.provider, excluded.settings)
