"""What a GPU has to show: the checks that ``scripts/check-gpu`` runs, each in its own process."""
