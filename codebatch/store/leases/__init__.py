"""Who is at work on a store: leases, claims, pins, locks."""
