"""What differs between the results of two batches."""
