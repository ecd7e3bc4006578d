"""Data sets for tests."""


class InNoFiles:
    """What a `Dataset` has of which no test wants anything: subclasses add classes, samples and pictures."""

    notes, annotated = (), ()

    def content(self, index):
        return None
