//! Tenancy by generated tests. Two stores hold the same rows of one tenant; one of them also holds a rival's rows, with the
//! same keys, its questions and its API keys. Whatever the tenant asks, both must answer alike, errors included, and no
//! cell may hold what only the rival wrote.

pub mod grammar;
pub mod ground;

use engine::{Scope, Tenants};
use grammar::{Grammar, Question};
use ground::{OWN, RIVAL, RIVAL_NUMBER, RIVAL_WORD, Stand};

/// Questions of one run. The seed is fixed: a failure is the same tomorrow.
const QUESTIONS: usize = 600;
const SEED: u64 = 0x5374_656c_6c77_6572;
/// Failures that are worth reading at once.
const SHOWN: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_another_tenant_shows() {
    let (alone, beside) = (Stand::build(false).await, Stand::build(true).await);
    let relations = alone.relations().await;
    assert!(relations.len() >= 20, "tables, views and state tables: {}", relations.len());
    // The tables that hold rows in this ground must show the tenant's own, else the comparison proves nothing.
    for relation in relations.iter().filter(|r| r.filled) {
        let own = beside.ask(&format!("SELECT * FROM {}", relation.name)).await;
        assert!(own.as_ref().is_ok_and(|rows| !rows.is_empty()), "{}: {own:?}", relation.name);
        let all = beside.ask_as_platform(&format!("SELECT * FROM {}", relation.name)).await.unwrap();
        assert!(all.iter().any(|row| shows_rival(row)), "the rival has rows in {}", relation.name);
    }
    let mut failures = Vec::new();
    let (mut answered, mut refused) = (0, 0);
    let questions = Grammar::new(SEED, relations).questions(QUESTIONS);
    for (n, question) in questions.into_iter().enumerate() {
        let (here, there) = (alone.ask(&question.sql).await, beside.ask(&question.sql).await);
        if here.is_ok() {
            answered += 1
        } else {
            refused += 1
        }
        if let Some(why) = verdict(&question, &here, &there) {
            failures.push(format!("question {n}: {}\n  {why}", question.sql));
        }
    }
    // A grammar whose questions mostly fail to plan would compare error texts only.
    assert!(answered * 10 >= (answered + refused) * 7, "{answered} answered, {refused} refused");
    let shown = failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(
        failures.is_empty(),
        "{} of {} questions tell of the rival:\n\n{shown}",
        failures.len(),
        answered + refused
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_log_shows_own_questions_only() {
    let stand = Stand::build(true).await;
    let rows =
        stand.ask_until("SELECT tenant, principal, \"sql\", error FROM query_log", |rows| !rows.is_empty()).await;
    assert!(!rows.iter().any(|row| shows_rival(row)), "{rows:?}");
    let count = stand.ask("SELECT COUNT(*), COUNT(DISTINCT tenant), MAX(tenant) FROM query_log").await.unwrap();
    assert!(count[0].contains("| 1 | acme"), "{count:?}");
    let all = stand.ask_as_platform("SELECT tenant, \"sql\" FROM query_log").await.unwrap();
    assert!(all.iter().any(|row| shows_rival(row)), "the rival asked too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tenants_are_their_union() {
    let stand = Stand::build(true).await;
    let scope = |names: [&str; 2]| Scope::of(Tenants::of(names).unwrap(), "ana");
    let mut looked_at = 0;
    for relation in stand.relations().await.iter().filter(|r| r.filled && r.fact) {
        let sql = format!("SELECT * FROM {}", relation.name);
        let all = stand.ask_as_platform(&sql).await.unwrap();
        assert_eq!(stand.ask_as(&scope([OWN, RIVAL]), &sql).await.unwrap(), all, "{}", relation.name);
        let own = stand.ask(&sql).await.unwrap();
        assert_eq!(stand.ask_as(&scope([OWN, "nobody"]), &sql).await.unwrap(), own, "{}", relation.name);
        looked_at += 1;
    }
    assert!(looked_at >= 20, "{looked_at} tables");
}

/// Why an answer tells of the rival, if it does.
fn verdict(question: &Question, alone: &ground::Reply, beside: &ground::Reply) -> Option<String> {
    let text = match beside {
        Ok(rows) => rows.join("\n"),
        Err(error) => error.clone(),
    };
    if shows_rival(&text) {
        return Some(format!("shows the rival's rows: {}", excerpt(&text)));
    }
    let same = match (alone, beside) {
        (Ok(_), Ok(_)) if !question.compared => true,
        (Ok(alone), Ok(beside)) => alone == beside,
        (Err(alone), Err(beside)) => alone == beside,
        _ => false,
    };
    (!same).then(|| format!("alone  {}\n  beside {}", excerpt(&format!("{alone:?}")), excerpt(&format!("{beside:?}"))))
}

fn shows_rival(text: &str) -> bool {
    text.to_lowercase().contains(RIVAL_WORD) || text.contains(RIVAL_NUMBER)
}

fn excerpt(text: &str) -> String {
    let at = text.to_lowercase().find(RIVAL_WORD).or_else(|| text.find(RIVAL_NUMBER)).unwrap_or(0).saturating_sub(200);
    text.chars().skip(at).take(900).collect()
}
