//! `stellwerk search`: the best pieces of documents for a question, in the terminal.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use engine::Result;
use index::search::{Filters, Found, LegPart, Legs, Moment, SearchHit, SearchWish};

use super::embedder::EmbedderArgs;
use super::exit::{self, Exit};
use super::place::Place;
use super::print;
use crate::output::table::printable;
use crate::reach::{FindWish, reach_with};

const AFTER: &str = "\
Words and meaning are weighed against each other; without a model only words count, and that is said. Words in \"double
quotes\" must stand side by side. Exit codes: 0 something was found, 1 nothing was.

Examples:
  stellwerk search 'how do I rotate a key' --data ./data
  stellwerk search 'Knoten entleeren' -k 3 --explain --data ./data
  stellwerk search 'how do I rotate a key' --parts --data ./data
  stellwerk search '\"node pool\" drain' --legs text --source document --path docs/ --data ./data
  stellwerk search 'rotate a key' --as-of 2026-09-01T00:00:00Z --json --data ./data";

/// Characters of a hit's text that are shown.
const SHOWN_CHARS: usize = 320;

/// Find pieces of documents by words and by meaning.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Search {
    /// What is looked for.
    query: String,
    /// Hits wanted.
    #[arg(short, value_name = "N", default_value_t = 10)]
    k: usize,
    /// Which ways of searching take part.
    #[arg(long, value_enum, default_value = "both")]
    legs: LegsWord,
    /// Only this tenant's documents.
    #[arg(long, value_name = "TENANT", env = "STELLWERK_TENANT")]
    tenant: Option<String>,
    /// As somebody in this group of the tenant sees it. Repeat it for several.
    #[arg(long, value_name = "GROUP", requires = "tenant")]
    group: Vec<String>,
    /// Only of this source: document …
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only in this language: de, en; of code rust, python …
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Only this kind of text: prose, code, log, config.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only documents whose path begins with this.
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// The answer as of then: a _seq, or a time.
    #[arg(long, value_name = "WHEN")]
    as_of: Option<String>,
    /// Say of each hit why it stands where it stands.
    #[arg(long)]
    explain: bool,
    /// Show the sentences that answer, in place of how each hit begins.
    #[arg(long)]
    parts: bool,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    embedder: EmbedderArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LegsWord {
    /// Words and vectors.
    Both,
    /// Words only.
    Text,
    /// Vectors only.
    Vector,
}

impl Search {
    /// Searches and shows.
    pub async fn run(self) -> Result<Exit> {
        let wish = FindWish { tenant: self.tenant.clone(), groups: self.group.clone(), wish: self.wish()? };
        let reach = reach_with(&self.place.settings(), &self.embedder).await?;
        let found = reach.find(&wish).await;
        let closed = reach.close().await;
        let found = found?;
        closed?;
        match self.json {
            true => print::text(&format!("{:#}\n", serde_json::json!(found)))?,
            false => {
                found.notes.iter().for_each(|note| exit::note(note));
                print::text(&text(&found))?
            }
        };
        Ok(Exit(if found.hits.is_empty() { Exit::PROBLEMS } else { Exit::OK }))
    }

    fn wish(&self) -> Result<SearchWish> {
        let kind = self.kind.as_deref().map(index::stored::kind_named);
        let moment = |when: &String| when.parse().map_or_else(|_| Moment::Time(when.clone()), Moment::Seq);
        Ok(SearchWish {
            query: self.query.clone(),
            k: self.k,
            legs: match self.legs {
                LegsWord::Both => Legs::Both,
                LegsWord::Text => Legs::Text,
                LegsWord::Vector => Legs::Vector,
            },
            language: None,
            filters: Filters {
                tenant: None,
                source: self.source.clone(),
                language: self.language.clone(),
                kind: kind.transpose()?,
                path: self.path.clone(),
                document: None,
            },
            as_of: self.as_of.as_ref().map(moment),
            explain: self.explain,
            parts: self.parts,
        })
    }
}

fn text(found: &Found) -> String {
    let mut text = String::new();
    for (at, hit) in found.hits.iter().enumerate() {
        let place = PathBuf::from(&hit.path);
        let heading = if hit.heading.is_empty() { String::new() } else { format!(" · {}", hit.heading) };
        let of = format!("{}{heading}", hit.title);
        text.push_str(&format!("{:>3}  {:.3}  {}\n", at + 1, hit.score, printable(&of)));
        let version = hit.version.map_or_else(String::new, |version| format!(", version {version}"));
        let where_it_is = format!("{} [{}..{}{version}]", place.display(), hit.start, hit.end);
        text.push_str(&format!("            {}\n", printable(&where_it_is)));
        for words in shown(hit) {
            text.push_str(&format!("            {}\n", printable(&words)));
        }
        text.push_str(&explained(hit));
    }
    if found.hits.is_empty() {
        text.push_str("nothing was found\n");
    }
    text
}

/// The parts that answer, in the order in which they stand; without any, how the text begins.
fn shown(hit: &SearchHit) -> Vec<String> {
    let on_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if hit.parts.is_empty() {
        return vec![on_one_line(&hit.text).chars().take(SHOWN_CHARS).collect()];
    }
    let mut parts: Vec<_> =
        hit.parts.iter().filter_map(|part| hit.text.get(part.start..part.end).zip(Some(part.start))).collect();
    parts.sort_by_key(|(_, start)| *start);
    parts.into_iter().map(|(text, _)| on_one_line(text)).collect()
}

fn explained(hit: &SearchHit) -> String {
    let Some(why) = &hit.explain else { return String::new() };
    let leg = |name: &str, part: Option<LegPart>| match part {
        Some(part) => format!(
            "{name} rank {} score {:.4} ({:.3} of 1, weight {:.2})",
            part.rank, part.score, part.normalized, part.weight
        ),
        None => format!("{name} -"),
    };
    let embedded = if why.embedded { "" } else { ", not embedded" };
    format!(
        "            {}; {}; of {} chunks that may be seen{embedded}\n",
        leg("words", why.text),
        leg("vectors", why.vector),
        why.allowed
    )
}
