"""Tables and views, and how an older file becomes a newer one."""

from sqlite_utils import Database, Migrations

migrations = Migrations("jobmap")


@migrations()
def m001_tables(db: Database) -> None:
    """Make the tables of the first release."""
    db.executescript("""
        CREATE TABLE users (
            ucloud_user TEXT PRIMARY KEY,
            local_user  TEXT NOT NULL,
            account     TEXT NOT NULL
        );
        CREATE TABLE projects (
            project TEXT PRIMARY KEY,
            account TEXT NOT NULL
        );
        CREATE TABLE clusters (
            cluster               TEXT PRIMARY KEY,
            known_since           INTEGER NOT NULL,  -- older jobs are looked up before submission
            accounting_watermark  INTEGER,           -- when accounting was last read as a whole
            limits                TEXT               -- JSON, as last read from Slurm
        );
        CREATE TABLE jobs (
            job_id                TEXT PRIMARY KEY,
            cluster               TEXT NOT NULL,
            ucloud_user           TEXT NOT NULL,
            project               TEXT,
            local_user            TEXT NOT NULL,
            account               TEXT NOT NULL,
            application           TEXT NOT NULL,
            category              TEXT NOT NULL,
            product               TEXT NOT NULL,
            replicas              INTEGER NOT NULL,
            partition             TEXT NOT NULL,
            qos                   TEXT NOT NULL,
            tag                   TEXT NOT NULL,
            unit_seconds          INTEGER NOT NULL,
            grid_units            INTEGER NOT NULL,
            created_at            INTEGER NOT NULL,
            submission            TEXT NOT NULL CHECK (submission IN ('INTENT', 'SUBMITTED', 'NONE')),
            state                 TEXT NOT NULL,
            time_limit_seconds    INTEGER,
            submit_request        TEXT,
            tries                 INTEGER NOT NULL,
            last_try_at           INTEGER,
            try_answered          INTEGER NOT NULL,
            doubts                INTEGER NOT NULL,
            slurm_id              INTEGER,
            slurm_submit_time     INTEGER,
            slurm_state           TEXT,
            slurm_reason          TEXT,
            stuck_ticks           INTEGER NOT NULL,
            missing_since         INTEGER,
            node_list             TEXT,
            folder                TEXT,
            submitted_at          INTEGER,
            started_at            INTEGER,
            ended_at              INTEGER,
            message               TEXT,
            wished_state          TEXT,
            wished_message        TEXT,
            elapsed_seconds       INTEGER NOT NULL,
            charged_units         INTEGER NOT NULL,
            credits_checked_units INTEGER
        );
        CREATE INDEX jobs_open ON jobs (cluster) WHERE state NOT IN ('SUCCESS', 'FAILURE', 'EXPIRED');
        CREATE TABLE attempts (
            job_id          TEXT NOT NULL REFERENCES jobs,
            slurm_id        INTEGER NOT NULL,
            submit_time     INTEGER NOT NULL,
            state           TEXT NOT NULL,
            start_time      INTEGER NOT NULL,
            end_time        INTEGER NOT NULL,
            elapsed_seconds INTEGER NOT NULL,
            exit_code       INTEGER NOT NULL,
            exit_signal     INTEGER NOT NULL,
            node_list       TEXT NOT NULL,
            PRIMARY KEY (job_id, slurm_id, submit_time)
        );
        CREATE TABLE charges (
            charge_id  TEXT PRIMARY KEY,
            job_id     TEXT NOT NULL REFERENCES jobs,
            from_unit  INTEGER NOT NULL,
            to_unit    INTEGER NOT NULL,
            periods    INTEGER NOT NULL,
            created_at INTEGER NOT NULL
        );
        CREATE TABLE outbox (
            id           INTEGER PRIMARY KEY AUTOINCREMENT,
            job_id       TEXT NOT NULL,
            kind         TEXT NOT NULL CHECK (kind IN ('update', 'charge')),
            body         TEXT NOT NULL,
            created_at   INTEGER NOT NULL,
            tries        INTEGER NOT NULL DEFAULT 0,
            last_error   TEXT,
            delivered_at INTEGER,
            refused_at   INTEGER   -- Core will never take it: last_error says why
        );
        CREATE INDEX outbox_open ON outbox (id) WHERE delivered_at IS NULL AND refused_at IS NULL;
    """)


