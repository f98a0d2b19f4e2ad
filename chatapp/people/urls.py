"""Routes of the team."""

from django.urls import path

from chatapp.people import goodbye, inviting, resetting, views

urlpatterns = [
    path("people", views.show_team, name="team"),
    path("people/<uuid:person_id>", views.show_person, name="person"),
    path("people/<uuid:person_id>/role", views.change_role, name="change_role"),
    path("people/<uuid:person_id>/suspend", views.suspend_person, name="suspend_person"),
    path("people/<uuid:person_id>/reactivate", views.reactivate_person, name="reactivate_person"),
    path("people/<uuid:person_id>/reset-codes", views.reset_codes, name="reset_codes"),
    path("people/<uuid:person_id>/reset-password", resetting.reset_password, name="reset_password"),
    path("people/<uuid:person_id>/remove", goodbye.remove_person, name="remove_person"),
    path("account/leave", goodbye.leave, name="leave"),
    path("people/invitations", inviting.make_invitation, name="make_invitation"),
    path("people/invitations/<uuid:invitation_id>/revoke", inviting.revoke_invitation, name="revoke_invitation"),
    path("join/<str:token>", inviting.join, name="join"),
    path("password/<uuid:person_id>/<str:token>", resetting.choose_password, name="choose_password"),
    path("people/groups", views.make_group, name="make_group"),
    path("people/groups/<uuid:group_id>", views.show_group, name="group"),
    path("people/groups/<uuid:group_id>/rename", views.rename_group, name="rename_group"),
    path("people/groups/<uuid:group_id>/add", views.add_member, name="add_member"),
    path("people/groups/<uuid:group_id>/remove", views.remove_member, name="remove_member"),
    path("people/groups/<uuid:group_id>/delete", views.delete_group, name="delete_group"),
]
