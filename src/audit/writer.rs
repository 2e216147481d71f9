//! The thread that writes the stream of security events, line by line. Whatever its target does, only this thread waits for it.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::file::AppendFile;
use super::queue::Order;
use crate::telemetry::{DropReason, Drops};

/// How often it is looked, without events, whether the file was moved.
const LOOK: Duration = Duration::from_secs(1);
/// Pause before a line is tried again that could not be written, and how often it is tried before it is given up.
const PAUSE: Duration = Duration::from_millis(50);
const TRIES: usize = 40;

/// Where lines go.
pub(super) enum Target {
    Stdout,
    File(AppendFile),
}

impl Target {
    fn write(&mut self, bytes: &[u8], is_start: bool) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes, is_start),
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()?;
                Ok(bytes.len())
            }
        }
    }
}

/// The process ends: nothing is waited for any more.
pub(super) type Ending = Arc<AtomicBool>;

/// What the thread works with.
pub(super) struct Writer {
    pub orders: Receiver<Order>,
    pub target: Target,
    pub drops: Drops,
    /// Somebody wants the file opened anew.
    pub reopen: Arc<AtomicBool>,
    pub is_ending: Ending,
}

impl Writer {
    /// Writes until the stream is closed.
    pub(super) fn run(mut self) {
        let mut is_broken = false;
        loop {
            let order = self.orders.recv_timeout(LOOK);
            if let Target::File(file) = &mut self.target
                && self.reopen.swap(false, Ordering::Relaxed)
            {
                file.reopen();
            }
            match order {
                Ok(Order::Write(entry)) => {
                    // With a target that is broken a line gets one try: the next ones wait behind it.
                    let tries = if is_broken { 1 } else { TRIES };
                    is_broken = self.deliver(entry.line().as_bytes(), tries).is_none();
                    if is_broken {
                        self.drops.count(DropReason::WriteFailed, 1);
                    }
                }
                Ok(Order::Close(done)) => {
                    // Whoever asked may have stopped waiting.
                    let _heard = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Target::File(file) = &mut self.target {
                        file.look();
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Writes a whole line; `None` when that cannot be done.
    fn deliver(&mut self, line: &[u8], tries: usize) -> Option<()> {
        let (mut rest, mut failures) = (line, 0);
        while !rest.is_empty() {
            match self.target.write(rest, rest.len() == line.len()) {
                Ok(count) => rest = rest.get(count..)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    failures += 1;
                    if failures >= tries || self.is_ending.load(Ordering::Relaxed) {
                        return None;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
        Some(())
    }
}