@migrations()
def m002_overview(db: Database) -> None:
    """Make the view for people."""
    db.create_view(
        "jobs_overview",
        """
        SELECT job_id, state, slurm_id, slurm_state, ucloud_user AS user, local_user, account,
               category || '/' || product AS product, replicas, node_list,
               datetime(submitted_at, 'unixepoch') AS submitted,
               datetime(started_at, 'unixepoch') AS started,
               datetime(ended_at, 'unixepoch') AS ended,
               elapsed_seconds,
               (SELECT coalesce(sum((to_unit - from_unit) * periods), 0)
                  FROM charges WHERE charges.job_id = jobs.job_id) AS charged,
               coalesce(wished_message, message, slurm_reason) AS message
          FROM jobs
        """,
    )


@migrations()
def m003_usage_reports(db: Database) -> None:
    """Let the outbox hold usage for today's Core, and keep what a unit costs with its job."""
    db.executescript("""
        ALTER TABLE jobs ADD COLUMN unit_price INTEGER NOT NULL DEFAULT 1;
        CREATE TABLE new_outbox (
            id           INTEGER PRIMARY KEY AUTOINCREMENT,
            job_id       TEXT NOT NULL,
            kind         TEXT NOT NULL CHECK (kind IN ('update', 'charge', 'usage')),
            body         TEXT NOT NULL,
            created_at   INTEGER NOT NULL,
            tries        INTEGER NOT NULL DEFAULT 0,
            last_error   TEXT,
            delivered_at INTEGER,
            refused_at   INTEGER   -- Core will never take it: last_error says why
        );
        INSERT INTO new_outbox SELECT * FROM outbox;
        DROP TABLE outbox;
        ALTER TABLE new_outbox RENAME TO outbox;
        CREATE INDEX outbox_open ON outbox (id) WHERE delivered_at IS NULL AND refused_at IS NULL;
        CREATE INDEX outbox_jobs ON outbox (job_id);
    """)


@migrations()
def m004_suspects(db: Database) -> None:
    """Keep the jobs that today's Core seems to have lost, from the first refusal of an update."""
    db.executescript("""
        CREATE TABLE suspects (
            job_id        TEXT PRIMARY KEY,
            refusals      INTEGER NOT NULL,
            confirmations INTEGER NOT NULL,   -- how often Core has then said that there is no such job
            asked_at      REAL,
            condemned_at  INTEGER             -- when the job was given up
        );
    """)


@migrations()
def m005_outside_jobs(db: Database) -> None:
    """Keep the jobs that were submitted without UCloud, from the intent to register them."""
    db.executescript("""
        CREATE TABLE outside_jobs (
            provider_id TEXT PRIMARY KEY,     -- what Core can find it by
            cluster     TEXT NOT NULL,
            slurm_id    INTEGER NOT NULL,
            local_user  TEXT NOT NULL,
            asked_at    INTEGER,              -- when Core was last asked to register it
            job_id      TEXT,                 -- Core's answer
            refused     TEXT                  -- why it will not be registered
        );
        CREATE INDEX outside_jobs_slurm ON outside_jobs (cluster, slurm_id);
    """)


@migrations()
def m006_restarts(db: Database) -> None:
    """Let a job be several Slurm jobs in turn, and note what its user was told of its waiting."""
    db.executescript("""
        ALTER TABLE jobs ADD COLUMN restart INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE jobs ADD COLUMN allow_restart INTEGER;
        ALTER TABLE jobs ADD COLUMN restart_offered INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE jobs ADD COLUMN waiting_reason TEXT;
        ALTER TABLE jobs ADD COLUMN waiting_until INTEGER;
        ALTER TABLE jobs ADD COLUMN waiting_told_at INTEGER;
        ALTER TABLE attempts ADD COLUMN restart INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE charges ADD COLUMN restart INTEGER NOT NULL DEFAULT 0;
    """)


@migrations()
def m007_slurm_ids(db: Database) -> None:
    """Find jobs by their Slurm ids, however long the history is."""
    db.execute("CREATE INDEX jobs_slurm ON jobs (cluster, slurm_id)")


