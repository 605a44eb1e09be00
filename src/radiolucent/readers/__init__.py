"""The reading study: what doctors said of films, and how far they agree with each other."""
