//! `stellwerk score exempt`: who need not pass a check for a while, because somebody else says so.

use clap::{Args, Subcommand};
use engine::Result;
use ingest::ado::client::secret::SecretRef;

use super::super::exit::Exit;
use super::{Way, alone, shown};
use crate::scores::{About, Ask, Decision, ScoreWish, anybody};

/// Exemptions from checks.
#[derive(Debug, Subcommand)]
pub enum Exempt {
    /// Show exemptions, newest first.
    List(Listing),
    /// Ask for an exemption; it holds once somebody else approves it.
    Request(Request),
    /// Ask people for an exemption: it holds once they agree, who has proved who it is, and no answer is a no.
    Ask(People),
    /// Approve one: it holds from now on for its days.
    Approve(Decided),
    /// Deny one.
    Deny(Decided),
    /// End one before its time.
    Revoke(Decided),
}

/// Which exemptions.
#[derive(Debug, Args)]
pub struct Listing {
    /// Only of this scorecard.
    #[arg(value_name = "SCORECARD")]
    scorecard: Option<String>,
    /// Only this tenant's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    way: Way,
}

/// What is wanted, whoever decides.
#[derive(Debug, Args)]
struct Wanted {
    /// The scorecard.
    #[arg(value_name = "SCORECARD")]
    scorecard: String,
    /// The check.
    #[arg(value_name = "CHECK")]
    check: String,
    /// The entity, as `stellwerk score show` has it.
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// Its tenant, where several have one of this name.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how many days from the decision on.
    #[arg(long, value_name = "DAYS")]
    days: i64,
}

/// What is asked for.
#[derive(Debug, Args)]
pub struct Request {
    #[command(flatten)]
    wanted: Wanted,
    /// Who asks.
    #[arg(long, value_name = "NAME")]
    by: String,
    #[command(flatten)]
    way: Way,
}

/// What people are asked for.
#[derive(Debug, Args)]
pub struct People {
    #[command(flatten)]
    wanted: Wanted,
    /// The group whose members vote; everybody who may write, unless it is said.
    #[arg(long, value_name = "GROUP")]
    voters: Option<String>,
    /// How many must agree.
    #[arg(long, value_name = "COUNT", default_value = "1")]
    quorum: i64,
    /// No answer for so long is a no.
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    deadline: String,
    /// Where the key of whoever asks lies: env:NAME or file:PATH. Without it the operator asks.
    #[arg(long, value_name = "PLACE")]
    key: Option<SecretRef>,
    #[command(flatten)]
    way: Way,
}

/// Which exemption, and who decides.
#[derive(Debug, Args)]
pub struct Decided {
    /// The exemption.
    #[arg(value_name = "ID")]
    id: String,
    /// Who decides; an approval is somebody else's than who asked.
    #[arg(long, value_name = "NAME")]
    by: String,
    #[command(flatten)]
    way: Way,
}

impl Exempt {
    /// Does what was asked.
    pub async fn run(self) -> Result<Exit> {
        let (decided, decision) = match self {
            Exempt::List(list) => {
                let about = About { scorecard: list.scorecard, tenant: list.tenant, entity: None };
                return list.way.show(&ScoreWish::Exemptions { about }, shown::exemptions).await;
            }
            Exempt::Request(Request { wanted, by, way }) => {
                let Wanted { scorecard, check, entity, tenant, reason, days } = wanted;
                let about = About { scorecard: Some(scorecard), tenant, entity: Some(entity) };
                return way.show(&ScoreWish::Exempt { about, check, reason, days, by }, shown::asked).await;
            }
            Exempt::Ask(people) => return people.run().await,
            Exempt::Approve(decided) => (decided, Decision::Approve),
            Exempt::Deny(decided) => (decided, Decision::Deny),
            Exempt::Revoke(decided) => (decided, Decision::Revoke),
        };
        let wish = ScoreWish::Decide { id: decided.id, decision, by: decided.by };
        decided.way.show(&wish, |answer| shown::exemptions(&alone(answer))).await
    }
}

impl People {
    async fn run(self) -> Result<Exit> {
        let key = self.key.map(|place| place.read()).transpose()?;
        let Wanted { scorecard, check, entity, tenant, reason, days } = self.wanted;
        let ask = Ask {
            scorecard,
            check,
            entity,
            tenant,
            reason,
            days,
            voters: self.voters.unwrap_or_else(anybody),
            quorum: self.quorum,
            deadline: self.deadline,
        };
        self.way.show(&ScoreWish::AskPeople { ask, key }, shown::people_asked).await
    }
}
