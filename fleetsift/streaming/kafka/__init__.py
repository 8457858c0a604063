"""Kafka: topics read and written, their security, offsets and letters, and an embedded broker."""
