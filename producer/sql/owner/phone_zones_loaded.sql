-- SPDX-License-Identifier: Apache-2.0
-- Which table of phone zones is loaded; null before the first.
SELECT value #>> '{}' AS digest FROM settings WHERE key = 'phone_zones'
