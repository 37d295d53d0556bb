//! Compares with the output of kafka-dump-log 3.9.1 for files that Kafka wrote.
