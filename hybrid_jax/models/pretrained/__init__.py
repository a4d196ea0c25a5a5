"""Pretrained weights of VGG-16, read from files of other programs."""
