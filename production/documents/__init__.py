"""Productions as the Markdown documents of the earlier, hand-run process: read into a plan, and written from one.

Pure: no Django, no rows. A plan is what `production.planning.schema` describes.
"""

from production.documents.reading import Reading, read
from production.documents.writing import write

__all__ = ["Reading", "read", "write"]
