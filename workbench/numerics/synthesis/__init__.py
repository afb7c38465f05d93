"""Series that are made after a series: by a reservoir, and by what it is compared with."""
