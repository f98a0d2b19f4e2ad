"""The page of sharing, copies, and what whoever has a public link sees."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp.accounts import lockout, throttle
from chatapp.accounts.entering import address_of
from chatapp.accounts.grants import Access
from chatapp.accounts.principals import rows_of
from chatapp.accounts.share_forms import GrantForm
from chatapp.accounts.throttle import Key
from chatapp.errors import ChatError, NotFound
from chatapp.http import read_fields, valid, viewer, wants_page
from chatapp.sharing import forking, grants, links, seeing
from chatapp.sharing.forms import ChatShareForm, LinkForm


@never_cache
@require_http_methods(["GET", "POST"])
def share(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    person = viewer(request)
    conversation = grants.get_own(person, conversation_id)  # before the form says anything of people and groups
    if request.method == "POST":
        form = ChatShareForm(person, read_fields(request))
        access = Access(valid(form)["access"])
        grants.share(person, conversation_id, form.chosen(), access)
        return _back(request, conversation_id)
    context = {
        "conversation": conversation,
        "grants": rows_of(conversation.grants.all()),
        "share": ChatShareForm(person),
        "may_publish": links.may_publish(person),
        "links": links.links_of(conversation),
        "link_form": LinkForm(),
    }
    return render(request, "sharing/share.html", context)


@require_POST
def end_share(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    grants.get_own(viewer(request), conversation_id)
    grants.end_share(viewer(request), conversation_id, valid(GrantForm(read_fields(request)))["grant"])
    return _back(request, conversation_id)


@require_POST
def fork(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    copy = forking.fork(viewer(request), conversation_id)
    if wants_page(request):
        return redirect("conversation", copy.pk)
    return JsonResponse({"id": str(copy.pk)})


@never_cache
@require_POST
def make_link(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The answer to this request is the only page that ever shows the link."""
    person = viewer(request)
    conversation = grants.get_own(person, conversation_id)
    days = valid(LinkForm(read_fields(request)))["days"]
    try:
        made = links.make(person, conversation_id, days)
    except NotFound:
        raise
    except ChatError as refused:
        if not wants_page(request):
            raise
        messages.error(request, refused.message)
        return _back(request, conversation_id)
    url = request.build_absolute_uri(reverse("shared", args=[made.token]))
    if not wants_page(request):
        return JsonResponse({"url": url, "expires_at": made.link.expires_at.isoformat()})
    return render(request, "sharing/made.html", {"conversation": conversation, "url": url, "link": made.link})


@require_POST
def revoke_link(request: HttpRequest, conversation_id: UUID, link_id: UUID) -> HttpResponse:
    links.revoke(viewer(request), conversation_id, link_id)
    if wants_page(request):
        messages.success(request, _("The link does not work any more."))
    return _back(request, conversation_id)


@login_not_required
@never_cache
@require_GET
def show_shared(request: HttpRequest, token: str) -> HttpResponse:
    """For anybody. No search engine is to list it, and no page that it leads to learns its address."""
    link = links.find(token)
    if link is None:
        throttle.begin(Key("token", lockout.place(address_of(request))))
        raise Http404
    response = render(request, "sharing/shared.html", {"link": link})
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@never_cache
@require_GET
def show_seers(request: HttpRequest, thing_id: UUID, kind: str) -> HttpResponse:
    """Who can see this, and why: the owner's to know."""
    seen = seeing.seen_by(viewer(request), kind, thing_id)
    words, back = seeing.KINDS[kind].words, reverse(seeing.KINDS[kind].back, args=[thing_id])
    return render(request, "sharing/seen.html", {"seen": seen, "kind": kind, "title": words, "back": back})


def _back(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    return redirect("share_conversation", conversation_id) if wants_page(request) else JsonResponse({"ok": True})
