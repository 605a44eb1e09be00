"""What tests of several files share: films, networks, readers, servers, and scripts that are killed."""
