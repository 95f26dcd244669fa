"""The HTTP server that UCloud/Core calls: UCloud's ingoing provider API, one module a concern."""
