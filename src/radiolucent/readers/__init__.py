"""The reading study: what doctors said of films; nothing acknowledged is lost, nothing locked changes."""
