//! The SQLite file: its schema, how older ones become it, and the statements.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::de::IgnoredAny;

use super::files::Files;
use super::outbox::{Batch, Queued};
use super::{JournalError, Remembered};
use crate::model::ServiceName;

/// In the file's header, so that `file` and we know a journal from any other database: "poin".
const APPLICATION_ID: i64 = 0x706f_696e;

/// Each step makes version N of version N - 1; an empty file is version 0. A step that was released is never
/// changed: another one is appended.
pub(super) const STEPS: [&str; 2] = [
    "PRAGMA application_id = 0x706f696e;
     CREATE TABLE entry (
         id INTEGER PRIMARY KEY,
         at INTEGER NOT NULL,        -- microseconds since 1970
         service TEXT,
         region TEXT,
         kind TEXT NOT NULL,
         generation INTEGER,         -- of the plan
         message TEXT NOT NULL,      -- a sentence for a person
         detail TEXT NOT NULL        -- the evidence, in JSON
     ) STRICT;
     CREATE INDEX entry_at ON entry (at);
     CREATE INDEX entry_service ON entry (service, at);",
    "CREATE TABLE memory (
         service TEXT PRIMARY KEY,
         saved INTEGER NOT NULL,     -- microseconds since 1970
         state TEXT NOT NULL         -- the core's own, in JSON
     ) STRICT;",
];

/// How large the write-ahead log stays, in bytes, once its content is in the database.
const LOG_BYTES_MAX: i64 = 4_000_000;
/// How long a statement waits for a reader that puts the log in order after a hard end.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    path: PathBuf,
    /// Which file it is on its file system, whatever its name by now.
    file: (u64, u64),
}

impl Store {
    /// Opens the journal, makes it if it is missing, brings it to the present version, and writes to it once to
    /// know that it can be written.
    pub(super) fn open(files: &Files) -> Result<Self, JournalError> {
        let path = files.journal()?;
        let failed = |source| JournalError::of(&path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        let version = version(&connection, &path)?;
        prepare(&connection).map_err(failed)?;
        migrate(&mut connection, version, &STEPS).map_err(failed)?;
        let file = fs::metadata(&path).map(|meta| (meta.dev(), meta.ino()));
        let file = file.map_err(|_| JournalError::Moved { path: path.clone() })?;
        Ok(Self { connection, path, file })
    }

    /// What is remembered, as far as it can be read.
    pub(super) fn memories(&self) -> Vec<Remembered> {
        let read = || -> rusqlite::Result<Vec<Remembered>> {
            let mut statement = self.connection.prepare("SELECT service, saved, state FROM memory")?;
            let rows = statement.query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            })?;
            let whole = |(service, saved, state): (String, i64, String)| {
                let service = ServiceName::parse(&service).ok()?;
                // A page that was damaged may still be read, as something else.
                serde_json::from_str::<IgnoredAny>(&state).ok()?;
                Some(Remembered { service, saved: from_micros(saved), state })
            };
            Ok(rows.map_while(Result::ok).filter_map(whole).collect())
        };
        read().unwrap_or_default()
    }

    /// Reads the whole file for damage.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        let found: String = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(|source| self.failed(source))?;
        if found == "ok" { Ok(()) } else { Err(JournalError::Damaged { path: self.path.clone(), found }) }
    }

    /// Writes all of it or nothing. What somebody waits for is on disk afterwards, even if the power fails.
    pub(super) fn keep(&mut self, batch: &Batch) -> Result<(), JournalError> {
        let is_still_there = fs::metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file);
        if !is_still_there {
            return Err(JournalError::Moved { path: self.path.clone() });
        }
        let is_waited_for = batch.entries.iter().any(|queued| queued.tell.is_some());
        self.written(|connection| {
            connection.pragma_update(None, "synchronous", if is_waited_for { "FULL" } else { "NORMAL" })?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            keep_entries(&transaction, batch)?;
            keep_memories(&transaction, batch)?;
            transaction.commit()
        })
    }

    /// Strikes out at most this many entries from before this time, the oldest first; how many there were. The
    /// clock may stand wrong when a machine starts: the newest entry bounds what that can cost.
    pub(super) fn strike_older(
        &mut self,
        keep_for: Duration,
        now: Duration,
        most: u32,
    ) -> Result<usize, JournalError> {
        let (keep_for, now) = (micros(keep_for), micros(now));
        self.written(|connection| {
            connection.execute(
                "DELETE FROM entry WHERE id IN (SELECT id FROM entry
                 WHERE at < min(?1, (SELECT max(at) FROM entry)) - ?2 ORDER BY at LIMIT ?3)",
                params![now, keep_for, most],
            )
        })
    }

    /// Strikes out at most this many entries, the oldest first; how many there were.
    pub(super) fn strike_oldest(&mut self, most: u32) -> Result<usize, JournalError> {
        self.written(|connection| {
            connection
                .execute("DELETE FROM entry WHERE id IN (SELECT id FROM entry ORDER BY id LIMIT ?1)", [most])
        })
    }

    /// Gives at most this many pages that nothing is in back to the file system.
    pub(super) fn shrink(&mut self, most: u32) -> Result<(), JournalError> {
        self.written(|connection| connection.pragma(None, "incremental_vacuum", most, |_| Ok(())))
    }

    /// How large it is, without its log.
    pub(super) fn size(&mut self) -> Result<Size, JournalError> {
        self.written(|connection| {
            let ask = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
            let (page, pages, free) = (ask("page_size")?, ask("page_count")?, ask("freelist_count")?);
            let bytes = |pages: i64| u64::try_from(pages * page).unwrap_or(0);
            Ok(Size { file: bytes(pages), used: bytes(pages - free) })
        })
    }

    /// Makes trouble on purpose.
    #[cfg(test)]
    pub(super) fn run(&self, sql: &str) {
        self.connection.query_row(sql, [], |_| Ok(())).ok();
    }

    fn written<T>(
        &mut self,
        write: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        write(&mut self.connection).map_err(|source| JournalError::of(&self.path, source))
    }

    fn failed(&self, source: rusqlite::Error) -> JournalError {
        JournalError::of(&self.path, source)
    }
}

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Of the file.
    pub(super) file: u64,
    /// Of what is in it.
    pub(super) used: u64,
}

