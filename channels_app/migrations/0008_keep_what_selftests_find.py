import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('channels', '0007_tell_channels_apart'),
    ]

    operations = [
        migrations.CreateModel(
            name='CheckResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=30)),
                ('level', models.CharField(blank=True, choices=[('pass', 'Pass'), ('warn', 'Warn'), ('fail', 'Fail')], help_text='Empty: never looked at.', max_length=4)),
                ('found', models.CharField(blank=True, max_length=300)),
                ('remedy', models.CharField(blank=True, max_length=300)),
                ('at', models.DateTimeField(null=True)),
                ('asked', models.DateTimeField(help_text='Set while somebody waits for a new answer.', null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='checks', to='channels.channel')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('channel', 'name'), name='one_result_a_check')],
            },
        ),
    ]
