-- SPDX-License-Identifier: Apache-2.0
insert into item (id, name) values ($1::int, $2::text) returning id, name, at_ms, flag
