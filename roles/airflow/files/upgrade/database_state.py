"""Say at which revision Airflow's database is, as the Airflow of this image sees it: one line of JSON."""

from __future__ import annotations

import json
import logging

from airflow import settings
from airflow.utils.db import _get_script_object
from alembic.migration import MigrationContext

logging.disable(logging.INFO)

script = _get_script_object()
known = {revision.revision for revision in script.walk_revisions()}
with settings.engine.connect() as connection:
    # The table's name is the same in all versions of Airflow; other programs have tables of their own.
    found = set(MigrationContext.configure(connection).get_current_heads())

wanted = set(script.get_heads())
if not found:
    state = "empty"
elif found == wanted:
    state = "current"
else:
    state = "older" if found <= known else "unknown"
print(json.dumps({"state": state, "found": sorted(found), "wanted": sorted(wanted)}))
