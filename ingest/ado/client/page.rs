//! Lists that come in pages: by a token in a header or in the body, or by numbers to skip.

use serde_json::Value;

use super::{Answer, Ask, Client, Refused};

/// Pages that one list may have; more is an endless one.
const PAGES_MAX: usize = 100_000;

/// How a list is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// All in one answer.
    Whole,
    /// `x-ms-continuationtoken` or `continuationToken` of the body, sent as the parameter of that name.
    Token,
    /// `$skip` and `$top`, under these names.
    Skip { skip: &'static str, top: &'static str, size: usize },
}

/// A list being read, page by page.
#[derive(Debug)]
pub struct Pages {
    ask: Ask,
    paging: Paging,
    token: Option<String>,
    skipped: usize,
    read: usize,
    ended: bool,
}

impl Pages {
    /// From the beginning.
    pub fn new(ask: Ask, paging: Paging) -> Pages {
        Pages { ask, paging, token: None, skipped: 0, read: 0, ended: false }
    }

    /// From where a token says.
    pub fn from(ask: Ask, token: Option<String>) -> Pages {
        Pages { token, ..Pages::new(ask, Paging::Token) }
    }

    /// Where the next page begins.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The next page, whose items are in `member`.
    pub async fn next(&mut self, client: &Client, member: &str) -> Result<Option<Answer>, Refused> {
        if self.ended {
            return Ok(None);
        }
        let mut ask = self.ask.clone();
        match self.paging {
            Paging::Whole => {}
            Paging::Token => ask = self.token.iter().fold(ask, |ask, token| ask.with("continuationToken", token)),
            Paging::Skip { skip, top, size } => {
                ask = ask.with(top, size.to_string()).with(skip, self.skipped.to_string());
            }
        }
        let answer = client.ask(&ask).await?;
        self.read += 1;
        let count = answer.items(member).len();
        self.ended = match self.paging {
            Paging::Whole => true,
            Paging::Token => {
                let inner = answer.body.get("continuationToken").and_then(Value::as_str).map(str::to_owned);
                let next = answer.continuation.clone().or(inner).filter(|token| !token.is_empty());
                // A source that gives the same token again would be read for ever.
                let ended = next.is_none() || next == self.token;
                self.token = next;
                ended
            }
            Paging::Skip { size, .. } => {
                self.skipped += count;
                count < size
            }
        };
        if self.read >= PAGES_MAX && !self.ended {
            let words = format!("it has more than {PAGES_MAX} pages");
            return Err(Refused::Broken { doing: ask.doing(), words });
        }
        Ok(Some(answer))
    }
}
