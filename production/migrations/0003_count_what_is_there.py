"""What an older installation has: the place in line and the slots of its takes, the tallies of its ledger."""

from django.conf import settings
from django.db import migrations

TAKES = """
UPDATE production_take SET priority = task.priority FROM production_task AS task
WHERE task.id = task_id AND production_take.priority <> task.priority;
UPDATE production_take SET slots = 1 WHERE state = 'submitted' OR state = 'claimed' AND ref = '';
"""
TALLIES = """
INSERT INTO production_tally (meter, key, since, simulated, usd, calls)
SELECT meter, key, since, simulated, sum(usd), count(*)
FROM (
    SELECT line.simulated, (line.at AT TIME ZONE %s)::date AS day, take.task_id, line.channel_id, line.lane_id,
        CASE WHEN line.state = 'released' THEN 0 ELSE coalesce(line.actual_usd, line.intended_usd) END AS usd
    FROM production_ledgerentry AS line JOIN production_take AS take ON take.id = line.take_id
) AS lines
CROSS JOIN LATERAL (VALUES
    ('video', task_id::text, date '2000-01-01'),
    ('channel_day', channel_id::text, day),
    ('channel_month', channel_id::text, date_trunc('month', day)::date),
    ('lane_day', lane_id, day)
) AS places (meter, key, since)
GROUP BY meter, key, since, simulated
"""


class Migration(migrations.Migration):
    dependencies = [("production", "0002_lanes_turns_and_caps")]

    operations = [
        migrations.RunSQL(TAKES, migrations.RunSQL.noop),
        migrations.RunSQL([(TALLIES, [settings.TIME_ZONE])], migrations.RunSQL.noop),  # days as caps count them
    ]
