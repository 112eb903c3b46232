"""Kafka, PostgreSQL and an S3 server on a laptop that has nothing but Python."""
