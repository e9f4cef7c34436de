"""Child processes that may die without taking a run with them."""
