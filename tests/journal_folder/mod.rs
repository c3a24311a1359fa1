//! A folder with a journal, what is told to it, and what it says in the log.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::Duration;

use pointsman::clock::instant_now;
use pointsman::core::Transition;
use pointsman::journal::{Configured, Entry, Remembered, Row, read};
use pointsman::model::{Liveness, Moment, RegionName, ServiceName};
use tracing_subscriber::fmt::MakeWriter;

/// How long anything may take that is waited for.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
const BLINK: Duration = Duration::from_millis(5);
/// SQLite's own default.
const PAGE_BYTES: u64 = 4_096;

pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        listen();
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// All that the journal holds.
    pub(super) fn rows(&self) -> Vec<Row> {
        read(self.path(), Duration::ZERO, usize::MAX).unwrap()
    }

    /// The corrupt journals that were set aside.
    pub(super) fn set_aside(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        let is_one = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("journal.db.corrupt-") && !name.ends_with("-wal") && !name.ends_with("-shm")
        };
        paths.filter(is_one).collect()
    }

    /// Overwrites pages of the journal, which count from 1.
    pub(super) fn smash(&self, which: impl Fn(u64) -> bool) {
        let file = File::options().write(true).open(self.path().join("journal.db")).unwrap();
        let pages = file.metadata().unwrap().len() / PAGE_BYTES;
        for page in (1..=pages).filter(|page| which(*page)) {
            file.write_all_at(&[0xff; 4_096], (page - 1) * PAGE_BYTES).unwrap();
        }
    }
}

pub(super) fn started() -> Entry {
    Entry::Started(Configured::new("1.2.3", &[]))
}

pub(super) fn transition(number: u32) -> Transition {
    Transition {
        service: ServiceName::parse("demo").unwrap(),
        region: RegionName::parse("region1").unwrap(),
        from: Liveness::Suspect,
        to: Liveness::Down,
        because: format!("web failing, number {number}"),
        first_failure: Some(Moment::after_start(Duration::from_secs(49))),
        at: Moment::after_start(Duration::from_secs(60)),
    }
}

pub(super) fn memory(service: &str, number: u32) -> Remembered {
    Remembered {
        service: ServiceName::parse(service).unwrap(),
        saved: Duration::from_micros(1_795_508_100_000_000 + u64::from(number)),
        state: format!(r#"{{"number":{number}}}"#),
    }
}

#[track_caller]
pub(super) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = instant_now() + DEADLINE;
    while !so() {
        assert!(instant_now() < end, "waited for too long: {what}");
        std::thread::sleep(BLINK);
    }
}

/// The lines of the log that name this folder.
pub(super) fn said(folder: &Path) -> Vec<String> {
    let log = LOG.lock().unwrap();
    let folder = folder.to_str().unwrap();
    String::from_utf8_lossy(&log).lines().filter(|line| line.contains(folder)).map(str::to_owned).collect()
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// The journal's thread has no subscriber but the one of the whole process.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(Log).init());
}

struct Log;

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
