-- SPDX-License-Identifier: Apache-2.0
select current_setting('search_path') as path, current_setting('timezone') as zone,
	current_setting('statement_timeout') as timeout, current_setting('application_name') as name
