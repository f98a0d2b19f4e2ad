"""Asking a question and seeing it answered, through everything that may happen meanwhile."""

import re
import time
import uuid

from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from chatapp.endpoints.models import Endpoint
from tests.browser.chat import Chat, Person
from tests.browser.site import Site
from tests.browser.written_endpoint import WrittenEndpoint
from tests.scripted_endpoint import TEXT

WHOLE = TEXT.strip()


def _script(model: Endpoint, name: str, **fields: object) -> None:
    for field, value in {"model": name, **fields}.items():
        setattr(model, field, value)
    model.save()


def _ask_up_to_the_gate(chat: Chat, endpoint: WrittenEndpoint, model: Endpoint) -> None:
    """An answer that has begun and waits in its middle until `endpoint.gate` is opened."""
    _script(model, "prefix+gate:10")
    endpoint.gate.clear()
    chat.ask("Count the words")
    expect(chat.text()).to_contain_text("word9")


def test_question_is_answered_with_rendered_markdown(chat: Chat, endpoint: WrittenEndpoint) -> None:
    endpoint.answers["How deep?"] = "It is **deep**.\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n```python\nprint(1)\n```\n"
    chat.ask("How deep?")
    chat.wait_for_end()
    expect(chat.page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}$"))
    expect(chat.questions.last).to_contain_text("How deep?")
    expect(chat.text().locator("strong")).to_have_text("deep")
    expect(chat.text().locator("td").last).to_have_class("align-right")
    expect(chat.text().locator(".hljs-built_in")).to_have_text("print")
    expect(chat.page.locator("[data-conversations]")).to_contain_text("How deep?")
    expect(chat.field).to_have_value("")


def test_reload_in_mid_answer_loses_nothing(chat: Chat, endpoint: WrittenEndpoint, model: Endpoint) -> None:
    _ask_up_to_the_gate(chat, endpoint, model)
    chat.page.reload()
    expect(chat.text()).to_contain_text("word9")
    endpoint.gate.set()
    chat.wait_for_end()
    expect(chat.text()).to_have_text(WHOLE)


def test_second_tab_sees_the_same_answer_grow(
    chat: Chat, context: BrowserContext, endpoint: WrittenEndpoint, model: Endpoint
) -> None:
    _ask_up_to_the_gate(chat, endpoint, model)
    second = Chat(context.new_page())
    second.open(f"/c/{chat.conversation}")
    expect(second.text()).to_contain_text("word9")
    endpoint.gate.set()
    for tab in (chat, second):
        tab.wait_for_end()
        expect(tab.text()).to_have_text(WHOLE)
    second.ask("And again")
    second.wait_for_end()
    expect(chat.questions).to_have_count(2)
    expect(chat.text()).to_have_text(WHOLE)


def test_lost_network_heals_and_keeps_what_was_asked(
    chat: Chat, context: BrowserContext, endpoint: WrittenEndpoint, model: Endpoint
) -> None:
    _ask_up_to_the_gate(chat, endpoint, model)
    context.set_offline(True)
    expect(chat.page.locator("[data-connection]")).to_be_visible()
    chat.ask("Asked without a network")
    pending = chat.page.locator("[data-pending-message]")
    expect(pending).to_contain_text("Waiting to be sent")
    endpoint.gate.set()
    context.set_offline(False)
    expect(chat.page.locator("[data-connection]")).to_be_hidden()
    expect(chat.answers).to_have_count(2)
    chat.wait_for_end()
    expect(pending).to_have_count(0)
    expect(chat.text(chat.answers.first)).to_have_text(WHOLE)
    expect(chat.text()).to_have_text(WHOLE)


def test_web_process_killed_in_mid_answer_loses_nothing(
    chat: Chat, site: Site, endpoint: WrittenEndpoint, model: Endpoint
) -> None:
    _ask_up_to_the_gate(chat, endpoint, model)
    site.kill("web")
    endpoint.gate.set()
    site.start_web()
    site.wait_until_ready()
    chat.wait_for_end()
    expect(chat.text()).to_have_text(WHOLE)


def test_stop_keeps_the_text_and_continue_goes_on(chat: Chat, endpoint: WrittenEndpoint, model: Endpoint) -> None:
    _ask_up_to_the_gate(chat, endpoint, model)
    chat.page.get_by_role("button", name="Stop").click()
    chat.wait_for_end("cancelled")
    expect(chat.text()).to_contain_text("word9")
    endpoint.gate.set()
    chat.page.get_by_role("button", name="Continue").click()
    chat.wait_for_end()
    expect(chat.text()).to_have_text(WHOLE)


