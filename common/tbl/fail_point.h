/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a fault test may strike: FAIL_POINT(NAME, text, processes, actions, when it is passed)
 *
 * Processes and actions are words with a space after each. A kill or a pause fits everywhere; `error` where the program can be
 * told that something failed which in truth was done.
 */
FAIL_POINT(PG_SENT, "pg.sent", "producer consumer webhook ", "kill pause ", "a batch and its commit are on their way to PostgreSQL")
FAIL_POINT(PG_DONE, "pg.done", "producer consumer webhook ", "kill pause error ", "PostgreSQL has done a batch, and nobody knows it yet; error: its answer is lost")
FAIL_POINT(KAFKA_PRODUCED, "kafka.produced", "producer consumer webhook ", "kill pause ", "a message is given to the Kafka client")
FAIL_POINT(KAFKA_DELIVERED, "kafka.delivered", "producer consumer webhook ", "kill pause error ", "Kafka has acknowledged a message; error: it is said to have failed")
FAIL_POINT(KAFKA_READ, "kafka.read", "consumer ", "kill pause ", "a message came, and nothing is done with it yet")
FAIL_POINT(KAFKA_STORED, "kafka.stored", "consumer ", "kill pause ", "an offset is decided, to be committed soon")
FAIL_POINT(HTTP_SENDING, "http.sending", "consumer ", "kill pause ", "connected to the provider, the next thing is the first byte")
FAIL_POINT(HTTP_ANSWERED, "http.answered", "consumer ", "kill pause error ", "the provider has answered; error: a timeout instead")
FAIL_POINT(LOOKED_UP, "reconcile.looked_up", "consumer ", "kill pause ", "the provider's list or call is read, and nothing decided yet")
FAIL_POINT(CLAIMED, "producer.claimed", "producer ", "kill pause ", "jobs are claimed and committed, none is published")
FAIL_POINT(CALLED, "webhook.called", "webhook ", "kill pause ", "a callback is verified, none of its messages is published")
FAIL_POINT(PUBLISHED, "webhook.published", "webhook ", "kill pause ", "a callback's messages are acknowledged, and not yet the callback")
