"""Which data nodes a statement concerns."""
