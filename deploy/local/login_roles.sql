-- SPDX-License-Identifier: Apache-2.0
-- A login user for each process, in the group role that the migrations made; passwords from the environment.
\getenv producer_password PRODUCER_DB_PASSWORD
\getenv consumer_password CONSUMER_DB_PASSWORD
\getenv webhook_password WEBHOOK_DB_PASSWORD

select format('create role %I login in role %I', process || '_login', process)
from unnest(array['carillon_producer', 'carillon_consumer', 'carillon_webhook']) process
where not exists (select from pg_roles where rolname = process || '_login')
\gexec

alter role carillon_producer_login password :'producer_password';
alter role carillon_consumer_login password :'consumer_password';
alter role carillon_webhook_login password :'webhook_password';
