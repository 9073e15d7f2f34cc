"""Reports: pages that show what a batch, or a few images, came to."""
