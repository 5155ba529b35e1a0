# SPDX-License-Identifier: Apache-2.0
"""Kafka as an independent client sees it: confluent-kafka with its own Avro decoder."""

import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from .waiting import wait_until


GROUP_TOPICS = {
    "dispatch": ["calls.dispatch.requested.v1"],
    "record": ["calls.dispatch.result.v1", "calls.event.v1", "leads.redial.v1", "leads.stage.v1"],
}


@dataclass
class Message:
    topic: str
    partition: int
    offset: int
    key: str
    raw: bytes
    headers: dict[str, bytes]
    value: Any = None  # decoded, if a registry was given


class Topics:
    """The topics of one test: `name` without the prefix, e.g. calls.event.v1."""

    def __init__(self, brokers: str, prefix: str):
        self.brokers = brokers
        self.prefix = prefix
        self.admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})

    def name(self, topic: str) -> str:
        return self.prefix + topic

    def names(self) -> list[str]:
        """All that exist with this test's prefix."""
        return sorted(name for name in self.admin.list_topics(timeout=10).topics if name.startswith(self.prefix))

    def partitions(self, topic: str) -> int:
        return len(self.admin.list_topics(self.name(topic), timeout=10).topics[self.name(topic)].partitions)

    def wait_led(self, timeout: float = 20) -> None:
        """Waits until every partition answers: a topic is listed a moment before its leader knows of it, and a
        client that comes in between looks again only seconds later."""

        def all_led() -> bool:
            topics = self.admin.list_topics(timeout=10).topics
            wanted = {
                TopicPartition(name, partition): OffsetSpec.latest()
                for name in topics if name.startswith(self.prefix) for partition in topics[name].partitions
            }
            return all(answer.result() for answer in self.admin.list_offsets(wanted).values())

        wait_until(all_led, timeout, "every partition led", retry=KafkaException)

    def read(self, topic: str, registry_url: str | None = None) -> list[Message]:
        """All messages in the topic now, by partition and offset; decoded with a registry."""
        messages = self._read_raw(self.name(topic))
        if registry_url:
            context = SerializationContext(self.name(topic), MessageField.VALUE)
            with SchemaRegistryClient({"url": registry_url}) as client:
                decode = AvroDeserializer(client)
                for message in messages:
                    message.value = decode(message.raw, context)
        return messages

    def _read_raw(self, topic: str) -> list[Message]:
        reader = Consumer({
            "bootstrap.servers": self.brokers,
            "group.id": f"{self.prefix}reader",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        })
        try:
            ends = {}
            for partition in reader.list_topics(topic, timeout=10).topics[topic].partitions:
                low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
                if high > low:
                    ends[partition] = high
            reader.assign([TopicPartition(topic, partition, 0) for partition in ends])
            found, deadline = [], time.monotonic() + 20
            while ends and time.monotonic() < deadline:
                message = reader.poll(0.5)
                if message is None:
                    continue
                assert not message.error(), message.error()
                found.append(Message(
                    topic=topic,
                    partition=message.partition(),
                    offset=message.offset(),
                    key=(message.key() or b"").decode(),
                    raw=message.value() or b"",
                    headers=dict(message.headers() or []),
                ))
                if message.offset() + 1 >= ends.get(message.partition(), 0):
                    ends.pop(message.partition(), None)
            assert not ends, f"{topic} could not be read to its end"
            return sorted(found, key=lambda message: (message.partition, message.offset))
        finally:
            reader.close()

    def produce(self, topic: str, *values: bytes | None, partition: int, key: str | None = None, compressed: bool = False) -> None:
        """Writes bytes as they are into one partition; acknowledged when it returns."""
        limits = {"compression.type": "gzip", "message.max.bytes": 20 << 20} if compressed else {"message.max.bytes": 2 << 20}
        writer = Producer(limits | {"bootstrap.servers": self.brokers, "log_level": 0})
        errors: list[Any] = []
        for value in values:
            writer.produce(self.name(topic), value, key=key, partition=partition,
                           on_delivery=lambda error, _: errors.append(error))
        assert writer.flush(20) == 0, "not acknowledged"
        assert errors == [None] * len(values), errors

    def group(self, role: str) -> str:
        """The consumer group of dispatch or record."""
        return f"{self.prefix.rstrip('.')}-{role}"

    def committed(self, role: str) -> dict[tuple[str, int], int]:
        """What a group has committed, by topic and partition."""
        request = ConsumerGroupTopicPartitions(self.group(role))
        answer = self.admin.list_consumer_group_offsets([request])[self.group(role)].result()
        return {(place.topic, place.partition): place.offset for place in answer.topic_partitions if place.offset >= 0}

    def lag(self, role: str) -> int:
        """Messages not yet committed by a group over all partitions of its topics; all of one never committed."""
        names = [self.name(topic) for topic in GROUP_TOPICS[role]]
        wanted = {
            TopicPartition(name, partition): OffsetSpec.latest()
            for name in names for partition in self.admin.list_topics(name, timeout=10).topics[name].partitions
        }
        committed = self.committed(role)
        return sum(
            end.result().offset - committed.get((place.topic, place.partition), 0)
            for place, end in self.admin.list_offsets(wanted).items()
        )

    def delete_all(self) -> None:
        if names := self.names():
            for done in self.admin.delete_topics(names, operation_timeout=10).values():
                done.result()
