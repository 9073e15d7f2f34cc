"""Published protocols of localisation, on the user's own copy of their data.

``subjects`` is what all readers give (``voc``, ``coco``, ``ilsvrc``), ``rules`` decides about one
map, ``averages`` and ``table`` make the table, ``published`` holds what others reported.
"""
