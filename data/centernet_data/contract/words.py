"""What rendered words and COCO-Text's annotations have in common."""

ONE_CLASS = ("text",)
LEAST_AREA = 1 / 32**2  # of the picture: smaller words are ignored
