"""Who runs the shards: this machine, or a Ray cluster."""
