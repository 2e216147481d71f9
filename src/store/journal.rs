//! Brings the entries of a deny list to its file, on a thread of its own: whoever ends a session never waits for a disk.
//! Entries that come together are written and synced together. When the file cannot be written, the list in memory goes on
//! alone, and the file is written anew from it as soon as that works: nothing that memory knows is lost but by a restart.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::deny::{Entries, Entry, lock};
use super::deny_file::{DenyFile, DenyFileError};

/// Entries that wait to be written. When there are more, the whole list is written instead.
const QUEUE: usize = 16_384;
/// Entries written at once.
const BATCH: usize = 4_096;
/// Between two tries to write a file that could not be written.
const AGAIN: Duration = Duration::from_secs(5);
/// A file is written anew when it has this many lines and twice what the list has.
const LONG: usize = 65_536;
/// How long the way down waits for the disk.
const LAST: Duration = Duration::from_secs(5);

/// Told `Some(reason)` when the file cannot be written, and `None` when it can be again.
pub type Report = Box<dyn Fn(Option<std::io::ErrorKind>) + Send>;

/// The way to the file.
pub(super) struct Journal {
    queue: SyncSender<Message>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    broken: AtomicBool,
    /// Something was not queued: the file lacks it until it is written anew.
    overflown: AtomicBool,
    closed: AtomicBool,
}

enum Message {
    Entry(Entry),
    Close(oneshot::Sender<()>),
}

impl Journal {
    /// Starts the writer; it ends when the journal is closed or dropped.
    pub(super) fn start(
        file: DenyFile,
        entries: Arc<Mutex<Entries>>,
        report: Report,
    ) -> Result<Self, DenyFileError> {
        let (queue, messages) = sync_channel(QUEUE);
        let state = Arc::new(State::default());
        let writer = Writer { file, entries, report, state: Arc::clone(&state) };
        let thread = std::thread::Builder::new().name("deny-file".to_owned());
        thread
            .spawn(move || writer.run(&messages))
            .map_err(|reason| DenyFileError::Io { path: "its thread".to_owned(), reason })?;
        Ok(Self { queue, state })
    }

    /// Queues an entry; never waits.
    pub(super) fn write(&self, entry: Entry) {
        if self.state.closed.load(Ordering::Acquire) {
            return;
        }
        if self.queue.try_send(Message::Entry(entry)).is_err() {
            self.state.overflown.store(true, Ordering::Release);
            // The queue may be empty by now: something must wake the writer once more.
            let _still_full = self.queue.try_send(Message::Entry(entry));
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state.broken.load(Ordering::Acquire)
    }

    /// Waits until everything is written and the file is free again, a few seconds at most.
    pub(super) async fn close(&self) {
        if self.state.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let (done, closed) = oneshot::channel();
        let mut message = Message::Close(done);
        let sent = async {
            while let Err(std::sync::mpsc::TrySendError::Full(again)) = self.queue.try_send(message)
            {
                message = again;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            closed.await
        };
        if !matches!(timeout(LAST, sent).await, Ok(Ok(()))) {
            tracing::error!("the deny file was not written to its end: a restart forgets logouts");
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Journal")
    }
}

struct Writer {
    file: DenyFile,
    entries: Arc<Mutex<Entries>>,
    report: Report,
    state: Arc<State>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = if self.state.broken.load(Ordering::Acquire) {
                match messages.recv_timeout(AGAIN) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match messages.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return,
                }
            };
            let (batch, close) = collect(first, messages);
            self.write(&batch);
            if let Some(done) = close {
                // The lock goes before the word that it has gone.
                drop(self);
                let _nobody_waits_any_more = done.send(());
                return;
            }
        }
    }

    fn write(&mut self, batch: &[Entry]) {
        let was_broken = self.state.broken.load(Ordering::Acquire);
        let overflown = self.state.overflown.swap(false, Ordering::AcqRel);
        let appended = !(was_broken || overflown || self.is_long())
            && (batch.is_empty() || self.file.append(batch).is_ok());
        let written = if appended { Ok(()) } else { self.write_anew() };
        let reason = written.err().map(|error| error.kind());
        if reason.is_some() != was_broken {
            self.state.broken.store(reason.is_some(), Ordering::Release);
            (self.report)(reason);
        }
    }

