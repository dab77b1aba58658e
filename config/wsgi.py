"""What gunicorn serves: `gunicorn --preload config.wsgi`.

With `--preload` the server's processes are forks of one that has everything loaded and share its memory: 60 MB less for
two of them. Frozen objects are no garbage collector's business, which else would write into every shared page.
"""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018 - loads every view, which Django else does with the first request
gc.freeze()
