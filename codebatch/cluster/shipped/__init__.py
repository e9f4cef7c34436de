"""Parcels of files for workers that do not see the store."""
