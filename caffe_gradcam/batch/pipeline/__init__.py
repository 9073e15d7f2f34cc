"""From items to rows: decoders, the net's process, and the writer of parts."""
