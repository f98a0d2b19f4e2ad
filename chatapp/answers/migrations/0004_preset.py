"""With which preset an answer was asked for."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("answers", "0003_web"), ("presets", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="answer",
            name="preset",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="presets.preset",
            ),
        )
    ]
