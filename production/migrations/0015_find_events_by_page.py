from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('production', '0014_settle_what_is_published'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='notionevent',
            index=models.Index(fields=['page_id', '-id'], name='event_by_page'),
        ),
    ]
