"""MySQL servers behind the mesh: connections, their pools, and what the servers say of their tables."""
