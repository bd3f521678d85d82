"""What the DBA configured: data sources, tables, sharding, users. YAML in, one immutable ``MeshRules`` out.

``model`` is what the rest of the mesh reads; ``loader`` is the only way in; nothing here knows a socket or
a clock.
"""
