"""The arithmetic of the layers that find boxes, as functions of arrays: no engine, no torch.

The torch engine's layers and the explanations of detections share them, so that every engine lists
the same boxes.
"""
