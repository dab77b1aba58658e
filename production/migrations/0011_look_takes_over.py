from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('production', '0010_share_a_budget_and_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='take',
            name='findings',
            field=models.JSONField(blank=True, default=list, help_text='What a look at its file found: see `flaws`.'),
        ),
        migrations.AddField(
            model_name='take',
            name='measured',
            field=models.JSONField(blank=True, default=dict, help_text='Figures of its file, and whether it has a poster.'),
        ),
    ]
