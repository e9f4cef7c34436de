"""From what a user names to a connected client."""