def test_next_question_waits_in_the_queue_and_can_be_called_off(
    chat: Chat, endpoint: WrittenEndpoint, model: Endpoint
) -> None:
    _ask_up_to_the_gate(chat, endpoint, model)
    chat.ask("Then this one")
    expect(chat.answers).to_have_count(2)
    expect(chat.answers.last).to_contain_text("Queued")
    chat.ask("Not this one")
    expect(chat.answers).to_have_count(3)
    chat.answers.last.get_by_role("button", name="Cancel").click()
    expect(chat.answers.last).to_have_attribute("data-status", "cancelled")
    endpoint.gate.set()
    expect(chat.answers.nth(1)).to_have_attribute("data-status", "finished")
    expect(chat.text(chat.answers.nth(1))).to_have_text(WHOLE)


def test_regenerate_and_edit_make_versions_to_page_through(chat: Chat, endpoint: WrittenEndpoint) -> None:
    endpoint.answers |= {"First wording": "Answer one.", "Second wording": "Answer two."}
    chat.ask("First wording")
    chat.wait_for_end()
    chat.answers.last.get_by_role("button", name="Answer again").click()
    expect(chat.answers.last.locator(".pager__place")).to_have_text("2/2")
    chat.wait_for_end()
    chat.questions.last.hover()
    chat.questions.last.get_by_role("button", name="Edit").click()
    chat.page.get_by_label("Edit your question").fill("Second wording")
    chat.page.get_by_label("Edit your question").press("Enter")
    expect(chat.text()).to_have_text("Answer two.")
    expect(chat.questions.last.locator(".pager__place")).to_have_text("2/2")
    chat.questions.last.get_by_role("button", name="Previous version").click()
    expect(chat.questions.last).to_contain_text("First wording")
    expect(chat.text()).to_have_text("Answer one.")
    expect(chat.answers.last.locator(".pager__place")).to_have_text("2/2")
    chat.page.reload()
    expect(chat.questions.last).to_contain_text("First wording")


def test_failed_answer_says_what_happened_and_what_to_do(chat: Chat, model: Endpoint) -> None:
    _script(model, "drop:5+drops:1", continuation="none")
    chat.ask("Count the words")
    expect(chat.answers.last.get_by_role("alert")).to_contain_text("What was written is kept")
    expect(chat.text()).to_contain_text("word4")
    chat.answers.last.get_by_role("button", name="Try again").click()
    chat.wait_for_end()
    expect(chat.text()).to_have_text(WHOLE)


def test_question_that_is_refused_keeps_its_text(chat: Chat, model: Endpoint) -> None:
    model.is_enabled = False
    model.save()
    chat.ask("Is anybody there?")
    pending = chat.page.locator("[data-pending-message]")
    expect(pending).to_contain_text("No model is set up yet")
    chat.page.reload()
    expect(pending).to_contain_text("Is anybody there?")
    model.is_enabled = True
    model.save()
    pending.get_by_role("button", name="Try again").click()
    chat.wait_for_end()
    expect(chat.questions).to_have_count(1)


def test_draft_survives_a_reload_and_goes_when_it_is_sent(chat: Chat) -> None:
    chat.field.fill("Half a thought")
    chat.page.reload()
    expect(chat.field).to_have_value("Half a thought")
    chat.field.press("Enter")
    chat.wait_for_end()
    chat.open("/")
    expect(chat.field).to_have_value("")


def test_thinking_is_folded_and_timed(chat: Chat, endpoint: WrittenEndpoint, model: Endpoint) -> None:
    _script(model, "reasoning-content", thinking="switched")
    endpoint.answers["Why?"] = "Because."
    chat.page.reload()
    toggle = chat.page.get_by_role("button", name="Think")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "true")
    chat.ask("Why?")
    chat.wait_for_end()
    thinking = chat.answers.last.locator("[data-thinking]")
    expect(thinking).to_contain_text(re.compile(r"Thought for \d+ s|Thoughts"))
    expect(thinking.locator("[data-part=reasoning]")).to_be_hidden()
    thinking.locator("summary").click()
    expect(thinking.locator("[data-part=reasoning]")).to_have_text("First the bottom, then the line.")
    expect(chat.text()).to_have_text("Because.")
    chat.open("/")
    expect(chat.page.get_by_role("button", name="Think")).to_have_attribute("aria-pressed", "true")


def test_gauge_fills_and_warns(chat: Chat, model: Endpoint) -> None:
    model.context_length = 160
    model.max_output_tokens = 40
    model.save()
    chat.page.reload()
    chat.ask("Count the words")
    chat.wait_for_end()
    expect(chat.page.get_by_role("img", name=re.compile("fills 8[0-9]%"))).to_be_visible()
    expect(chat.page.locator("[data-context-words]")).to_contain_text("oldest turns are left out")


