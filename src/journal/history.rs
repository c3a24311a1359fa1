use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::JournalError;
use super::files::journal_in;
use super::store::{from_micros, micros};

/// An entry as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number; later ones have greater ones.
    pub id: i64,
    /// When it was told: wall time since 1970.
    pub at: Duration,
    /// The service that it is about, if it is about one.
    pub service: Option<String>,
    /// The region that it is about, if it is about one.
    pub region: Option<String>,
    /// Its kind: `transition`, `plan`, `write_sent`, ….
    pub kind: String,
    /// The plan that it is about, if it is about one.
    pub generation: Option<u64>,
    /// In a sentence, for a person.
    pub message: String,
    /// The evidence: a JSON object.
    pub detail: String,
}

/// The latest entries since a wall time, at most `limit` of them, newest last. Reads through a connection of its
/// own that cannot write; the daemon may go on writing.
///
/// # Errors
/// When there is no journal in `state_dir`, or it cannot be read.
pub fn read(state_dir: &Path, since: Duration, limit: usize) -> Result<Vec<Row>, JournalError> {
    let path = journal_in(state_dir);
    if !path.exists() {
        return Err(JournalError::Missing { dir: state_dir.to_owned() });
    }
    let read = || -> rusqlite::Result<Vec<Row>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        let mut statement = connection.prepare(
            "SELECT id, at, service, region, kind, generation, message, detail FROM entry
             WHERE at >= ?1 ORDER BY at DESC, id DESC LIMIT ?2",
        )?;
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Row {
                id: row.get(0)?,
                at: from_micros(row.get(1)?),
                service: row.get(2)?,
                region: row.get(3)?,
                kind: row.get(4)?,
                generation: row.get::<_, Option<i64>>(5)?.and_then(|number| number.try_into().ok()),
                message: row.get(6)?,
                detail: row.get(7)?,
            })
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows: Vec<Row> =
            statement.query_map(params![micros(since), limit], row)?.collect::<Result<_, _>>()?;
        rows.reverse();
        Ok(rows)
    };
    read().map_err(|source| JournalError::of(&path, source))
}
