"""What a Caffe net says: read, understand and change prototxt and caffemodel files."""

__version__ = "0.1.0"
