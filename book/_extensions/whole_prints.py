"""What a cell prints is one text, however often the kernel flushed it on the way.

MyST-NB's own merging ends every flush with a line break, also in the middle of a line. That of nbclient joins them as
they are.
"""

import functools

from jupyter_cache.executors import utils


def setup(app):
    utils.executenb = functools.partial(utils.executenb, coalesce_streams=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
