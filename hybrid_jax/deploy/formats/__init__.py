"""Formats that the export, the device and the server share."""
