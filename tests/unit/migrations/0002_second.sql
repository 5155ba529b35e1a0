-- SPDX-License-Identifier: Apache-2.0
ALTER TABLE one ADD COLUMN name text;
UPDATE one SET name = 'ü';
