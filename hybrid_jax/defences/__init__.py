"""Defences: penalties on the released vector that are added to the loss."""
