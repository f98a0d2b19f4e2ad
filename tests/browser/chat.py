"""What a person does on the chat page, in their words; and who they are."""

import re
import uuid
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect


@dataclass(frozen=True)
class Person:
    id: str
    session: str

    @classmethod
    def new(cls, name: str, **fields: str) -> "Person":
        from django.test import Client

        from chatapp.accounts.models import User

        email = f"{name.lower()}.{uuid.uuid4().hex[:8]}@example.org"
        user = User.objects.create_user(email, "a plain long password", name=name, **fields)
        client = Client()
        client.force_login(user)
        return cls(str(user.id), client.cookies["sessionid"].value)

    def cookie(self, url: str) -> dict[str, str]:
        return {"name": "sessionid", "value": self.session, "url": url}


class Chat:
    def __init__(self, page: Page) -> None:
        self.page = page
        self.field = page.get_by_label("Your question")
        self.answers = page.locator(".thread [data-role=assistant]")
        self.questions = page.locator(".thread [data-role=user]")

    def open(self, path: str = "/") -> None:
        self.page.goto(path)
        expect(self.field).to_be_visible()

    def ask(self, text: str) -> None:
        self.field.fill(text)
        self.field.press("Enter")

    def text(self, answer: Locator | None = None) -> Locator:
        return (answer or self.answers.last).locator("[data-part=text]")

    def wait_for_end(self, status: str = "finished") -> None:
        expect(self.answers.last).to_have_attribute("data-status", status)
        expect(self.page.get_by_role("button", name="Stop")).to_be_hidden()

    def wait_for_check(self) -> None:
        """The cited sentences have been checked, and the answer is drawn for the last time: its marks stand still."""
        expect(self.answers.last).to_have_attribute("data-checks", re.compile("verdict"), timeout=30_000)

    @property
    def conversation(self) -> str:
        return self.page.url.rsplit("/", 1)[1]
