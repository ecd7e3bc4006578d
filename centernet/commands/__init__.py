"""The commands of `centernet`: for each a class whose fields are the options and whose `run()` does the work.

`centernet --help` imports all of these classes. To answer at once it must not import numpy, OpenCV or a framework, so
`run()` imports what needs them: the rest of the program, and the modules `*_report.py` and `*_work.py` next to it.
"""
