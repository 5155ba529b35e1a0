-- SPDX-License-Identifier: Apache-2.0
create schema carillon;
create table item (id int primary key, name text, at_ms bigint, flag boolean);
create table parent (id int primary key);
create table child (parent_id int references parent deferrable initially deferred);
create table wide (a int);
insert into wide values (1);
-- Immutable, so it is computed when a plan is made: its value tells the plans apart.
create sequence plans;
create function planned() returns bigint language plpgsql immutable as $$ begin return nextval('plans'); end $$;
