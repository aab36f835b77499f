//! Writing that shares a transaction with whatever else waits, and is answered once that is durable.

use std::sync::Arc;

use engine::Result;
use engine::state::Transaction;
use futures::FutureExt;
use futures::future::BoxFuture;
use ledger::audit::{Audit, Entry};
use tokio::sync::oneshot;

use super::Queue;
use super::writer::{Part, Wish};

/// What a part writes, what it answers, and who waits for that.
struct Shared<F, T> {
    write: F,
    audit: Option<Arc<Audit>>,
    /// What came of the last attempt.
    written: Option<(T, Vec<Entry>)>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Part for Shared<F, T>
where
    F: for<'a> Fn(&'a mut Transaction) -> BoxFuture<'a, Result<(T, Vec<Entry>)>> + Send + Sync,
    T: Send + Sync,
{
    fn write<'a>(&'a mut self, open: &'a mut Transaction) -> BoxFuture<'a, Result<()>> {
        async move {
            self.written = None;
            self.written = Some((self.write)(open).await?);
            Ok(())
        }
        .boxed()
    }

    fn entries(&mut self) -> Option<(Arc<Audit>, Vec<Entry>)> {
        let audit = self.audit.clone()?;
        let entries = self.written.as_mut().map(|(_, entries)| std::mem::take(entries))?;
        (!entries.is_empty()).then_some((audit, entries))
    }

    fn answer(self: Box<Self>, durable: Result<()>) {
        let Shared { written, reply, .. } = *self;
        let answer = durable.map(|()| written.expect("what is durable was written").0);
        // Whoever asked may have gone.
        let _ = reply.send(answer);
    }
}

impl Queue {
    /// Writes something in a transaction that others share; durable, with its rows of the audit log, when this returns. It may
    /// be written several times, of which one counts. An error undoes all of it; what only leaves nothing behind is an answer.
    pub(crate) async fn together<T, F>(&self, audit: Option<Arc<Audit>>, write: F) -> Result<T>
    where
        F: for<'a> Fn(&'a mut Transaction) -> BoxFuture<'a, Result<(T, Vec<Entry>)>> + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        self.ask(|reply| Wish::Part(Box::new(Shared { write, audit, written: None, reply }))).await
    }
}
