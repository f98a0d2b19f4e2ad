"""The look all forms share: class names of static/css on the fields. Their rows are templates/forms/_field.html."""

from typing import Any

from django import forms


class LookMixin:
    """Mixed into a form before Django's class."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", "form__input")
