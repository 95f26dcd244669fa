"""A stand-in for UCloud/Core: the portal's side of the wire, in one process, for tests and demonstrations."""
