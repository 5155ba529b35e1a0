/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every environment variable: CONFIG_ROW(NAME, type, default or NULL, min, max, flags, processes, doc)
 *
 * Types: STR, INT(unit), BOOL, URL, HOSTPORT, BROKERS, PGURL, WINDOW, HEX64, FILE, PATH, PHONE, WHSEC, WORD,
 * FIELDS, FRACTION, ZONE, ENUM("a|b"), LIST("a|b"; "" takes any words). min and max bound numbers; max bounds texts in bytes (0: 4096).
 * Flags: REQUIRED, SECRET (never shown), HTTPS (http:// only with ALLOW_INSECURE_PROVIDERS), NONE.
 * config.c has the defaults that depend on the process or the machine, and the checks between rows.
 */

/* ---- Connections ---- */
CONFIG_ROW(DATABASE_URL, PGURL, NULL, 0, 0, REQUIRED | SECRET, CONFIG_ALL, "PostgreSQL, with this process's own login")
CONFIG_ROW(KAFKA_BROKERS, BROKERS, NULL, 0, 0, REQUIRED, CONFIG_ALL, "Kafka bootstrap servers, separated by commas")
CONFIG_ROW(KAFKA_PROPERTIES, FILE, NULL, 0, 0, NONE, CONFIG_ALL, "file of further librdkafka properties, name=value lines (TLS, SASL)")
CONFIG_ROW(KAFKA_SESSION_TIMEOUT_MS, INT("ms"), "10000", 6000, 1800000, NONE, CONFIG_CONSUMER, "silence after which Kafka gives a consumer's partitions to others")
CONFIG_ROW(SCHEMA_REGISTRY_URL, URL, NULL, 0, 0, NONE, CONFIG_ALL, "schema registry; without one schemas have built-in ids, served at /registry")
CONFIG_ROW(TOPIC_PREFIX, WORD, "carillon.", 0, 100, NONE, CONFIG_ALL, "start of every topic's name")
CONFIG_ROW(CREATE_TOPICS, BOOL, "true", 0, 0, NONE, CONFIG_PRODUCER, "make missing topics at start")
CONFIG_ROW(TOPIC_PARTITIONS, INT("partitions"), "12", 1, 10000, NONE, CONFIG_PRODUCER, "of a topic made here")
CONFIG_ROW(TOPIC_REPLICATION, INT("copies"), NULL, 1, 100, NONE, CONFIG_PRODUCER, "of a topic made here; unset: the broker's default")
CONFIG_ROW(AUTO_MIGRATE, BOOL, "true", 0, 0, NONE, CONFIG_PRODUCER, "bring the database's schema up to date at start")

/* ---- The process ---- */
CONFIG_ROW(LISTEN, HOSTPORT, NULL, 0, 0, NONE, CONFIG_ALL, "address of the HTTP server")
CONFIG_ROW(LOG_LEVEL, ENUM("debug|info|warn|error"), "info", 0, 0, NONE, CONFIG_ALL, "least level that is logged")
CONFIG_ROW(WORKER_NAME, WORD, NULL, 0, 200, NONE, CONFIG_ALL, "names this process in leases and to Kafka; unique among those running")
CONFIG_ROW(WATCHDOG_MS, INT("ms"), "60000", 1000, 3600000, NONE, CONFIG_ALL, "a process whose loop hangs that long ends itself")
CONFIG_ROW(SETTINGS_REFRESH_S, INT("s"), "1", 1, 3600, NONE, CONFIG_ALL, "accounts, rules, stops and settings are read again after")
CONFIG_ROW(ROLES, LIST("dispatch|record"), "dispatch,record", 0, 0, NONE, CONFIG_CONSUMER, "what this consumer does")
CONFIG_ROW(PRODUCER_ROLES, LIST("schedule|api"), "schedule,api", 0, 0, NONE, CONFIG_PRODUCER, "what this producer does")

/* ---- Keys ---- */
CONFIG_ROW(ADMIN_API_KEY, STR, NULL, 0, 0, SECRET, CONFIG_PRODUCER, "key of the API and the dashboard; may be unset on loopback only")
CONFIG_ROW(ALLOW_QUERY_API_KEY, BOOL, "false", 0, 0, NONE, CONFIG_PRODUCER, "accept ?api_key= on GET, which ends up in other people's logs")
CONFIG_ROW(N8N_DISPATCH_SECRET, STR, NULL, 0, 0, SECRET, CONFIG_PRODUCER, "secret of /api/jobs/call-dispatch")
CONFIG_ROW(CRON_JOB_SECRET, STR, NULL, 0, 0, SECRET, CONFIG_PRODUCER, "the same, used where N8N_DISPATCH_SECRET is unset")
CONFIG_ROW(SECRET_KEY, HEX64, NULL, 0, 0, SECRET, CONFIG_ALL, "seals credentials kept in the database and on disk; while it is replaced the new one, a comma, and the old ones, which still open")

/* ---- Scheduling ---- */
CONFIG_ROW(SCHEDULE, ENUM("internal|external"), "internal", 0, 0, NONE, CONFIG_PRODUCER, "external: leads become due only by /api/jobs/call-dispatch")
CONFIG_ROW(TICK_MS, INT("ms"), "1000", 10, 60000, NONE, CONFIG_PRODUCER, "the scheduler looks at the queue at least so often")
CONFIG_ROW(QUEUED_LEASE_S, INT("s"), "300", 1, 86400, NONE, CONFIG_PRODUCER, "a published job nobody took is published again after")
CONFIG_ROW(ACCOUNT_QUEUED_MAX, INT("jobs"), "10000", 1, 10000000, NONE, CONFIG_PRODUCER, "most jobs of an account that are published and not yet taken")
CONFIG_ROW(SWEEP_INTERVAL_S, INT("s"), "5", 1, 3600, NONE, CONFIG_DIALERS, "expired leases and unknown calls are looked for every")
CONFIG_ROW(CLAIM_BATCH_MAX, INT("rows"), "2000", 1, 10000, NONE, CONFIG_DIALERS, "most follow-ups claimed by one statement")
CONFIG_ROW(RETRY_BASE_S, INT("s"), "60", 1, 86400, NONE, CONFIG_CONSUMER, "first wait after a dispatch that provably dialed nobody; doubles")
CONFIG_ROW(RETRY_MAX_S, INT("s"), "3600", 1, 604800, NONE, CONFIG_CONSUMER, "longest such wait")
CONFIG_ROW(LEAD_WINDOW, WINDOW, "08:00-21:00", 0, 0, NONE, CONFIG_PRODUCER, "when leads may be called, in their own time zones")
CONFIG_ROW(UNKNOWN_ZONE, ENUM("closed|lane"), "closed", 0, 0, NONE, CONFIG_PRODUCER, "a lead of unknown time zone: not called, or 10:00-17:00 in the lane's zone")
CONFIG_ROW(FOLLOW_UP_ACCOUNT, STR, NULL, 0, 200, NONE, CONFIG_PRODUCER, "account of the lane follow_ups; unset: the first of omni, vapi and bland that has a key")
CONFIG_ROW(REDIAL_ACCOUNT, STR, NULL, 0, 200, NONE, CONFIG_PRODUCER, "account of the lane redial; unset: the first of omni, vapi and bland that has a key")
CONFIG_ROW(REDIAL_QUEUE_ENABLED, BOOL, "true", 0, 0, NONE, CONFIG_PRODUCER, "dial again those who were not reached")
CONFIG_ROW(REDIAL_INTERVAL_MINUTES, INT("min"), "30", 1, 10080, NONE, CONFIG_PRODUCER, "wait between two dials of a lead")
CONFIG_ROW(REDIAL_MAX_ATTEMPTS, INT("dials"), "4", 1, 100, NONE, CONFIG_PRODUCER, "most dials of a lead, the first one included")
CONFIG_ROW(REDIAL_SUCCESS_OUTCOMES, LIST(""), "TRANSFERRED,SALE,ACA", 0, 0, NONE, CONFIG_PRODUCER, "outcomes after which a lead is not dialed again (CALLBACK without a time is one too)")
CONFIG_ROW(REDIAL_RETENTION_DAYS, INT("days"), "30", 1, 3650, NONE, CONFIG_PRODUCER, "redial records are kept for")
CONFIG_ROW(REDIAL_PROCESS_INTERVAL, INT("min"), "5", 1, 1440, NONE, CONFIG_PRODUCER, "the redial queue is looked at, at the latest, every")

CONFIG_ROW(UPLOAD_RETENTION_DAYS, INT("days"), "7", 1, 365, NONE, CONFIG_PRODUCER, "rejected rows of an upload of contacts can be fetched for")

/* ---- Workflow ---- */
CONFIG_ROW(CLASSIFY_ACCOUNT, STR, NULL, 0, 200, NONE, CONFIG_PRODUCER, "account of classification calls; unset: twilio, if it has a token")
CONFIG_ROW(TASK_ACCOUNT, STR, NULL, 0, 200, NONE, CONFIG_PRODUCER, "account of the lane workflow, which makes task calls; unset: the first of vapi, omni and bland that has a key")
CONFIG_ROW(WORKFLOW_HOURS, WINDOW, "09:00-17:00", 0, 0, NONE, CONFIG_PRODUCER, "when classification and task calls are made")
CONFIG_ROW(WORKFLOW_ZONE, ZONE, "America/New_York", 0, 63, NONE, CONFIG_PRODUCER, "time zone of these hours")
CONFIG_ROW(WORKFLOW_RETRY_MINUTES, INT("min"), "30", 1, 10080, NONE, CONFIG_PRODUCER, "first wait before a pending call is tried again; doubles")
CONFIG_ROW(CLASSIFICATION_WAIT_SECONDS, INT("s"), "30", 0, 3600, NONE, CONFIG_PRODUCER, "from a classification to the task call, and from the end of its call to the classifier's word")
CONFIG_ROW(CLASSIFICATION_MIN_CONFIDENCE, FRACTION, "0.6", 0, 0, NONE, CONFIG_PRODUCER, "a classification that is less sure counts as none")
CONFIG_ROW(CLASSIFICATION_UNCLEAR, ENUM("fail|retry"), "fail", 0, 0, NONE, CONFIG_PRODUCER, "after a call whose classification is unknown or not sure: fail ends in classification_failed, retry classifies again later")
CONFIG_ROW(CLASSIFICATION_TTL_DAYS, INT("days"), "30", 1, 3650, NONE, CONFIG_PRODUCER, "a classification is good for")
CONFIG_ROW(STUCK_MINUTES, INT("min"), "10", 1, 1440, NONE, CONFIG_PRODUCER, "a call in classifying or calling for longer is looked into")
CONFIG_ROW(WORKFLOW_RETENTION_DAYS, INT("days"), "90", 1, 3650, NONE, CONFIG_PRODUCER, "pending calls that are over, and classifications that count no more, are kept for")

/* ---- Dispatching ---- */
CONFIG_ROW(HTTP_SLOTS, INT("requests"), "1024", 1, 65536, NONE, CONFIG_CONSUMER, "most requests to providers at once")
CONFIG_ROW(JOB_LEASE_S, INT("s"), "60", 2, 3600, NONE, CONFIG_CONSUMER, "a claimed job belongs to its worker for")
CONFIG_ROW(LEASE_MARGIN_S, INT("s"), "5", 0, 3600, NONE, CONFIG_CONSUMER, "nothing is sent in the last part of a lease")
CONFIG_ROW(PROVIDER_TIMEOUT_S, INT("s"), "20", 1, 600, NONE, CONFIG_CONSUMER, "longest wait for a provider's answer")
CONFIG_ROW(CONNECTION_MAX_IDLE_S, INT("s"), "15", 0, 3600, NONE, CONFIG_CONSUMER, "an idle connection to a provider is reused for")
CONFIG_ROW(ALLOW_INSECURE_PROVIDERS, BOOL, "false", 0, 0, NONE, CONFIG_ALL, "permit http:// and private addresses (tests, the simulator)")
CONFIG_ROW(RECORD_BATCH_MAX, INT("messages"), "1000", 1, 100000, NONE, CONFIG_CONSUMER, "most messages recorded by one transaction")
CONFIG_ROW(UNDETERMINED_AFTER_S, INT("s"), "600", 1, 604800, NONE, CONFIG_CONSUMER, "an unknown call without proof goes to an operator after")
CONFIG_ROW(LIST_LAG_S, INT("s"), NULL, 0, 86400, NONE, CONFIG_CONSUMER, "time until a call shows in a provider's list; unset: as known of the provider")
CONFIG_ROW(AUDIT_INTERVAL_S, INT("s"), "3600", 0, 86400, NONE, CONFIG_CONSUMER, "providers' lists are compared with the ledger every; 0: never")
CONFIG_ROW(AUDIT_SETTLE_S, INT("s"), "1800", 1, 86400, NONE, CONFIG_CONSUMER, "a call is left out of that until it is so old")
CONFIG_ROW(MAX_CALL_S, INT("s"), "900", 10, 43200, NONE, CONFIG_CONSUMER, "longest call")
CONFIG_ROW(MAX_CALL_GRACE_S, INT("s"), "300", 0, 43200, NONE, CONFIG_CONSUMER, "a call's end is awaited so much longer, then asked for")

/* ---- Webhooks ---- */
CONFIG_ROW(PUBLIC_WEBHOOK_URL, URL, NULL, 0, 0, HTTPS, CONFIG_ALL, "where providers reach the webhook from outside")
CONFIG_ROW(WEBHOOK_BODY_MAX, INT("bytes"), "1048576", 1024, 1048576, NONE, CONFIG_WEBHOOK, "largest body taken")
CONFIG_ROW(WEBHOOK_MAX_CONNECTIONS, INT("connections"), "4096", 16, 1000000, NONE, CONFIG_WEBHOOK, "most at once")
CONFIG_ROW(WEBHOOK_MAX_PER_IP, INT("connections"), "0", 0, 1000000, NONE, CONFIG_WEBHOOK, "most at once from one address; 0: no limit")
CONFIG_ROW(WEBHOOK_SNAPSHOT, PATH, NULL, 0, 0, NONE, CONFIG_WEBHOOK, "sealed file of the last known accounts and rules, for a start without PostgreSQL")

/* ---- Accounts of the environment ---- */
CONFIG_ROW(OMNI_API_KEY, STR, NULL, 0, 0, SECRET, CONFIG_DIALERS, "Omnidim: key")
CONFIG_ROW(OMNI_BASE_URL, URL, "https://backend.omnidim.io", 0, 0, HTTPS, CONFIG_DIALERS, "Omnidim: origin of the API")
CONFIG_ROW(OMNI_URL, URL, NULL, 0, 0, HTTPS, CONFIG_DIALERS, "Omnidim: whole URL of the dispatch call; wins over OMNI_BASE_URL")
CONFIG_ROW(OMNI_AGENT_ID, INT("id"), NULL, 1, INT64_MAX, NONE, CONFIG_DIALERS, "Omnidim: agent")
CONFIG_ROW(OMNI_FROM_NUMBER_ID, INT("id"), "1720", 1, INT64_MAX, NONE, CONFIG_DIALERS, "Omnidim: caller number")
CONFIG_ROW(OMNI_WEBHOOK_TOKEN, STR, NULL, 0, 0, SECRET, CONFIG_EVENTS, "Omnidim: last part of the webhook's path")
CONFIG_ROW(VAPI_API_KEY, STR, NULL, 0, 0, SECRET, CONFIG_DIALERS, "Vapi: private key")
CONFIG_ROW(VAPI_BASE_URL, URL, "https://api.vapi.ai", 0, 0, HTTPS, CONFIG_DIALERS, "Vapi: origin of the API")
CONFIG_ROW(VAPI_ASSISTANT_ID, STR, NULL, 0, 200, NONE, CONFIG_DIALERS, "Vapi: assistant")
CONFIG_ROW(VAPI_PHONE_NUMBER_ID, STR, NULL, 0, 200, NONE, CONFIG_DIALERS, "Vapi: caller number")
CONFIG_ROW(VAPI_WEBHOOK_SECRET, STR, NULL, 0, 0, SECRET, CONFIG_ALL, "Vapi: secret of its webhooks")
CONFIG_ROW(VAPI_WEBHOOK_AUTH, ENUM("any|bearer|secret|hmac"), "any", 0, 0, NONE, CONFIG_ALL, "Vapi: how its webhooks show the secret")
CONFIG_ROW(TWILIO_ACCOUNT_SID, STR, NULL, 0, 200, NONE, CONFIG_DIALERS, "Twilio: account")
CONFIG_ROW(TWILIO_AUTH_TOKEN, STR, NULL, 0, 0, SECRET, CONFIG_ALL, "Twilio: key, also of its webhooks' signatures")
CONFIG_ROW(TWILIO_BASE_URL, URL, "https://api.twilio.com", 0, 0, HTTPS, CONFIG_DIALERS, "Twilio: origin of the API")
CONFIG_ROW(TWILIO_NUMBER, PHONE, NULL, 0, 0, NONE, CONFIG_DIALERS, "Twilio: caller number")
CONFIG_ROW(TWIML_URL_PRECLASSIFY, URL, NULL, 0, 0, HTTPS, CONFIG_DIALERS, "Twilio: instructions of the classification call")
CONFIG_ROW(BLAND_API_KEY, STR, NULL, 0, 0, SECRET, CONFIG_DIALERS, "Bland: key")
CONFIG_ROW(BLAND_BASE_URL, URL, "https://api.bland.ai", 0, 0, HTTPS, CONFIG_DIALERS, "Bland: origin of the API")
CONFIG_ROW(BLAND_PATHWAY_ID, STR, NULL, 0, 200, NONE, CONFIG_DIALERS, "Bland: pathway")
CONFIG_ROW(BLAND_NUMBER, PHONE, NULL, 0, 0, NONE, CONFIG_DIALERS, "Bland: caller number; unset: one of Bland's own")
CONFIG_ROW(BLAND_WEBHOOK_SECRET, STR, NULL, 0, 0, SECRET, CONFIG_EVENTS, "Bland: secret of its webhooks")
CONFIG_ROW(CONVOSO_WEBHOOK_SECRET, STR, NULL, 0, 0, SECRET, CONFIG_EVENTS, "Convoso: secret of its webhooks")
CONFIG_ROW(CONVOSO_FIELDS, FIELDS, NULL, 0, 0, NONE, CONFIG_WEBHOOK, "Convoso: keys of its webhooks that are not the usual ones, field=key separated by commas")
CONFIG_ROW(CONVOSO_TIME_ZONE, ZONE, "America/Los_Angeles", 0, 63, NONE, CONFIG_WEBHOOK, "Convoso: zone of its times")
CONFIG_ROW(CLASSIFIER_WEBHOOK_SECRET, WHSEC, NULL, 0, 0, SECRET, CONFIG_EVENTS, "classifier: Standard Webhooks secret")
CONFIG_ROW(GENERIC_WEBHOOK_SECRET, WHSEC, NULL, 0, 0, SECRET, CONFIG_EVENTS, "generic: Standard Webhooks secret")
