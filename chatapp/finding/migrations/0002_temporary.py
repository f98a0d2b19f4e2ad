"""What is said in temporary chats is not noted: it is never found."""

from django.db import migrations

NOT_OF_TEMPORARY = """
    CREATE OR REPLACE FUNCTION finding_note_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO finding_waiting (message_id)
            SELECT NEW.id FROM conversations_conversation WHERE id = NEW.conversation_id AND NOT is_temporary;
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION finding_note_title() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT NEW.is_temporary THEN
            INSERT INTO finding_waiting (conversation_id) VALUES (NEW.id);
        END IF;
        RETURN NULL;
    END $$;
"""
OF_ALL = """
    CREATE OR REPLACE FUNCTION finding_note_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO finding_waiting (message_id) VALUES (NEW.id);
        RETURN NULL;
    END $$;
    CREATE OR REPLACE FUNCTION finding_note_title() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO finding_waiting (conversation_id) VALUES (NEW.id);
        RETURN NULL;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("finding", "0001_initial"), ("conversations", "0003_folders_temporary")]

    operations = [migrations.RunSQL(NOT_OF_TEMPORARY, OF_ALL)]
