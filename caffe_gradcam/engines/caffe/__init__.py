"""Real Caffe."""
