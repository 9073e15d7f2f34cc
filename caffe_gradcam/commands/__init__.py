"""The subcommands of caffe-gradcam: each module adds its arguments and runs them."""
