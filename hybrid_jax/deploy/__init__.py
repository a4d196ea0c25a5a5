"""What goes on a device and on a server: export, client, server, page."""
