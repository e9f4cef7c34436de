"""The values everything else speaks of: digests, keys, records, messages, limits, errors."""
