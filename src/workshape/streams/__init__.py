"""Topics: records in partitions, read in order and kept by their writer.

Read `model.py` (a record, and what a reader offers), `access.py` (how to be let into a cluster), `offsets.py` (up to
where a partition is finished), then `kafka_reader.py`, which reads Apache Kafka, on `kafka_access.py` and
`kafka_tls.py`. Nothing but the engine imports `kafka_reader.py`: its client is an extra.
"""
