"""Constants shared by rendered words and COCO-Text's annotations."""

ONE_CLASS = ("text",)
LEAST_AREA = 1 / 32**2  # share of the picture's area; smaller words are ignored
