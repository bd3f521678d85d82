"""Transactions: local, and BASE sagas that write their undo records with the change and compensate on ROLLBACK."""
