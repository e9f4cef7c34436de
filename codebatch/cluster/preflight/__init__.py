"""Checks of a cluster before work is sent to it: versions, tasks, the store."""
