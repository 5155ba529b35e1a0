# SPDX-License-Identifier: Apache-2.0
"""Kafka as an independent client sees it: confluent-kafka with its own Avro decoder."""

import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


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
            "enable.partition.eof": False,
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
                for message in reader.consume(1000, timeout=0.5):
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

    def produce(self, topic: str, value: bytes, key: str | None = None,
                headers: dict[str, str] | None = None, partition: int | None = None) -> None:
        """Writes bytes as they are; acknowledged when it returns."""
        writer = Producer({"bootstrap.servers": self.brokers, "partitioner": "murmur2_random", "log_level": 0})
        errors: list[Any] = []
        place = {} if partition is None else {"partition": partition}
        writer.produce(self.name(topic), value, key=key, headers=list((headers or {}).items()),
                       on_delivery=lambda error, _: errors.append(error), **place)
        assert writer.flush(20) == 0, "not acknowledged"
        assert errors == [None], errors

    def group(self, role: str) -> str:
        """The consumer group of dispatch or record."""
        return f"{self.prefix.rstrip('.')}-{role}"

    def lag(self, role: str) -> int:
        """Messages not yet committed by a group over all its partitions."""
        request = ConsumerGroupTopicPartitions(self.group(role))
        committed = self.admin.list_consumer_group_offsets([request])[self.group(role)].result().topic_partitions
        reader = Consumer({"bootstrap.servers": self.brokers, "group.id": f"{self.prefix}lag", "log_level": 0})
        try:
            return sum(
                reader.get_watermark_offsets(place, timeout=10)[1] - max(place.offset, 0) for place in committed
            )
        finally:
            reader.close()

    def delete_all(self) -> None:
        if names := self.names():
            for done in self.admin.delete_topics(names, operation_timeout=10).values():
                done.result()
