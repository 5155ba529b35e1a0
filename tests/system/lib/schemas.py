# SPDX-License-Identifier: Apache-2.0
"""Messages as any other Avro writer makes them, also ones that should not be."""

import io
import json
import struct
from typing import Any

import httpx
from fastavro import parse_schema, schemaless_writer

from .topics import GROUP_TOPICS, Topics


class Schemas:
    """The schemas of this test's topics, as a registry has them."""

    def __init__(self, topics: Topics, registry_url: str):
        self._known: dict[str, tuple[int, Any]] = {}
        with httpx.Client(base_url=registry_url, trust_env=False) as client:
            for topic in (topic for names in GROUP_TOPICS.values() for topic in names):
                answer = client.get(f"/subjects/{topics.name(topic)}-value/versions/latest").raise_for_status().json()
                self._known[topic] = (answer["id"], parse_schema(json.loads(answer["schema"])))

    def encode(self, topic: str, value: dict[str, Any]) -> bytes:
        schema_id, schema = self._known[topic]
        out = io.BytesIO()
        schemaless_writer(out, schema, value)
        return struct.pack(">BI", 0, schema_id) + out.getvalue()
