"""What leaves the device: reduction, noise, and their composition."""
