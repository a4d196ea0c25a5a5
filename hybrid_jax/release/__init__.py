"""Release mechanisms: what is done to the features before they are sent."""
