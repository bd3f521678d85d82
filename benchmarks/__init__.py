"""Measurements on real servers: ``make bench``."""
