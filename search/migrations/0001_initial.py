"""Passages, their vectors and the words in them; and how PostgreSQL keeps them."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.contrib.postgres.operations import CreateExtension, TrigramExtension
from django.db import migrations, models

import search.models

# A passage takes 4 kB with its terms. They are read for every candidate: kept in the row, not packed beside it.
# Counts of the commonest 3000 terms say which words of a question narrow it down.
KEPT_WHOLE = """
    ALTER TABLE search_passage SET (toast_tuple_target = 8160);
    ALTER TABLE search_passage ALTER COLUMN terms SET STATISTICS 300;
"""
NOT_KEPT = """
    ALTER TABLE search_passage RESET (toast_tuple_target);
    ALTER TABLE search_passage ALTER COLUMN terms SET STATISTICS -1;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        TrigramExtension(),
        CreateExtension("vector"),
        migrations.CreateModel(
            name="Passage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source_id", models.UUIDField()),
                ("ordinal", models.PositiveIntegerField()),
                ("text", models.TextField()),
                ("headings", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("place", models.JSONField()),
                ("characters", models.PositiveIntegerField()),
                ("terms", django.contrib.postgres.search.SearchVectorField()),
            ],
        ),
        migrations.CreateModel(
            name="Word",
            fields=[
                ("term", models.TextField(primary_key=True, serialize=False)),
            ],
        ),
        migrations.CreateModel(
            name="Vector",
            fields=[
                (
                    "passage",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="search.passage",
                    ),
                ),
                ("source_id", models.UUIDField()),
                ("model", models.TextField()),
                ("value", search.models.HalfVectorField()),
            ],
        ),
        migrations.AddIndex(
            model_name="passage",
            index=django.contrib.postgres.indexes.GinIndex(fields=["terms"], name="passage_terms"),
        ),
        migrations.AddConstraint(
            model_name="passage",
            constraint=models.UniqueConstraint(fields=("source_id", "ordinal"), name="passage_in_its_source"),
        ),
        migrations.AddIndex(
            model_name="word",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass("term", "gin_trgm_ops"), name="word_trigrams"
            ),
        ),
        migrations.AddIndex(
            model_name="vector",
            index=models.Index(fields=["source_id"], name="vector_source"),
        ),
        migrations.RunSQL(KEPT_WHOLE, NOT_KEPT),
    ]
