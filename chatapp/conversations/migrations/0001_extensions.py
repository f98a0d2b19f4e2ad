"""PostgreSQL's own parts that later rooms build on: trigrams for text search, vectors for meaning."""

from django.contrib.postgres.operations import CreateExtension, TrigramExtension
from django.db import migrations


class Migration(migrations.Migration):
    # Both are looked up first: where the installation has created them, the migrating role needs no right to.
    operations = [TrigramExtension(), CreateExtension("vector")]