    fn write_anew(&mut self) -> std::io::Result<()> {
        let all = lock(&self.entries).all();
        self.file.replace(&all)
    }

    fn is_long(&self) -> bool {
        self.file.lines() >= LONG && self.file.lines() / 2 > lock(&self.entries).len()
    }
}

/// The entries that are there by now, and whoever waits for the end of them.
fn collect(
    first: Option<Message>,
    messages: &Receiver<Message>,
) -> (Vec<Entry>, Option<oneshot::Sender<()>>) {
    let mut batch = Vec::new();
    for message in first.into_iter().chain(messages.try_iter()) {
        match message {
            Message::Entry(entry) => batch.push(entry),
            Message::Close(done) => return (batch, Some(done)),
        }
        if batch.len() == BATCH {
            break;
        }
    }
    (batch, None)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::super::known_as::KnownAs;
    use super::super::{DenyList, Tokens, Whom};
    use crate::clock::Timestamp;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn id(n: u32) -> [u8; 16] {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        id
    }

    fn ended(list: &DenyList, count: u32) -> usize {
        let is_ended = |n: &u32| {
            let id = id(*n);
            let session =
                KnownAs { id: &id, issuer: "i", op_sid: None, subject: "s", created: NOW };
            list.is_denied(&session)
        };
        (0..count).filter(is_ended).count()
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("cloakroom-{name}-{}", std::process::id()));
        let _left_from_before = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    // proves: LO-01, LO-16
    #[tokio::test]
    async fn a_burst_beyond_the_queue_is_whole_in_the_file_when_it_is_closed() {
        let path = folder("burst").join("deny");
        let list = DenyList::in_file(&path, NOW, Box::new(|_| {})).unwrap();
        for n in 0..50_000 {
            list.deny(Whom::Session(&id(n)), Timestamp(2_000), Tokens::Revoke, NOW);
        }
        list.close().await;
        let again = DenyList::in_file(&path, NOW, Box::new(|_| {})).unwrap();
        assert_eq!(ended(&again, 50_001), 50_000);
        again.close().await;
        let late = DenyList::in_file(&path, Timestamp(2_000), Box::new(|_| {})).unwrap();
        assert_eq!(ended(&late, 50_001), 0, "their time is over");
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_told_of_and_what_it_missed_is_written_when_it_works_again() {
        let folder = folder("disk");
        let path = folder.join("deny");
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        let report: Report = Box::new(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let (file, _) = DenyFile::open(&path, NOW).unwrap();
        let entries = Arc::<Mutex<Entries>>::default();
        let state = Arc::new(State::default());
        let mut writer =
            Writer { file, entries: Arc::clone(&entries), report, state: Arc::clone(&state) };
        let entry = |n| {
            let id = id(n);
            let session =
                KnownAs { id: &id, issuer: "i", op_sid: None, subject: "s", created: NOW };
            let key = session.keys().session;
            Entry {
                key,
                created_until: Timestamp(u64::MAX),
                until: Timestamp(2_000),
                tokens: Tokens::Revoke,
            }
        };
        for n in 0..3 {
            lock(&entries).put(&entry(n));
        }
        // No folder, no file: what replaces it cannot be made.
        let aside = folder.with_extension("aside");
        let _left_from_before = std::fs::remove_dir_all(&aside);
        std::fs::rename(&folder, &aside).unwrap();
        state.overflown.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            writer.write(&[entry(0)]);
            assert!(state.broken.load(Ordering::SeqCst));
            assert_eq!(told.load(Ordering::SeqCst), 1, "once");
        }
        std::fs::rename(&aside, &folder).unwrap();
        writer.write(&[]);
        assert!(!state.broken.load(Ordering::SeqCst));
        assert_eq!(told.load(Ordering::SeqCst), 2);
        drop(writer);
        let again = DenyList::in_file(&path, NOW, Box::new(|_| {})).unwrap();
        assert_eq!(ended(&again, 4), 3);
    }
}
