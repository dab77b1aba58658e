"""The rows, the files and the vendors' memory: kept as they are at one moment, and brought back."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

DATABASE = "crash"


@dataclass
class World:
    """`server` is the address of PostgreSQL's own database, past every gate."""

    folder: Path
    server: str
    moments: list[int] = field(default_factory=list)

    @property
    def files(self) -> Path:
        """What the product and its callers leave on disk."""
        return self.folder / "world"

    def create(self) -> None:
        self.files.mkdir(parents=True)
        self._run("CREATE DATABASE {}", DATABASE)

    def keep(self) -> int:
        """Everything as it is now. Returns the moment's number."""
        moment = self.moments[-1] + 1 if self.moments else 1
        self.moments.append(moment)
        self._copy_database(DATABASE, f"{DATABASE}_{moment}")
        shutil.copytree(self.files, self._place(moment) / "world", symlinks=True)
        self._copy_books(self._books, self._place(moment) / "books.sqlite3")
        return moment

    def bring_back(self, moment: int) -> None:
        self._run("DROP DATABASE {} WITH (FORCE)", DATABASE)
        self._copy_database(f"{DATABASE}_{moment}", DATABASE)
        shutil.rmtree(self.files)
        shutil.copytree(self._place(moment) / "world", self.files, symlinks=True)
        self._copy_books(self._place(moment) / "books.sqlite3", self._books)

    def forget(self) -> None:
        """All moments that were kept."""
        for moment in self.moments:
            self._run("DROP DATABASE {}", f"{DATABASE}_{moment}")
            shutil.rmtree(self._place(moment))
        self.moments.clear()

    @property
    def _books(self) -> Path:
        return self.folder / "sandbox/books.sqlite3"

    def _place(self, moment: int) -> Path:
        return self.folder / "kept" / str(moment)

    def _copy_database(self, source: str, target: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [source])
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", target, source)

    def _run(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _copy_books(self, source: Path, target: Path) -> None:
        with closing(sqlite3.connect(source)) as origin, closing(sqlite3.connect(target, timeout=10)) as copy:
            origin.backup(copy)
