"""A local page, and a service, that explains pictures with one model."""
