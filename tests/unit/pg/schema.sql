-- SPDX-License-Identifier: Apache-2.0
create schema carillon;
create table item (id int primary key, name text, at_ms bigint, flag boolean);
create table parent (id int primary key);
create table child (parent_id int references parent deferrable initially deferred);
create table wide (a int);
insert into wide values (1);
