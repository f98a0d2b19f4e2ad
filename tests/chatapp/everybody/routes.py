"""The table of routes: one row for every method that a route takes. A route or a method without a row fails a test.

A row says who is let in and what they get; everybody else gets `refused`, those without a session the door. What a row
sends is whole and right for the one who is let in, so that a refusal is for the person and not for the form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.chatapp.everybody.people import (
    ANONYMOUS,
    ANYBODY,
    KEEPER,
    KEEPERS,
    OWNERS,
    READERS,
    SIGNED_IN,
    SITE_OWNER,
    SUSPENDED,
    TEAM,
    WRITERS,
)

SIGN_IN = "sign-in"  # a redirect to the door
TUS = {"tus-resumable": "1.0.0"}
CHUNK = "application/offset+octet-stream"


@dataclass(frozen=True, slots=True)
class Row:
    """`but` are the exceptions. `kwargs` replace what the address would be filled with. `body` is sent as it is."""

    name: str
    method: str
    let_in: frozenset[str]
    status: int | str
    data: Mapping[str, Any] = field(default_factory=dict)
    refused: int = 404
    but: Mapping[str, int | str] = field(default_factory=dict)
    kwargs: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = ""
    # What it shows to those who are let in is everybody's: a public link, for example.
    shows_secrets: bool = False

    @property
    def id(self) -> str:
        return f"{self.method} {self.name}"

    def expected(self, person: str) -> int | str:
        if person in self.but:
            return self.but[person]
        if person in self.let_in:
            return self.status
        return self.refused if person in SIGNED_IN else SIGN_IN


INVITED = {"role": "member", "days": "7", "max_uses": "1", "note": "", "group": ""}
NEWCOMER = {"name": "Nora", "email": "nora@example.org", "new_password": "quite a long password"}
ENDPOINT = {
    "name": "Second",
    "base_url": "http://127.0.0.1:9/v1",
    "model": "second",
    "context_length": "4096",
    "max_output_tokens": "512",
    "price_cache_hit": "0",
    "price_cache_miss": "0",
    "price_output": "0",
    "continuation": "none",
    "thinking": "never",
}
SHARED = {"principal": "person:{outsider_id}", "access": "read"}

ROWS = (
    # The door
    Row("sign_in", "GET", ANYBODY, 200, but=dict.fromkeys(SIGNED_IN, 302)),
    Row("sign_in", "POST", ANYBODY, 200, but=dict.fromkeys(SIGNED_IN, 302)),
    Row("enter_code", "GET", ANYBODY, SIGN_IN),  # to the first step
    Row("enter_code", "POST", ANYBODY, SIGN_IN),
    Row("begin_passkey_sign_in", "POST", ANYBODY, 200),
    Row("passkey_sign_in", "POST", ANYBODY, 400),  # no credential: tests/chatapp/accounts/test_passkeys.py has a key
    Row("oidc", "GET", ANYBODY, 404),  # there is no provider: tests/chatapp/accounts/test_oidc.py has one
    Row("oidc_callback", "GET", ANYBODY, 404),
    Row("connect_oidc", "POST", TEAM, 404),
    Row("disconnect_oidc", "POST", TEAM, 404),
    Row("sign_out", "POST", TEAM, SIGN_IN),
    Row("welcome", "GET", ANYBODY, 404),  # there are people already
    Row("welcome", "POST", ANYBODY, 404, NEWCOMER),
    Row("preferences", "POST", ANYBODY, 302, {"theme": "dark"}),
    Row("javascript_strings", "GET", ANYBODY, 200),
    Row("health", "GET", ANYBODY, 200),
    # One's own account
    Row("account", "GET", TEAM, 200),
    Row("change_password", "POST", TEAM, 302, {"password": "{password}", "new_password": "quite another one"}),
    Row("change_profile", "POST", TEAM, 302, {"name": "Somebody", "language": "", "theme": "dark"}),
    Row("end_session", "POST", OWNERS, 302, {"session": "{session}"}),
    Row("set_up_codes", "GET", TEAM, 200),
    Row("set_up_codes", "POST", TEAM, 422, {"password": "{password}", "code": "000000"}),
    Row("renew_recovery_codes", "POST", TEAM, 302),
    Row("switch_off_codes", "POST", TEAM, 302),
    Row("begin_passkey", "POST", TEAM, 200, {"password": "{password}"}),
    Row("add_passkey", "POST", TEAM, 400),
    Row("delete_passkey", "POST", OWNERS, 302),
    Row("leave", "GET", TEAM, 200),
    Row(
        "leave", "POST", TEAM, SIGN_IN, {"heir": "delete", "password": "{password}"}, but={KEEPER: 422}
    ),  # the last owner
    # Chats
    Row("new_chat", "GET", TEAM, 200),
    Row("search", "GET", TEAM, 200, {"q": "tides"}),
    Row("sidebar", "GET", TEAM, 200),
    Row("archive", "GET", TEAM, 200),
    Row("order_chats", "POST", READERS, 302, {"deed": "archive", "ids": "{conversation_id}"}),
    Row("conversation", "GET", READERS, 200),
    Row("thread", "GET", READERS, 200),
    Row("message", "GET", READERS, 200),
    Row("answer_details", "GET", READERS, 200),
    Row("select_branch", "POST", WRITERS, 302, {"leaf": "{message_id}"}),
    Row("rename_conversation", "POST", WRITERS, 302, {"title": "Ebb"}),
    Row("delete_conversation", "POST", OWNERS, 302),
    Row("note_presence", "POST", OWNERS, 302, {"open": "true"}, kwargs={"conversation_id": "temporary_id"}),
    Row("restore_conversation", "POST", OWNERS, 302),
    Row("who_sees_conversation", "GET", OWNERS, 200, kwargs={"thing_id": "conversation_id"}),
    Row("who_sees_collection", "GET", OWNERS, 200, kwargs={"thing_id": "collection_id"}),
    Row("who_sees_folder", "GET", OWNERS, 200, kwargs={"thing_id": "folder_id"}),
    Row("who_sees_preset", "GET", OWNERS, 200, kwargs={"thing_id": "preset_id"}),
    Row("fork_conversation", "POST", READERS, 302),
    Row("export_chat", "GET", READERS, 200, {"format": "json"}),
    Row("archives", "GET", TEAM, 200),
    Row("archives", "POST", TEAM, 302),
    Row("imports", "GET", TEAM, 200),
    Row("imports", "POST", OWNERS, 302, {"upload": "{upload_id}"}, but=dict.fromkeys(TEAM - OWNERS, 302)),  # said there
    Row("download_archive", "GET", OWNERS, 200),
    Row("delete_archive", "POST", OWNERS, 302),
    Row("share_conversation", "GET", OWNERS, 200),
    Row("share_conversation", "POST", OWNERS, 302, SHARED),
    Row("end_conversation_share", "POST", OWNERS, 302, {"grant": "{grant}"}),
    Row("make_link", "POST", OWNERS, 200, {"days": "7"}),
    Row("revoke_link", "POST", OWNERS, 302),
    Row("shared", "GET", ANYBODY, 200, but={SUSPENDED: 404}, shows_secrets=True),  # it was the suspended one's link
    # Folders and presets
    Row("folders", "GET", TEAM, 200),
    Row("folders", "POST", TEAM, 302, {"name": "Ebb"}),
    Row("folder", "GET", READERS, 200),
    Row("change_folder", "POST", WRITERS, 302, {"name": "Ebb", "instructions": "Be brief."}),
    Row("add_folder_collection", "POST", WRITERS, 302, {"collection": "{collection_id}"}),
    Row("take_folder_collection_out", "POST", WRITERS, 302),
    Row("share_folder", "POST", OWNERS, 302, SHARED),
    Row("end_folder_share", "POST", OWNERS, 302, {"grant": "{folder_grant}"}),
    Row("delete_folder", "POST", OWNERS, 302),
    Row("put_into_folder", "POST", OWNERS, 302, {"ids": "{conversation_id}"}),
    Row("take_out_of_folders", "POST", OWNERS, 302, {"ids": "{conversation_id}"}),
    Row("presets", "GET", TEAM, 200),
    Row("new_preset", "GET", TEAM, 200),
    Row("new_preset", "POST", TEAM, 302, {"name": "Ebb"}),
    Row("preset", "GET", READERS, 200),
    Row("preset", "POST", WRITERS, 302, {"name": "Ebb"}),
    Row("share_preset", "POST", OWNERS, 302, SHARED),
    Row("end_preset_share", "POST", OWNERS, 302, {"grant": "{preset_grant}"}),
    Row("delete_preset", "POST", OWNERS, 302),
    # Searches and sources
    Row("web_search", "GET", READERS, 200),
    Row("confirm_search", "POST", OWNERS, 302, {"queries": "tides"}),
    Row("skip_search", "POST", OWNERS, 302),
    Row("site_icon", "GET", TEAM, 200),
    Row("source", "GET", READERS, 200),
    Row("page_copy", "GET", READERS, 200),
    Row("answer_pages", "GET", READERS, 200),
    # Files
    Row("files", "GET", TEAM, 200, {"q": "tides"}),
    Row("fit", "POST", READERS, 200, {"conversation": "{conversation_id}", "ids": "{upload_id}"}),
    Row("uploads", "OPTIONS", TEAM, 204, headers=TUS),
    Row(
        "uploads",
        "POST",
        WRITERS,
        201,
        headers={**TUS, "upload-length": "4", "upload-metadata": "filename dGlkZS50eHQ=, collection {collection_b64}"},
    ),
    Row("upload", "HEAD", OWNERS, 200, headers=TUS, kwargs={"upload_id": "unfinished_id"}),
    Row(
        "upload",
        "PATCH",
        OWNERS,
        204,
        headers={**TUS, "upload-offset": "0"},
        body=b"ebb\n",
        content_type=CHUNK,
        kwargs={"upload_id": "unfinished_id"},
    ),
    Row("upload", "DELETE", OWNERS, 204, headers=TUS, kwargs={"upload_id": "unfinished_id"}),
    Row("upload_states", "GET", TEAM, 200, {"ids": "{upload_id}"}),
    Row("retry_upload", "POST", OWNERS, 409),  # it is being read
    Row("cancel_upload", "POST", OWNERS, 200),
    Row("confirm_removal", "GET", OWNERS, 200),
    Row("remove_upload", "POST", OWNERS, 302),
    Row("upload_content", "GET", READERS, 200),
    Row("upload_content", "HEAD", READERS, 200),
    Row("file", "GET", READERS, 200),
    # Collections
    Row("collections", "GET", TEAM, 200),
    Row("collections", "POST", TEAM, 302, {"name": "Ebb"}),
    Row("collection", "GET", READERS, 200),
    Row("rename_collection", "POST", WRITERS, 302, {"name": "Ebb"}),
    Row("take_out", "POST", WRITERS, 302),
    Row("share_collection", "POST", OWNERS, 302, SHARED),
    Row("end_share", "POST", OWNERS, 302, {"grant": "{collection_grant}"}),
    Row("delete_collection", "GET", OWNERS, 200),
    Row("delete_collection", "POST", OWNERS, 302),
    # What was spent
    Row("usage", "GET", TEAM, 200),
    Row("usage_csv", "GET", TEAM, 200),
    Row("team_usage", "GET", KEEPERS, 200),
    Row("team_usage_csv", "GET", KEEPERS, 200),
    Row("quotas", "GET", KEEPERS, 200),
    Row("quotas", "POST", KEEPERS, 302, {"principal": "each", "tokens_a_day": "1000000"}),
    # Keys of programs: the owner's, and those who look after the team may end them
    Row("keys", "GET", TEAM, 200),
    Row("keys", "POST", TEAM, 200, {"name": "Reports", "days": "90", "abilities": ["chat"]}),
    Row("key", "GET", OWNERS | KEEPERS, 200),
    Row("key", "POST", OWNERS | KEEPERS, 302, {"tokens_a_day": "5"}),
    Row("end_key", "POST", OWNERS | KEEPERS, 302),
    Row("team_keys", "GET", KEEPERS, 200),
    # The team
    Row("team", "GET", KEEPERS, 200),
    Row("person", "GET", KEEPERS, 200),
    Row("change_role", "POST", KEEPERS, 302, {"role": "guest"}),
    Row("suspend_person", "POST", KEEPERS, 302),
    Row("reactivate_person", "POST", KEEPERS, 302),
    Row("reset_codes", "POST", KEEPERS, 302),
    Row("reset_password", "POST", KEEPERS, 200),
    Row("remove_person", "GET", KEEPERS, 200),
    Row("remove_person", "POST", KEEPERS, 302, {"heir": "delete"}),
    Row("make_invitation", "POST", KEEPERS, 200, INVITED),
    Row("revoke_invitation", "POST", KEEPERS, 302),
    # A link that does not work: tests/chatapp/people/test_passwords.py has one that does.
    Row("choose_password", "GET", ANYBODY, 404),
    Row("choose_password", "POST", ANYBODY, 404, {"new_password": "quite a long password"}),
    Row("join", "GET", ANYBODY, 200),
    Row("join", "POST", ANYBODY, 200, NEWCOMER, but={ANONYMOUS: 302, SUSPENDED: 302}),
    Row("make_group", "POST", KEEPERS, 302, {"name": "Deck"}),
    Row("group", "GET", KEEPERS, 200),
    Row("rename_group", "POST", KEEPERS, 302, {"name": "Deck"}),
    Row("add_member", "POST", KEEPERS, 302, {"person": "{outsider_id}"}),
    Row("remove_member", "POST", KEEPERS, 302, {"person": "{person_id}"}),
    Row("delete_group", "POST", KEEPERS, 302),
    # What the site's owner sets
    Row("endpoints", "GET", SITE_OWNER, 200),
    Row("new_endpoint", "GET", SITE_OWNER, 200),
    Row("new_endpoint", "POST", SITE_OWNER, 302, ENDPOINT),
    Row("endpoint", "GET", SITE_OWNER, 200),
    Row("endpoint", "POST", SITE_OWNER, 302, ENDPOINT),
    Row("try_endpoint", "GET", SITE_OWNER, 200),
    Row("try_endpoint", "POST", SITE_OWNER, 302),
    Row("default_endpoint", "POST", SITE_OWNER, 302),
    Row("delete_endpoint", "POST", SITE_OWNER, 302),
    Row("web_setting", "GET", SITE_OWNER, 200),
    Row("web_setting", "POST", SITE_OWNER, 302, {"engine": "default"}),
    Row("try_engine", "GET", SITE_OWNER, 200),
    Row("try_engine", "POST", SITE_OWNER, 302, {"query": "tides"}),
)
