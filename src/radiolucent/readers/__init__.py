"""The reading study: what doctors said of films, kept without loss, and how far they agree with each other."""
