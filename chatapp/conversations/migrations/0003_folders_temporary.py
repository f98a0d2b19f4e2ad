"""In which folder a conversation is, and whether it is temporary."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0002_initial"), ("folders", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="folder",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="conversations",
                to="folders.folder",
            ),
        ),
        migrations.AddField(model_name="conversation", name="is_temporary", field=models.BooleanField(default=False)),
        migrations.AddField(
            model_name="conversation", name="expires_at", field=models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddConstraint(
            model_name="conversation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("expires_at__isnull", True), ("is_temporary", False)),
                    models.Q(("expires_at__isnull", False), ("is_temporary", True)),
                    _connector="OR",
                ),
                name="conversation_temporary_expires",
            ),
        ),
    ]
