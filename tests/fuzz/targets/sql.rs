//! SQL text under the scope of one tenant, in a store that also holds a rival's rows: no answer, error, plan or schema may
//! hold what only the rival wrote, nothing may be changed, and nothing may panic.
//!
//! The two tenants' rows and the grammar of questions are those of the tenancy test. The grammar also mutates: a word of
//! one question becomes a part of another, which bytes alone would hardly find.

use std::sync::OnceLock;
use std::time::Duration;

use engine::arrow::array::RecordBatch;
use engine::arrow::util::display::{ArrayFormatter, FormatOptions};
use engine::{Limits, Scope, Tenants};
use futures::TryStreamExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::tenancy::grammar::{Grammar, Relation};
use crate::tenancy::ground::{OWN, RIVAL_NUMBER, RIVAL_WORD, Stand};

/// A longer text is a matter of the parser's own limits.
const TEXT_BYTES_MAX: usize = 4_096;
/// Bounds of one question.
const ROWS_MAX: usize = 20_000;
const TIME_MAX: Duration = Duration::from_secs(2);
/// Planning has no limit of its own; past this it hangs.
const PLANNED_AFTER_MAX: Duration = Duration::from_secs(20);
/// Half of the rival's word: a question that spells it gets it back in its own words.
const TELLTALE: &str = "canary";

/// The store, its runtime, and what must not change.
struct Ground {
    runtime: tokio::runtime::Runtime,
    stand: Stand,
    relations: Vec<Relation>,
    facts: String,
    state: Vec<RecordBatch>,
}

impl Ground {
    fn get() -> &'static Ground {
        static GROUND: OnceLock<Ground> = OnceLock::new();
        GROUND.get_or_init(|| {
            let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = threads.expect("a runtime");
            let (stand, relations) = runtime.block_on(async {
                let stand = Stand::build(true).await;
                let relations = stand.relations().await;
                (stand, relations)
            });
            let (facts, state) = (facts(&stand), runtime.block_on(state(&stand)));
            Ground { runtime, stand, relations, facts, state }
        })
    }
}

/// One question.
pub fn question(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    let ground = Ground::get();
    let reply = ground.runtime.block_on(async {
        let asked = tokio::time::timeout(PLANNED_AFTER_MAX, ask(&ground.stand, text)).await;
        asked.unwrap_or_else(|_| panic!("the question is neither answered nor refused"))
    });
    let own_words = text.to_lowercase().contains(TELLTALE) || text.contains(RIVAL_NUMBER);
    assert!(own_words || !shows_rival(&reply), "the answer shows the rival's rows: {}", excerpt(&reply));
    assert!(!reply.contains("panicked"), "a part of the question panicked: {}", excerpt(&reply));
    assert_eq!(facts(&ground.stand), ground.facts, "a question changed the tables");
    assert_eq!(ground.runtime.block_on(state(&ground.stand)), ground.state, "a question changed the state");
}

/// The answer as text, column names included; or the refusal.
async fn ask(stand: &Stand, sql: &str) -> String {
    let scope = Scope::tenant(OWN, "own");
    let limits = Limits { rows_max: ROWS_MAX, time_max: TIME_MAX };
    let answer = match stand.store().query(&scope, sql, limits).await {
        Ok(answer) => answer,
        Err(error) => return error.to_string(),
    };
    let mut text = format!("{:?}\n", answer.stream.schema());
    let batches: Result<Vec<RecordBatch>, _> = answer.stream.try_collect().await;
    match batches {
        Err(error) => text += &error.to_string(),
        Ok(batches) => batches.iter().for_each(|batch| text += &cells(batch)),
    }
    text
}

fn cells(batch: &RecordBatch) -> String {
    let options = FormatOptions::default();
    let mut text = String::new();
    for column in batch.columns() {
        // What cannot be shown is no text.
        let Ok(formatter) = ArrayFormatter::try_new(column, &options) else { continue };
        for row in 0..batch.num_rows() {
            text += &formatter.value(row).to_string();
            text.push('\n');
        }
    }
    text
}

/// Sizes and versions of every table but the log of questions, which every question writes.
fn facts(stand: &Stand) -> String {
    let tables = stand.store().status().tables;
    let others = tables.iter().filter(|table| table.table != engine::query_log::QUERY_LOG.name);
    others.map(|t| format!("{} {} {} {} {}\n", t.table, t.tail_rows, t.fragments, t.version, t.commits)).collect()
}

async fn state(stand: &Stand) -> Vec<RecordBatch> {
    let store = stand.store();
    let mut read = Vec::new();
    for table in &store.catalogue().state_tables {
        read.push(store.state().read(table, &Tenants::All, None).await.expect("the state can be read"));
    }
    read
}

fn shows_rival(text: &str) -> bool {
    // The rival's numbers begin so; inside another number it is chance.
    let begins = |(at, _): (usize, &str)| !text[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.');
    text.to_lowercase().contains(RIVAL_WORD) || text.match_indices(RIVAL_NUMBER).any(begins)
}

fn excerpt(text: &str) -> String {
    let at = text.to_lowercase().find(RIVAL_WORD).or_else(|| text.find(RIVAL_NUMBER)).unwrap_or(0).saturating_sub(200);
    text.chars().skip(at).take(900).collect()
}

/// Another question made of this one, or one of the grammar's own.
pub fn mutate(text: &str, seed: u64) -> String {
    let mut dice = StdRng::seed_from_u64(seed);
    let drawn = Grammar::new(seed, Ground::get().relations.clone()).question().sql;
    let (mut words, others) = (words(text), words(&drawn));
    if words.len() < 2 || dice.random_range(0..6) == 0 {
        return drawn;
    }
    let at = dice.random_range(0..words.len());
    match dice.random_range(0..8) {
        0 => return format!("SELECT COUNT(*) FROM ({text}) AS q"),
        1 => return format!("EXPLAIN {text}"),
        2 => return format!("({text}) UNION ALL ({drawn})"),
        3 => drop(words.splice(at..=at, [format!("({drawn})")])),
        4 => drop(words.remove(at)),
        _ => {
            let from = dice.random_range(0..others.len());
            let many: usize = dice.random_range(1..=4);
            let many = many.min(others.len() - from);
            let until = (at + dice.random_range(0..=2)).min(words.len());
            drop(words.splice(at..until, others[from..from + many].iter().cloned()));
        }
    }
    if let Some(word) = others.choose(&mut dice).filter(|_| dice.random_range(0..3) == 0) {
        words.push(word.clone());
    }
    words.concat()
}

/// Words, signs and the blanks between, so that all together are the text again.
fn words(text: &str) -> Vec<String> {
    let kind = |c: char| {
        if c.is_alphanumeric() || c == '_' {
            0
        } else if c.is_whitespace() {
            1
        } else {
            2
        }
    };
    let mut words: Vec<String> = Vec::new();
    let mut before = None;
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if before == Some(kind(c)) && kind(c) != 2 => word.push(c),
            _ => words.push(c.to_string()),
        }
        before = Some(kind(c));
    }
    words
}
