"""Topics: records in partitions, read in order and kept by their writer.

Read `model.py` (a record, and what a reader offers), `offsets.py` (up to where a partition is finished), then
`kafka_reader.py`, which reads Apache Kafka. Nothing but the engine imports the last one: its client is an extra.
"""