@migrations()
def m008_ssh_keys(db: Database) -> None:
    """Keep which SSH keys let a UCloud user log in as which local user, and which jobs wait for that."""
    db.executescript("""
        CREATE TABLE ssh_blocks (
            ucloud_user TEXT NOT NULL,
            cluster     TEXT NOT NULL,
            local_user  TEXT NOT NULL,
            keys        TEXT NOT NULL,     -- JSON, what is to be in authorized_keys
            installed   INTEGER NOT NULL,  -- whether it is
            refusal     TEXT,              -- why it could not be
            PRIMARY KEY (ucloud_user, cluster, local_user)
        );
        CREATE TABLE ssh_jobs (
            job_id   TEXT PRIMARY KEY,  -- asks for SSH, and its user has not been told how to log in yet
            asked_at INTEGER NOT NULL
        );
    """)


@migrations()
def m009_sessions(db: Database) -> None:
    """Keep who may use, or has used, what runs in which job."""
    db.executescript("""
        CREATE TABLE sessions (
            number       INTEGER PRIMARY KEY AUTOINCREMENT,  -- what people call it
            secret_hash  TEXT NOT NULL UNIQUE,  -- SHA-256, in hex, of what lets its holder in
            kind         TEXT NOT NULL CHECK (kind IN ('SHELL', 'FOLDER', 'WEB', 'COOKIE', 'VNC')),
            ucloud_user  TEXT NOT NULL,
            cluster      TEXT NOT NULL,
            local_user   TEXT NOT NULL,
            job_id       TEXT REFERENCES jobs,  -- none for a terminal in a folder
            rank         INTEGER NOT NULL,
            target       TEXT,                  -- which of several windows
            port         INTEGER,               -- none: the one that the replica has chosen
            folder       TEXT,
            created_at   INTEGER NOT NULL,
            expires_at   INTEGER NOT NULL,
            last_used_at INTEGER,
            client       TEXT,                  -- from where it was used last
            closed_at    INTEGER,
            close_reason TEXT
        );
        CREATE INDEX sessions_open ON sessions (ucloud_user) WHERE closed_at IS NULL;
        CREATE INDEX sessions_jobs ON sessions (job_id);
    """)


@migrations()
def m010_public_links(db: Database) -> None:
    """Keep public links and the further interfaces of jobs, and let the outbox hold updates of links."""
    db.executescript("""
        CREATE TABLE public_links (
            link_id     TEXT PRIMARY KEY,
            domain      TEXT NOT NULL UNIQUE,  -- in lower case
            category    TEXT NOT NULL,
            product     TEXT NOT NULL,
            ucloud_user TEXT NOT NULL,
            project     TEXT,
            created_at  INTEGER NOT NULL,
            job_id      TEXT,                  -- the job that took it last, and holds it while it lives
            port        INTEGER                -- of that job; NULL: the application's own
        );
        CREATE TABLE targets (
            job_id TEXT NOT NULL REFERENCES jobs,
            rank   INTEGER NOT NULL,
            type   TEXT NOT NULL CHECK (type IN ('WEB', 'VNC')),
            target TEXT NOT NULL,              -- '': the application's own interface
            port   INTEGER NOT NULL,           -- 0: the one that the job is given
            PRIMARY KEY (job_id, rank, type, target)
        );
        CREATE TABLE new_outbox (
            id           INTEGER PRIMARY KEY AUTOINCREMENT,
            job_id       TEXT NOT NULL,
            kind         TEXT NOT NULL CHECK (kind IN ('update', 'charge', 'usage', 'link')),
            body         TEXT NOT NULL,
            created_at   INTEGER NOT NULL,
            tries        INTEGER NOT NULL DEFAULT 0,
            last_error   TEXT,
            delivered_at INTEGER,
            refused_at   INTEGER   -- Core will never take it: last_error says why
        );
        INSERT INTO new_outbox SELECT * FROM outbox;
        DROP TABLE outbox;
        ALTER TABLE new_outbox RENAME TO outbox;
        CREATE INDEX outbox_open ON outbox (id) WHERE delivered_at IS NULL AND refused_at IS NULL;
        CREATE INDEX outbox_jobs ON outbox (job_id);
    """)
