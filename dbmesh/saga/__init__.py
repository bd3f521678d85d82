"""Sagas, pure: images, undo records, lock keys, reverse SQL, and the coordinator that says what to do next."""
