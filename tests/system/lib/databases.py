# SPDX-License-Identifier: Apache-2.0
"""A fresh migrated database for each test: cloned from a template that is migrated once a session."""

import os
import subprocess
from pathlib import Path

from psycopg import sql

from .servers import SCRIPTS, Postgres

TEMPLATE = "carillon_template"
LOGINS = ("producer", "consumer", "webhook")


def login_password(process: str) -> str:
    return f"system-tests-{process}-password"


def make_template(postgres: Postgres, producer: Path, environment: dict[str, str]) -> None:
    """Migrates the template with the producer's own runner and makes a login for each process."""
    with postgres.connect() as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(TEMPLATE)))
    done = subprocess.run(
        [producer, "--migrate"],
        env=os.environ | environment | {"DATABASE_URL": postgres.url(TEMPLATE)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"carillon-producer --migrate ended with {done.returncode}:\n{done.stderr}")
    passwords = {f"{process.upper()}_DB_PASSWORD": login_password(process) for process in LOGINS}
    postgres.psql_file(TEMPLATE, SCRIPTS / "login_roles.sql", **passwords)


def clone(postgres: Postgres, name: str) -> None:
    """Settings and rights of a database are not part of what CREATE DATABASE copies: they follow by hand."""
    target = sql.Identifier(name)
    with postgres.connect() as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(target, sql.Identifier(TEMPLATE))
        )
        settings = connection.execute(
            "select unnest(setconfig) from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase"
            " where d.datname = %s and s.setrole = 0",
            (TEMPLATE,),
        ).fetchall()
        for (setting,) in settings:
            key, value = setting.split("=", 1)
            # search_path is a list of identifiers; as one quoted value it would be one of them.
            value = sql.SQL(value) if key == "search_path" else sql.Literal(value)
            connection.execute(
                sql.SQL("alter database {} set {} to {}").format(target, sql.Identifier(key), value)
            )
        connection.execute(
            "update pg_database set datacl = (select datacl from pg_database where datname = %s)"
            " where datname = %s",
            (TEMPLATE, name),
        )


def drop(postgres: Postgres, name: str) -> None:
    with postgres.connect() as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
