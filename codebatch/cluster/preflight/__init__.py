"""What a cluster runs with, and whether it fits the work."""
