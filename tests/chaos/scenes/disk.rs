//! A disk that is full or can only be read, and a journal that is smashed between runs and under a running daemon.
//!
//! Whatever becomes of it, looks and writes go on (KEEP-WATCHING), and what was smashed is set aside, not deleted.

use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::fails_over;
use crate::dice::Dice;
use crate::stage::{Launch, Stage, own_mounts};

/// In bytes: less than any journal is long, so that nothing can be added to it nor changed far inside.
const FULL_AT: &str = "4096";

/// How a journal may be damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    /// Some bytes in the middle are others.
    Smashed,
    /// The second half is gone.
    Truncated,
    /// Nothing of it is left but its length.
    Garbage,
    /// It is empty.
    Emptied,
    /// Its log of changes is gone.
    LogGone,
    /// Its log of changes is garbage.
    LogSmashed,
    /// All of it is gone.
    Gone,
    /// There is a folder in its place.
    Folder,
}

impl Damage {
    pub(crate) const ALL: [Self; 8] = [
        Self::Smashed,
        Self::Truncated,
        Self::Garbage,
        Self::Emptied,
        Self::LogGone,
        Self::LogSmashed,
        Self::Gone,
        Self::Folder,
    ];

    /// Does it, to a journal that is in use or not.
    fn befalls(self, state_dir: &Path) {
        let (journal, log) = (state_dir.join("journal.db"), state_dir.join("journal.db-wal"));
        match self {
            Self::Smashed => smash(&journal, |length| length / 4..length / 4 * 3),
            Self::Garbage => smash(&journal, |length| 0..length),
            Self::LogSmashed => smash(&log, |length| 0..length),
            Self::Truncated => cut(&journal, 2),
            Self::Emptied => cut(&journal, u64::MAX),
            Self::LogGone => remove(&log),
            Self::Gone => [&journal, &log].into_iter().for_each(|file| remove(file)),
            Self::Folder => {
                remove(&journal);
                fs::create_dir(&journal).unwrap();
            }
        }
    }

    /// What no daemon can be asked to mend by itself.
    fn mend(self, state_dir: &Path) {
        if let Self::Folder = self {
            // It is gone already when the daemon has set it aside.
            fs::remove_dir(state_dir.join("journal.db")).ok();
        }
    }
}

/// Overwrites a part of the file, given its length.
fn smash(file: &Path, part: impl Fn(u64) -> Range<u64>) {
    let Ok(opened) = File::options().write(true).open(file) else { return };
    let part = part(opened.metadata().unwrap().len());
    let bytes: Vec<u8> = part.clone().map(|at| (at % 251) as u8 ^ 0x5a).collect();
    opened.write_all_at(&bytes, part.start).unwrap();
}

fn cut(file: &Path, part: u64) {
    let Ok(opened) = File::options().write(true).open(file) else { return };
    opened.set_len(opened.metadata().unwrap().len() / part).unwrap();
}

fn remove(file: &Path) {
    fs::remove_file(file).ok();
}

/// The journal is damaged while the daemon runs, or is dead; a region dies and returns meanwhile.
pub(crate) async fn journal_damaged(stage: &mut Stage, dice: &mut Dice, damage: Damage, while_running: bool) {
    // A person takes away what was set aside before the daemon gives up on a disk that eats its journals.
    for entry in fs::read_dir(stage.state_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().contains(".corrupt-") {
            remove(&entry.path());
        }
    }
    if while_running {
        damage.befalls(&stage.state_dir());
    } else {
        stage.kill().await;
        damage.befalls(&stage.state_dir());
        stage.life.forgot_all(stage.cloud.about().await.now_ms);
        stage.start().await;
    }
    fails_over(stage, dice).await;
    damage.mend(&stage.state_dir());
    stage.settle().await;
}

/// There is no room any more for what it writes, and a region dies: a limit on the size of files is a full disk
/// that needs no other. The launch has to ignore SIGXFSZ.
pub(crate) async fn disk_full(stage: &mut Stage, dice: &mut Dice) {
    stage.limit("fsize", FULL_AT);
    fails_over(stage, dice).await;
    stage.until("the journal is in trouble", |sight| sight.alarmed("journal")).await;
    stage.limit("fsize", "unlimited");
    stage.settle().await;
}

/// The small disk under `state_dir` ([`small_disk`]) is full while a region dies, and later there is room again.
pub(crate) async fn small_disk_full(stage: &mut Stage, dice: &mut Dice) {
    let inside = PathBuf::from(format!("/proc/{}/root", stage.process_id()));
    let filler = inside.join(stage.state_dir().strip_prefix("/").unwrap()).join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);
    fails_over(stage, dice).await;
    stage.until("the journal is in trouble", |sight| sight.alarmed("journal")).await;
    remove(&filler);
    stage.settle().await;
}

/// It is started on a `state_dir` that can only be read, a region dies, and later the disk can be written.
pub(crate) async fn read_only(stage: &mut Stage, dice: &mut Dice) {
    stage.kill().await;
    let folder = stage.state_dir();
    let first = format!("mount --bind {0} {0} && mount -o remount,bind,ro {0}", folder.display());
    stage.launch = Launch { first: Some(first), within: own_mounts().unwrap(), ..Launch::default() };
    // What is remembered is of before it was read-only, at the latest.
    stage.life.forgot_all(stage.cloud.about().await.now_ms);
    stage.start().await;
    fails_over(stage, dice).await;
    stage.until("the journal is in trouble", |sight| sight.alarmed("journal")).await;
    stage.inside("mount -o remount,bind,rw \"$0\"");
    stage.settle().await;
}

/// Where nobody may mount anything, the nearest to both: there is a file in the place of the folder.
pub(crate) async fn state_dir_gone(stage: &mut Stage, dice: &mut Dice) {
    let moved = stage.path("moved");
    fs::rename(stage.state_dir(), &moved).unwrap();
    fs::write(stage.state_dir(), "in the way").unwrap();
    fails_over(stage, dice).await;
    stage.until("the journal is in trouble", |sight| sight.alarmed("journal")).await;
    remove(&stage.state_dir());
    fs::rename(&moved, stage.state_dir()).unwrap();
    stage.settle().await;
}

/// A launch onto a disk of its own with room for a journal and little else.
pub(crate) fn small_disk(stage: &Stage, within: Vec<String>) -> Launch {
    let folder = stage.state_dir();
    fs::create_dir(&folder).unwrap();
    let first = format!("mount -t tmpfs -o size=400k,mode=700 none {}", folder.display());
    Launch { first: Some(first), within, ..Launch::default() }
}
