"""Create or update Airflow's administrator; runs inside an Airflow image, and again without harm."""

from __future__ import annotations

import json
import os
from pathlib import Path

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers_manager import ProvidersManager
from werkzeug.security import check_password_hash

wanted = json.loads(os.environ["ADMIN_USER"])
password = Path(os.environ["ADMIN_PASSWORD_FILE"]).read_text(encoding="utf-8")

ProvidersManager().initialize_providers_configuration()
with get_application_builder() as builder:
    manager = builder.sm
    role = manager.find_role(wanted["role"])
    if role is None:
        raise SystemExit(f"Role {wanted['role']!r} does not exist; there are {[found.name for found in manager.get_all_roles()]}.")
    user = manager.find_user(username=wanted["username"])
    if user is None:
        names = (wanted["username"], wanted["first_name"], wanted["last_name"], wanted["email"])
        if not manager.add_user(*names, role, password=password):
            raise SystemExit(f"User {wanted['username']!r} could not be created; is the address {wanted['email']!r} another user's?")
        print(f"User {wanted['username']!r} created.")
    else:
        user.first_name, user.last_name, user.email = wanted["first_name"], wanted["last_name"], wanted["email"]
        user.roles, user.active = [role], True
        if not manager.update_user(user):
            raise SystemExit(f"User {wanted['username']!r} could not be updated; is the address {wanted['email']!r} another user's?")
        # A reset ends the user's sessions.
        if not check_password_hash(user.password, password) and not manager.reset_password(user.id, password):
            raise SystemExit(f"The password of {wanted['username']!r} could not be set.")
        print(f"User {wanted['username']!r} is up to date.")
