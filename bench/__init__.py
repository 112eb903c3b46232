"""Measures Polylogue beside what it is compared with; each figure says from which byte to which byte."""
