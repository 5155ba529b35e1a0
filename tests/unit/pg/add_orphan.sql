-- SPDX-License-Identifier: Apache-2.0
insert into child (parent_id) values ($1::int)
