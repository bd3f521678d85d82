"""What one statement says: fingerprint, kind, tokens, tree, predicates."""
