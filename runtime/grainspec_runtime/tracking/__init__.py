"""Masks from clicks and words: engines that track objects, and engines that find them by words."""