/// The version of what is there, if it is ours to touch.
fn version(connection: &Connection, path: &Path) -> Result<usize, JournalError> {
    let failed = |source| JournalError::of(path, source);
    connection.busy_timeout(BUSY_MAX).map_err(failed)?;
    let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let application = ask("PRAGMA application_id")?;
    let version = ask("PRAGMA user_version")?;
    let is_new = application == 0 && version == 0 && ask("SELECT count(*) FROM sqlite_schema")? == 0;
    // Closing would tidy up a log that a newer program may still want as it is.
    let leave_alone =
        || connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed);
    if application != APPLICATION_ID && !is_new {
        leave_alone()?;
        return Err(JournalError::Foreign { path: path.to_owned() });
    }
    match usize::try_from(version) {
        Ok(known) if known <= STEPS.len() => Ok(known),
        Ok(_) | Err(_) => {
            leave_alone()?;
            Err(JournalError::Newer { path: path.to_owned(), found: version, known: STEPS.len() })
        }
    }
}

/// Sets what has to be set at each opening.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Counts for an empty file only, and before anything else is in it.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // With a write-ahead log readers and the writer do not wait for each other. Where there can be none, as on some
    // network file systems, the answer is another mode, and that works too.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_MAX)
}

/// Takes the steps that are missing, each in a transaction of its own, and writes the version in any case: that
/// shows whether the file can be written.
pub(super) fn migrate(connection: &mut Connection, from: usize, steps: &[&str]) -> rusqlite::Result<()> {
    let steps_with_version = (1..).zip(steps).skip(from);
    for (version, step) in steps_with_version {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    connection.pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))
}

fn keep_entries(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO entry (at, service, region, kind, generation, message, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for Queued { at, entry, .. } in &batch.entries {
        insert.execute(params![
            micros(*at),
            entry.service().map(ServiceName::as_str),
            entry.region().map(crate::model::RegionName::as_str),
            entry.kind(),
            entry.generation().map(|generation| i64::try_from(generation.0).unwrap_or(i64::MAX)),
            entry.message(),
            entry.detail().to_string(),
        ])?;
    }
    Ok(())
}

fn keep_memories(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let mut upsert = transaction.prepare(
        "INSERT INTO memory (service, saved, state) VALUES (?1, ?2, ?3)
         ON CONFLICT (service) DO UPDATE SET saved = excluded.saved, state = excluded.state",
    )?;
    let mut delete = transaction.prepare("DELETE FROM memory WHERE service = ?1")?;
    for (service, memory) in &batch.memories {
        match memory {
            Some(memory) => upsert.execute(params![service.as_str(), micros(memory.saved), memory.state])?,
            None => delete.execute([service.as_str()])?,
        };
    }
    Ok(())
}

/// As the file holds times: whole microseconds.
pub(super) fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// And back.
pub(super) fn from_micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Journal, read};
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_journal_of_version_1_becomes_one_of_today_and_keeps_its_entries() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let mut connection = Connection::open(&path).unwrap();
        migrate(&mut connection, 0, &STEPS[..1]).unwrap();
        // Retention has its own tests: this entry is of today.
        let old = "INSERT INTO entry (at, kind, message, detail) VALUES (?1, 'stopped', 'before', '{}')";
        connection.execute(old, [micros(crate::clock::wall_time())]).unwrap();
        drop(connection);

        let (journal, remembered) = Journal::open(dir.path(), DEADLINE);
        assert_eq!(remembered, []);
        let state = Remembered {
            service: ServiceName::parse("a").unwrap(),
            saved: Duration::from_secs(1),
            state: "{}".to_owned(),
        };
        journal.record(Entry::Stopped);
        journal.remember(vec![state.clone()]);
        assert!(journal.close(DEADLINE).await);
        drop(journal);
        let messages: Vec<String> =
            read(dir.path(), Duration::ZERO, 9).unwrap().into_iter().map(|row| row.message).collect();
        assert_eq!(messages, ["before", "pointsman stopped"]);
        assert_eq!(Journal::open(dir.path(), DEADLINE).1, [state]);
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it_whole() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, &STEPS).unwrap();
        let steps = [STEPS[0], STEPS[1], "CREATE TABLE half (a); CREATE TABLE entry (a)"];
        assert!(migrate(&mut connection, 2, &steps).is_err());
        let ask = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(ask("PRAGMA user_version"), 2);
        assert_eq!(ask("SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), 0);
    }
}
