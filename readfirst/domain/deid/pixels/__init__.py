"""Text in the picture: searched for, read, blanked unless it is a side marker, and searched for again."""

from readfirst.domain.deid.pixels.check import Checked, check_pixels, screen_pixels
from readfirst.domain.deid.pixels.search import Finding

__all__ = ["Checked", "Finding", "check_pixels", "screen_pixels"]
