-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE three (id integer);
SELECT 'ä';
SELECT no_such_column FROM one;
