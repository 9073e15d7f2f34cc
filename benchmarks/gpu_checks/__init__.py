"""The checks of a GPU that ``scripts/check-gpu`` runs, each in its own process."""
