"""What exists for speed alone. Everything works without it."""
