"""The review app: doctors read films blinded, lock, and only then see what the model says."""
