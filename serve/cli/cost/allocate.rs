//! `stellwerk cost allocate`: what a cluster costs, by who used it; from files, or from the usage that is stored.

use std::path::{Path, PathBuf};

use ::ingest::allocation::{self, Defaults};
use chrono::{DateTime, Datelike, Months, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use engine::arrow::array::{ArrayRef, StringArray};
use engine::{Error, Question, Result, Settings};
use futures::TryStreamExt;
use ingest::cost::estimate::ClusterWish;
use ledger::allocate::{Options, Period, Property, Rates, Selector, Share, Split, allocate, split_rows};
use ledger::decimal::{self, product};
use ledger::price::ResourcePrice;

use super::super::exit::{self, Exit};
use super::super::{print, tables};
use super::estimate::shown;
use super::rows::csv_cell;
use super::{this_month, window};
use crate::cost::{AllocateWish, Allocated, CostAnswer, CostWish};
use crate::reach::{Reach, reach};

const AFTER: &str = "\
Without --from, the usage in the store is spread: k8s_usage, k8s_pod, k8s_node, volumes and balancers, priced by resource_price.
With --write it goes into the ledger as FOCUS split rows, day by day, as estimates that the bills of the nodes replace; writing
a day again replaces it.
DIR holds CSV files: allocations.csv with idle_cluster.csv or idle_node.csv (costs), or containers.csv, nodes.csv,
volumes.csv, mounts.csv, load_balancers.csv (usage, which prices make costs of); tenancy.csv beside either.
Exit codes: 0 done, 1 done but the input is at fault (negative idle), 2 the input cannot be read.

Examples:
  stellwerk cost allocate --window 2026-10 --by tenant,namespace --share-idle weighted --data ./data
  stellwerk cost allocate --window 2026-10 --write --data ./data
  stellwerk cost allocate --from ./usage --by namespace,label:app --share-idle weighted
  stellwerk cost allocate --from ./usage --by cluster --share namespace=kube-system --share-split even --format json
  stellwerk cost allocate --from ./usage --start 2026-10-01T00:00:00Z --format focus > split.csv";

/// Spread a cluster's costs over who used it, by OpenCost's rules, exactly.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Allocate {
    /// Folder of CSV files; without it, the usage in the store.
    #[arg(long, value_name = "DIR", required_unless_present = "data")]
    from: Option<PathBuf>,
    /// Days of stored usage: a month (2026-10), a day, or 2026-10-01..2026-10-08. Without it, this month so far.
    #[arg(long, value_name = "WINDOW", value_parser = window, conflicts_with = "from")]
    window: Option<(i64, i64)>,
    /// Only this cluster of the store.
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    cluster: Option<String>,
    /// Write the result into the ledger, node by node.
    #[arg(long, conflicts_with_all = ["from", "share", "filter", "share_tenancy", "overhead_hourly"])]
    write: bool,
    /// Groups: tenant, cluster, node, namespace, pod, container, controller_kind, controller, service, label:NAME,
    /// annotation:NAME; several, separated by commas, together.
    #[arg(long, value_name = "PROPERTY", value_delimiter = ',', default_value = "namespace", value_parser = property)]
    by: Vec<Property>,
    /// What becomes of what nobody used.
    #[arg(long, value_enum, default_value = "none")]
    share_idle: ShareIdle,
    /// Share idle on each node by itself, not over the cluster.
    #[arg(long)]
    idle_by_node: bool,
    /// Rows that all others pay for: namespace=kube-system,monitoring. Repeat it for more.
    #[arg(long, value_name = "PROPERTY=VALUE", value_parser = selector)]
    share: Vec<Selector>,
    /// How these, and overhead, are spread: by cost, or the same for each group.
    #[arg(long, value_enum, default_value = "weighted")]
    share_split: ShareSplit,
    /// Overhead by the hour.
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = amount)]
    overhead_hourly: i128,
    /// Hours of the window.
    #[arg(long, value_name = "HOURS", default_value = "24", value_parser = amount)]
    window_hours: i128,
    /// Spread what the cluster costs beside its nodes over its rows.
    #[arg(long)]
    share_tenancy: bool,
    /// Show these rows only; what is hidden keeps its share. Repeat it for conditions that must all hold.
    #[arg(long, value_name = "PROPERTY=VALUE", value_parser = selector)]
    filter: Vec<Selector>,
    /// OpenCost's default prices (JSON), for usage of nodes that have no price of their own.
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Data directory whose `resource_price` has them.
    #[arg(long, value_name = "DIR", env = "STELLWERK_DATA")]
    data: Option<PathBuf>,
    /// Start of the window, for FOCUS rows: 2026-10-01T00:00:00Z.
    #[arg(long, value_name = "INSTANT")]
    start: Option<DateTime<Utc>>,
    /// Currency of the costs, for FOCUS rows.
    #[arg(long, value_name = "CODE", default_value = "USD")]
    currency: String,
    /// Who sells and hosts the cluster, for FOCUS rows.
    #[arg(long, value_name = "NAME", default_value = "Kubernetes")]
    provider: String,
    /// How the result is written.
    #[arg(long, value_enum, default_value = "table")]
    format: ResultFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShareIdle {
    None,
    Weighted,
    Even,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ShareSplit {
    Weighted,
    Even,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ResultFormat {
    /// Aligned columns for people.
    Table,
    /// One JSON document; amounts are texts.
    Json,
    /// A row a group.
    Csv,
    /// FOCUS rows, one a container, as CSV: `stellwerk ingest cost` reads them.
    Focus,
}

fn property(text: &str) -> Result<Property, String> {
    text.parse().map_err(|e: Error| e.to_string())
}

fn selector(text: &str) -> Result<Selector, String> {
    text.parse().map_err(|e: Error| e.to_string())
}

fn amount(text: &str) -> Result<i128, String> {
    match decimal::parse(text) {
        Ok(number) if number.units >= 0 => Ok(number.units),
        Ok(_) => Err("is negative".to_owned()),
        Err(why) => Err(why.to_owned()),
    }
}

impl Allocate {
    /// Spreads, and shows.
    pub async fn run(self) -> Result<Exit> {
        match (&self.from, &self.data) {
            (Some(from), _) => self.files(from).await,
            (None, Some(data)) => {
                let reach = reach(&Settings::new(data), false).await?;
                let done =
                    if self.write { self.written(reach.as_ref()).await } else { self.stored(reach.as_ref()).await };
                let closed = reach.close().await;
                done.and_then(|exit| closed.map(|()| exit))
            }
            (None, None) => Err(Error::invalid("give --from DIR for files, or --data DIR for the store")),
        }
    }

    /// What is stored goes into the ledger.
    async fn written(&self, reach: &dyn Reach) -> Result<Exit> {
        let wish = ClusterWish {
            window: self.window.unwrap_or_else(this_month),
            cluster: self.cluster.clone(),
            share_idle: word(self.share_idle),
            provider: self.provider.clone(),
            currency: self.currency.clone(),
        };
        match reach.cost(&CostWish::EstimateClusters(wish)).await? {
            CostAnswer::Estimated(estimated) => shown(&estimated, self.format == ResultFormat::Json),
            _ => Err(Error::new(engine::Kind::Internal, "estimates were asked for and something else came")),
        }
    }

    /// What is stored is spread and shown.
    async fn stored(&self, reach: &dyn Reach) -> Result<Exit> {
        if self.format == ResultFormat::Focus {
            return Err(Error::invalid("FOCUS rows of stored usage go into the ledger: give --write"));
        }
        let window = self.window.unwrap_or_else(this_month);
        let hours = i128::from(window.1 - window.0) * decimal::ONE / 3_600_000_000;
        let overhead = product(self.overhead_hourly, hours);
        let overhead = overhead.ok_or_else(|| Error::invalid("the overhead has more than 38 digits"))?;
        let wish = AllocateWish {
            window,
            cluster: self.cluster.clone(),
            by: self.by.iter().map(ToString::to_string).collect(),
            share_idle: word(self.share_idle),
            is_idle_by_node: self.idle_by_node,
            share: self.share.iter().map(ToString::to_string).collect(),
            share_split: if self.share_split == ShareSplit::Even { "even" } else { "weighted" }.to_owned(),
            overhead: decimal::text(overhead),
            is_tenancy_shared: self.share_tenancy,
            filter: self.filter.iter().map(ToString::to_string).collect(),
        };
        match reach.cost(&CostWish::Allocate(Box::new(wish))).await? {
            CostAnswer::Allocated(allocated) => self.show(&allocated),
            _ => Err(Error::new(engine::Kind::Internal, "an allocation was asked for and something else came")),
        }
    }

    fn show(&self, allocated: &Allocated) -> Result<Exit> {
        print::text(&match self.format {
            ResultFormat::Json => format!("{:#}\n", serde_json::json!(allocated)),
            ResultFormat::Csv => csv(allocated),
            _ => table(allocated)?,
        })?;
        allocated.notes.iter().for_each(|note| exit::say(&Error::invalid(format!("note: {note}"))));
        let wrong = allocated.faults.iter().chain(&allocated.unpriced);
        wrong.for_each(|what| exit::say(&Error::invalid(what)));
        let is_whole = allocated.faults.is_empty() && allocated.unpriced.is_empty();
        Ok(Exit(if is_whole { Exit::OK } else { Exit::PROBLEMS }))
    }

    async fn files(&self, from: &Path) -> Result<Exit> {
        let defaults = self.defaults(from).await?;
        let input = allocation::read(from, self.idle_by_node, &defaults)?;
        let overhead = product(self.overhead_hourly, self.window_hours);
        let options = Options {
            by: self.by.clone(),
            share_idle: match self.share_idle {
                ShareIdle::None => Share::None,
                ShareIdle::Weighted => Share::Weighted,
                ShareIdle::Even => Share::Even,
            },
            shared: self.share.clone(),
            split: if self.share_split == ShareSplit::Even { Split::Even } else { Split::Weighted },
            overhead: overhead.ok_or_else(|| Error::invalid("the overhead has more than 38 digits"))?,
            share_tenancy: self.share_tenancy,
            filter: self.filter.clone(),
            condition: None,
        };
        let outcome = allocate(&input, &options)?;
        if self.format != ResultFormat::Focus {
            return self.show(&Allocated::of(&outcome));
        }
        print::text(&focus(&split_rows(&input.rows, &outcome, &options, &self.period()?)))?;
        outcome.faults.iter().for_each(|fault| exit::say(&Error::invalid(fault)));
        Ok(Exit(if outcome.faults.is_empty() { Exit::OK } else { Exit::PROBLEMS }))
    }

    /// Prices of what has none of its own: from a file, or from the store.
    async fn defaults(&self, from: &Path) -> Result<Defaults> {
        let listed = match (&self.prices, &self.data) {
            (Some(file), _) => ::ingest::price::resource_prices(file)?,
            (None, Some(data)) if from.join("containers.csv").exists() => stored(data).await?,
            _ => Vec::new(),
        };
        let of = |resource: &str| {
            let general = |price: &&ResourcePrice| {
                let anywhere = price.region.is_empty() && price.instance_type.is_empty() && price.selector.is_empty();
                price.resource == resource && anywhere
            };
            listed.iter().find(general).map(|price| price.unit_price).unwrap_or_default()
        };
        let node = Rates { cpu: of("cpu"), ram: of("ram"), gpu: of("gpu") };
        let or = |own: i128, general: i128| if own > 0 { own } else { general };
        let spot = Rates {
            cpu: or(of("spot_cpu"), node.cpu),
            ram: or(of("spot_ram"), node.ram),
            gpu: or(of("spot_gpu"), node.gpu),
        };
        let network = [of("network_zone"), of("network_region"), of("network_internet")];
        Ok(Defaults { node, spot, storage: of("storage"), network })
    }

    fn period(&self) -> Result<Period> {
        let start = self.start.ok_or_else(|| Error::invalid("FOCUS rows name their window: give --start"))?;
        let micros = decimal::scaled(self.window_hours, 3_600_000_000, decimal::ONE);
        let micros = micros.and_then(|micros| i64::try_from(micros).ok());
        let end = micros.and_then(|micros| start.checked_add_signed(chrono::TimeDelta::microseconds(micros)));
        let month = start.date_naive().with_day(1).and_then(|day| day.and_hms_opt(0, 0, 0)).map(|at| at.and_utc());
        let (Some(end), Some(month)) = (end, month) else {
            return Err(Error::invalid("the window does not end in a year that can be written"));
        };
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let billing_end = month.checked_add_months(Months::new(1)).unwrap_or(end);
        Ok(Period {
            start: text(start),
            end: text(end),
            billing_start: text(month),
            billing_end: text(billing_end),
            currency: self.currency.clone(),
            hours: self.window_hours,
            provider: self.provider.clone(),
        })
    }
}

/// The prices of the store that hold now.
async fn stored(data: &Path) -> Result<Vec<ResourcePrice>> {
    let reach = reach(&Settings::new(data), false).await?;
    let question =
        Question::from("SELECT * FROM resource_price WHERE valid_to IS NULL ORDER BY price_list = 'opencost'");
    let read = async {
        let found = reach.ask(question, None).await?;
        let batches: Vec<_> = found.batches.try_collect().await?;
        let mut prices = Vec::new();
        for batch in &batches {
            prices.extend(ResourcePrice::read(batch)?);
        }
        Ok::<_, Error>(prices)
    };
    let read = read.await;
    reach.close().await?;
    read
}

fn word(share: ShareIdle) -> String {
    match share {
        ShareIdle::None => "none",
        ShareIdle::Weighted => "weighted",
        ShareIdle::Even => "even",
    }
    .to_owned()
}

fn table(allocated: &Allocated) -> Result<String> {
    let entries = &allocated.entries;
    let keys: ArrayRef =
        std::sync::Arc::new(StringArray::from_iter_values(entries.iter().map(|entry| entry.group.as_str())));
    let mut columns = vec![("group", keys)];
    for (at, (name, _)) in crate::cost::AllocatedEntry::default().amounts().into_iter().enumerate() {
        let texts = entries.iter().map(|entry| entry.amounts()[at].1);
        let texts: ArrayRef = std::sync::Arc::new(StringArray::from_iter_values(texts));
        columns.push((name, texts));
    }
    tables::aligned(columns)
}

fn csv(allocated: &Allocated) -> String {
    let names = crate::cost::AllocatedEntry::default().amounts().map(|(name, _)| name).join(",");
    let mut text = format!("group,{names}\n");
    for entry in &allocated.entries {
        let cells = entry.amounts().map(|(_, amount)| amount.to_owned());
        text.push_str(&format!("{},{}\n", csv_cell(&entry.group), cells.join(",")));
    }
    text
}

fn focus(rows: &[std::collections::BTreeMap<&'static str, String>]) -> String {
    let columns: std::collections::BTreeSet<&str> = rows.iter().flat_map(|row| row.keys().copied()).collect();
    let mut text = format!("{}\n", columns.iter().copied().collect::<Vec<_>>().join(","));
    for row in rows {
        let cells: Vec<String> =
            columns.iter().map(|name| row.get(name).map(|value| csv_cell(value)).unwrap_or_default()).collect();
        text.push_str(&format!("{}\n", cells.join(",")));
    }
    text
}
