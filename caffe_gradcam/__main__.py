"""``python -m caffe_gradcam`` is the command ``caffe-gradcam``."""

import sys

from caffe_gradcam.commands.cli import main

sys.exit(main())