def test_details_and_replay(chat: Chat, page: Page) -> None:
    chat.ask("Count the words")
    chat.wait_for_end()
    chat.answers.last.get_by_role("button", name="Details").click()
    card = page.get_by_role("dialog", name="Details of this answer")
    expect(card).to_contain_text("100 tokens")
    card.get_by_role("button", name="Replay").click()
    expect(chat.answers.last.locator(".pager__place")).to_have_text("2/2")
    chat.wait_for_end()
    expect(chat.answers.last).to_contain_text("Replayed with the same seed: the text is equal.")


def test_reading_further_up_is_left_alone(chat: Chat, endpoint: WrittenEndpoint, model: Endpoint) -> None:
    endpoint.answers["Long"] = "\n\n".join(f"Paragraph {number} of many." for number in range(60))
    _script(model, "slow:10")
    chat.ask("Long")
    expect(chat.text()).to_contain_text("Paragraph 20")
    scroller = chat.page.locator("[data-scroller]")
    scroller.hover()
    chat.page.mouse.wheel(0, -5000)
    jump = chat.page.get_by_role("button", name="Jump to the latest")
    expect(jump).to_be_visible()
    top = scroller.evaluate("element => element.scrollTop")
    time.sleep(0.5)
    assert scroller.evaluate("element => element.scrollTop") == top
    jump.click()
    chat.wait_for_end()
    expect(chat.text().locator("p").last).to_be_in_viewport()


def test_two_hundred_messages_open_at_the_end_and_scroll(chat: Chat, page: Page) -> None:
    chat.ask("The first of many")
    chat.wait_for_end()
    _lengthen(chat.conversation, 100)
    began = time.monotonic()
    page.reload()
    expect(chat.answers.last.locator("li").last).to_be_in_viewport()
    print(f"200 messages: the end is rendered after {time.monotonic() - began:.2f} s")
    expect(chat.answers).to_have_count(101)
    page.wait_for_function("document.querySelectorAll('.thread .prose').length === 101")
    longest = page.evaluate(
        """async () => {
            const scroller = document.querySelector("[data-scroller]")
            let longest = 0
            for (let frame = 0, last = performance.now(); frame < 60; frame++) {
                scroller.scrollTop -= 400
                await new Promise(requestAnimationFrame)
                const now = performance.now()
                longest = Math.max(longest, now - last)
                last = now
            }
            return longest
        }"""
    )
    print(f"longest frame while scrolling: {longest:.0f} ms")
    assert longest < 250  # a busy two-core machine; 20 to 40 ms on an idle one


def _lengthen(conversation_id: str, turns: int) -> None:
    from chatapp.answers.models import Answer
    from chatapp.conversations.models import Conversation, Message

    conversation = Conversation.objects.get(pk=conversation_id)
    leaf = conversation.active_leaf
    text = "Some **words** about it.\n\n- one\n- two\n\n```python\nprint('three')\n```\n\n1. last\n"
    for number in range(turns):
        question = conversation.messages.create(parent=leaf, role=Message.Role.USER, text=f"Question {number}")
        leaf = conversation.messages.create(parent=question, role=Message.Role.ASSISTANT, text=text)
        Answer.objects.create(
            message=leaf, client_id=uuid.uuid4(), seed=number, status="finished", ended_at=timezone.now()
        )
    conversation.active_leaf = leaf
    conversation.save()


def test_questions_in_quick_succession_follow_each_other(chat: Chat, page: Page) -> None:
    for number in range(4):
        chat.ask(f"Quick {number}")
    expect(chat.answers).to_have_count(4)
    for number in range(4):
        expect(chat.questions.nth(number)).to_contain_text(f"Quick {number}")
        expect(chat.answers.nth(number)).to_have_attribute("data-status", "finished")
    expect(page.locator(".pager")).to_have_count(0)


def test_session_that_ended_is_said_and_the_text_stays(chat: Chat, person: Person) -> None:
    from django.contrib.sessions.models import Session

    chat.field.fill("Still mine")
    Session.objects.filter(session_key=person.session).delete()
    chat.page.evaluate("dispatchEvent(new Event('offline')); dispatchEvent(new Event('online'))")
    line = chat.page.locator("[data-connection]")
    expect(line).to_contain_text("You are signed out")
    expect(line.get_by_role("link", name="Sign in")).to_be_visible()
    expect(chat.field).to_have_value("Still mine")
