"""Keep a store small and sound: check, repair, remove, count."""
