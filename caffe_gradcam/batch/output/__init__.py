"""The folder that a batch writes: manifest, lists of items, parts with rows, locks."""
