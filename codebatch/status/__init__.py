"""How far a batch is."""
