"""What chats are found by; and the notes by which the database itself sees to it that no text is forgotten.

A trigger, because every writer counts: snapshots of answers are written by update(), which no signal of Django's hears.
"""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

NOTED = """
    CREATE FUNCTION finding_note_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO finding_waiting (message_id) VALUES (NEW.id);
        RETURN NULL;
    END $$;
    CREATE TRIGGER finding_message_written AFTER INSERT ON conversations_message
        FOR EACH ROW WHEN (NEW.text <> '') EXECUTE FUNCTION finding_note_message();
    CREATE TRIGGER finding_message_changed AFTER UPDATE OF text ON conversations_message
        FOR EACH ROW WHEN (NEW.text IS DISTINCT FROM OLD.text) EXECUTE FUNCTION finding_note_message();

    CREATE FUNCTION finding_note_title() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO finding_waiting (conversation_id) VALUES (NEW.id);
        RETURN NULL;
    END $$;
    CREATE TRIGGER finding_title_written AFTER INSERT ON conversations_conversation
        FOR EACH ROW WHEN (NEW.title <> '') EXECUTE FUNCTION finding_note_title();
    CREATE TRIGGER finding_title_changed AFTER UPDATE OF title ON conversations_conversation
        FOR EACH ROW WHEN (NEW.title IS DISTINCT FROM OLD.title) EXECUTE FUNCTION finding_note_title();
"""
NOT_NOTED = """
    DROP FUNCTION finding_note_message() CASCADE;
    DROP FUNCTION finding_note_title() CASCADE;
"""
# What is there already is read by the first tasks, the newest first.
ALL_THERE_IS = """
    INSERT INTO finding_waiting (conversation_id)
        SELECT id FROM conversations_conversation WHERE title <> '' ORDER BY updated_at DESC;
    INSERT INTO finding_waiting (message_id)
        SELECT id FROM conversations_message WHERE text <> '' ORDER BY created_at DESC;
"""
# Lexemes are read for every message that is looked at: kept in the row, not packed beside it. Counts of the commonest
# ones tell how common a question is.
KEPT_WHOLE = """
    ALTER TABLE finding_said SET (toast_tuple_target = 8160);
    ALTER TABLE finding_said ALTER COLUMN terms SET STATISTICS 300;
"""
NOT_KEPT = """
    ALTER TABLE finding_said RESET (toast_tuple_target);
    ALTER TABLE finding_said ALTER COLUMN terms SET STATISTICS -1;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [("conversations", "0002_initial")]

    operations = [
        migrations.CreateModel(
            name="Said",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="conversations.message",
                    ),
                ),
                (
                    "conversation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="conversations.conversation",
                    ),
                ),
                ("said_at", models.DateTimeField()),
                ("terms", django.contrib.postgres.search.SearchVectorField()),
            ],
        ),
        migrations.CreateModel(
            name="Named",
            fields=[
                (
                    "conversation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="conversations.conversation",
                    ),
                ),
                ("terms", django.contrib.postgres.search.SearchVectorField()),
            ],
        ),
        migrations.CreateModel(
            name="Word",
            fields=[("word", models.TextField(primary_key=True, serialize=False))],
        ),
        migrations.CreateModel(
            name="Waiting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("message_id", models.UUIDField(null=True)),
                ("conversation_id", models.UUIDField(null=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="said",
            index=django.contrib.postgres.indexes.GinIndex(fields=["terms"], name="said_terms", fastupdate=False),
        ),
        migrations.AddIndex(
            model_name="said",
            index=models.Index(fields=["conversation", "-said_at"], name="said_in_order"),
        ),
        migrations.AddIndex(
            model_name="said",
            index=models.Index(fields=["-said_at"], include=["conversation"], name="said_newest"),
        ),
        migrations.AddIndex(
            model_name="named",
            index=django.contrib.postgres.indexes.GinIndex(fields=["terms"], name="named_terms", fastupdate=False),
        ),
        migrations.AddIndex(
            model_name="word",
            index=django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass("word", "gin_trgm_ops"),
                name="finding_word_trigrams",
                fastupdate=False,
            ),
        ),
        migrations.RunSQL(KEPT_WHOLE, NOT_KEPT),
        migrations.RunSQL(NOTED, NOT_NOTED),
        migrations.RunSQL(ALL_THERE_IS, migrations.RunSQL.noop),
    ]
