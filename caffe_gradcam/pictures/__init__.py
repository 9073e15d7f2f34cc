"""From explanations to figures: renderings, file names, metadata, boxes and plots."""
