"""What runs the parts: this machine, or a Ray cluster."""
