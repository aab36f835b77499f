//! The group-commit writer: entries that wait become durable together, with one sync of the state database.

use std::sync::Arc;

use engine::{Error, Kind, Result};
use tokio::sync::{mpsc, oneshot};

use super::Pen;
use super::entry::Entry;

/// Entries that may wait; one more waits outside.
const ENTRIES_WAITING_MAX: usize = 4_096;
/// Entries of one transaction.
const GROUP_ENTRIES_MAX: usize = 1_024;

/// What is asked of the writer.
pub(super) enum Command {
    /// Write an entry; answers its place.
    Record(Box<Entry>, oneshot::Sender<Result<u64>>),
    /// Write what waits, then end.
    Close(oneshot::Sender<()>),
}

/// Starts the writer. It ends with [`Command::Close`], or when nobody can ask it any more.
pub(super) fn start(pen: Arc<Pen>) -> mpsc::Sender<Command> {
    let (sender, inbox) = mpsc::channel(ENTRIES_WAITING_MAX);
    tokio::spawn(run(pen, inbox));
    sender
}

async fn run(pen: Arc<Pen>, mut inbox: mpsc::Receiver<Command>) {
    let mut waiting = Vec::with_capacity(GROUP_ENTRIES_MAX);
    while inbox.recv_many(&mut waiting, GROUP_ENTRIES_MAX).await > 0 {
        let (mut entries, mut replies, mut closed) = (Vec::new(), Vec::new(), None);
        for command in waiting.drain(..) {
            match command {
                Command::Record(entry, reply) => {
                    entries.push(*entry);
                    replies.push(reply);
                }
                Command::Close(done) => closed = Some(done),
            }
        }
        if !entries.is_empty() {
            answer(replies, pen.append(entries).await);
        }
        if let Some(done) = closed {
            // Whoever asked may have gone.
            let _ = done.send(());
            return;
        }
    }
}

fn answer(replies: Vec<oneshot::Sender<Result<u64>>>, written: Result<u64>) {
    for (at, reply) in (0..).zip(replies) {
        let _ = reply.send(match &written {
            Ok(first) => Ok(first + at),
            Err(error) => Err(Error::new(error.kind(), format!("write to the audit log: {error}"))),
        });
    }
}

/// Asks the writer for one entry.
pub(super) async fn record(sender: &mpsc::Sender<Command>, entry: Entry) -> Result<u64> {
    let closed = || Error::new(Kind::Unavailable, "the audit log is closed");
    let (reply, answer) = oneshot::channel();
    sender.send(Command::Record(Box::new(entry), reply)).await.map_err(|_| closed())?;
    answer.await.map_err(|_| closed())?
}
