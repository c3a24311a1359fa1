//! The built binary as a process: what it says, where it listens, how it ends.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use pointsman::clock::instant_now;
use regex::Regex;
use tokio::time::sleep;

use super::{BLINK, DEADLINE};

/// A running daemon; killed when dropped.
pub(super) struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
    admin: SocketAddr,
    readers: Vec<JoinHandle<()>>,
    /// Its stderr while nobody reads that.
    unread: Option<BufReader<ChildStderr>>,
}

impl Process {
    /// Starts it, and waits for it to say where its read-only side listens.
    pub(super) async fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::default();
        let readers =
            vec![collect(child.stdout.take().unwrap(), &said), collect(child.stderr.take().unwrap(), &said)];
        let end = instant_now() + DEADLINE;
        let admin = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self { child, said, admin, readers, unread: None };
        loop {
            let log = process.log();
            if let Some(listens) = listens_at(&log) {
                process.admin = listens;
                return process;
            }
            let ended = process.child.try_wait().unwrap();
            assert!(ended.is_none() && instant_now() < end, "it does not start ({ended:?}):\n{log}");
            sleep(BLINK).await;
        }
    }

    /// Starts it with a pipe for stderr that nobody reads once it has said where its read-only side listens.
    pub(super) fn start_unread(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut unread = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let admin = loop {
            assert!(unread.read_line(&mut log).unwrap() > 0, "it ended:\n{log}");
            if let Some(listens) = listens_at(&log) {
                break listens;
            }
        };
        let said = Arc::new(Mutex::new(log));
        Self { child, said, admin, readers: Vec::new(), unread: Some(unread) }
    }

    /// Its stderr is read again, from where that was left.
    pub(super) fn read_on(&mut self) {
        let unread = self.unread.take();
        self.readers.extend(unread.map(|unread| collect(unread, &self.said)));
    }

    /// Where its read-only side is.
    pub(super) fn listens_at(&self) -> SocketAddr {
        self.admin
    }

    /// What it said so far, on stdout and stderr.
    pub(super) fn log(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(super) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: &str) {
        // The shell's own `kill` is there wherever a shell is, and none of our dependencies sends signals.
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Sends a signal and waits for the end.
    pub(super) async fn end(&mut self, signal: &str) -> (ExitStatus, Duration) {
        let began = instant_now();
        self.signal(signal);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let took = began.elapsed();
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
                return (status, took);
            }
            assert!(began.elapsed() < DEADLINE, "SIG{signal} does not end it:\n{}", self.log());
            sleep(BLINK).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listens_at(log: &str) -> Option<SocketAddr> {
    let listens = Regex::new(r#"listen"?[=:]"?(127[\d.]+:\d+)"#).unwrap();
    listens.captures(log).map(|found| found[1].parse().unwrap())
}

/// Reads a stream to its end, a line at a time, so that the process never waits for a reader.
fn collect(stream: impl Read + Send + 'static, said: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    })
}
