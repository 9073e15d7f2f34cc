"""One module per command of ``prototxt-tools``; each has ``add(commands)``."""
