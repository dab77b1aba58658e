"""The lanes every installation begins with. Prices are upper bounds of November 2026; operators edit them."""

import os

from django.db import migrations

LANES = {
    "planning": (4, {"plan": "0.02"}),
    "images": (12, {"image": "0.0336"}),
    "video": (8, {"clip": "0.42"}),
    "voice": (6, {"narration": "0.05", "sound": "0.10"}),
    "ffmpeg": (os.cpu_count() or 2, {}),
    "upload": (2, {}),
}


def open_lanes(apps, schema_editor):
    Provider = apps.get_model("production", "Provider")
    for name, (concurrency, prices) in LANES.items():
        Provider.objects.create(name=name, concurrency=concurrency, prices=prices)


class Migration(migrations.Migration):
    dependencies = [("production", "0001_initial")]
    operations = [migrations.RunPython(open_lanes, migrations.RunPython.noop)]
