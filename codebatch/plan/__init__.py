"""From a snapshot and a pipeline to shards and fingerprints."""
