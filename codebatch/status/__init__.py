"""The status of a batch: its states, progress and runs."""
