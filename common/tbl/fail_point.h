/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a fault test may strike: FAIL_POINT(NAME, text, processes, actions, when it is passed)
 *
 * Processes and actions are words with a space after each. A kill or a pause fits everywhere; `error` where the program can be
 * told that something fails, which then is not done; `timeout` where something was done and it can be told that it failed.
 * What OF can be is said in brackets.
 */
FAIL_POINT(PG_SENDING, "pg.sending", "producer consumer webhook ", "kill pause error ", "a batch is written, its commit is not on its way [a statement]")
FAIL_POINT(PG_SENT, "pg.sent", "producer consumer webhook ", "kill pause ", "a batch and its commit are on their way to PostgreSQL [a statement]")
FAIL_POINT(PG_DONE, "pg.done", "producer consumer webhook ", "kill pause timeout ", "PostgreSQL has done a batch, and nobody knows it yet; timeout: its answer is lost [a statement]")
FAIL_POINT(KAFKA_PRODUCING, "kafka.producing", "producer consumer webhook ", "kill pause error ", "a message is made, and not given to the Kafka client [a topic]")
FAIL_POINT(KAFKA_PRODUCED, "kafka.produced", "producer consumer webhook ", "kill pause ", "a message is given to the Kafka client [a topic]")
FAIL_POINT(KAFKA_DELIVERED, "kafka.delivered", "producer consumer webhook ", "kill pause timeout ", "Kafka has acknowledged a message; timeout: it is said to have failed [a topic]")
FAIL_POINT(KAFKA_READ, "kafka.read", "consumer ", "kill pause ", "a message came, and nothing is done with it yet [a topic]")
FAIL_POINT(KAFKA_STORED, "kafka.stored", "consumer ", "kill pause ", "an offset is decided, to be committed soon [a topic]")
FAIL_POINT(HTTP_SENDING, "http.sending", "consumer ", "kill pause error ", "connected to the provider, the next thing is the first byte [dial or ask]")
FAIL_POINT(HTTP_ANSWERED, "http.answered", "consumer ", "kill pause timeout ", "the provider has answered; timeout: that instead [dial or ask]")
FAIL_POINT(LOOKED_UP, "reconcile.looked_up", "consumer ", "kill pause ", "the provider's list or call is read, and nothing decided yet")
FAIL_POINT(CLAIMED, "producer.claimed", "producer ", "kill pause ", "jobs are claimed and committed, none is published")
FAIL_POINT(CALLED, "webhook.called", "webhook ", "kill pause ", "a callback is verified, none of its messages is published")
FAIL_POINT(PUBLISHED, "webhook.published", "webhook ", "kill pause ", "a callback's messages are acknowledged, and not yet the callback")
FAIL_POINT(LEAVING, "process.leaving", "producer consumer webhook ", "kill pause ", "all is drained, and the process about to end")
FAIL_POINT(STEPPED, "workflow.stepped", "producer ", "kill pause ", "a step of the workflow that took something is committed, and what it queued is not claimed yet")
FAIL_POINT(MOVING, "workflow.moving", "consumer ", "kill pause ", "a classifier's word is given to PostgreSQL, without the commit")
FAIL_POINT(MOVED, "workflow.moved", "consumer ", "kill pause ", "a classifier's word is committed, and its offset not yet")
FAIL_POINT(JOBS_TAKEN, "dispatch.claimed", "consumer ", "kill pause ", "jobs are claimed and their pending calls moved, no request is begun")
