"""What the processes of one host have in common."""
