"""The reading study: what doctors said of films, kept so that nothing acknowledged is lost and nothing locked changes."""
