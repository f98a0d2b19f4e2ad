"""Presets and the grants on them."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0004_identities"),
        ("endpoints", "0003_dense_prices"),
        ("files", "0002_collections"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Preset",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("system_prompt", models.TextField(blank=True, default="")),
                ("temperature", models.FloatField(blank=True, null=True)),
                ("max_tokens", models.PositiveIntegerField(blank=True, null=True)),
                ("thinking", models.BooleanField(default=False)),
                ("search", models.BooleanField(default=False)),
                ("deep", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("collections", models.ManyToManyField(blank=True, related_name="presets", to="files.collection")),
                (
                    "endpoint",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to="endpoints.endpoint"
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="presets", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ("name", "created_at"),
            },
        ),
        migrations.CreateModel(
            name="PresetGrant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("everyone", models.BooleanField(default=False)),
                ("access", models.CharField(choices=[("read", "Read"), ("write", "Write")], max_length=5)),
                (
                    "group",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to="accounts.group"
                    ),
                ),
                (
                    "preset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="grants", to="presets.preset"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("everyone", False), ("group__isnull", True), ("user__isnull", False)),
                            models.Q(("everyone", False), ("group__isnull", False), ("user__isnull", True)),
                            models.Q(("everyone", True), ("group__isnull", True), ("user__isnull", True)),
                            _connector="OR",
                        ),
                        name="preset_grant_one_principal",
                    ),
                    models.UniqueConstraint(
                        fields=("preset", "user", "group", "everyone"), name="preset_grant_once", nulls_distinct=False
                    ),
                ],
            },
        ),
    ]
