-- SPDX-License-Identifier: Apache-2.0
-- ä: a character of two bytes before the statements
CREATE TABLE one (id integer);
INSERT INTO one VALUES (1);
SELECT pg_sleep(0.3);
