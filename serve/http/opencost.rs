//! OpenCost's HTTP shapes over the usage that is stored: `/allocation`, `/allocation/compute` and `/assets`, with their
//! words for windows, aggregation, steps, idle, shared namespaces and filters, so that what asks OpenCost can ask here. What
//! a tenant asks shows its own rows; what is hidden keeps its share.

mod shape;
mod window;

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use engine::{Error, Result, Scope};
use ingest::allocation::stored::{self, Stored};
use ledger::allocate::{Condition, Options, Property, Selector, Share, Split, allocate};
use ledger::decimal::{self, product};
use ledger::price::ResourceBook;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::problem::{in_one_line, status};
use crate::cost::read_stored;
use crate::house::House;
use window::Window;

/// Sets of one answer; a step that makes more of them is too short for its window.
const SETS_MAX: usize = 1_000;

/// What may be said; other words of OpenCost's change nothing here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Asked {
    window: String,
    aggregate: Option<String>,
    step: Option<String>,
    accumulate: Option<String>,
    include_idle: Option<String>,
    share_idle: Option<String>,
    idle_by_node: Option<String>,
    share_namespaces: Option<String>,
    share_labels: Option<String>,
    share_cost: Option<String>,
    share_split: Option<String>,
    share_tenancy_costs: Option<String>,
    filter: Option<String>,
    cluster: Option<String>,
}

/// An answer as OpenCost wraps it.
#[derive(Debug, Serialize)]
struct Wrapped<T: Serialize> {
    code: u16,
    status: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

/// A refusal as OpenCost wraps it.
#[derive(Debug, Serialize)]
struct Refused {
    code: u16,
    status: &'static str,
    message: String,
}

fn refused(error: &Error) -> Response {
    let code = status(error.kind());
    let body = Refused { code: code.as_u16(), status: "error", message: in_one_line(error) };
    (code, Json(body)).into_response()
}

fn wrapped<T: Serialize>(data: T, warnings: Vec<String>) -> Response {
    let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
    (StatusCode::OK, Json(Wrapped { code: 200, status: "success", data, warning })).into_response()
}

/// `GET /allocation` and `GET /allocation/compute`.
pub async fn allocation(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Query(asked): Query<Asked>,
) -> Response {
    match allocations(&house, &scope, &asked).await {
        Ok((sets, warnings)) => wrapped(sets, warnings),
        Err(error) => refused(&error),
    }
}

/// `GET /assets`.
pub async fn assets(
    State(house): State<Arc<House>>,
    Extension(scope): Extension<Scope>,
    Query(asked): Query<Asked>,
) -> Response {
    match assets_of(&house, &scope, &asked).await {
        Ok((assets, warnings)) => wrapped(assets, warnings),
        Err(error) => refused(&error),
    }
}

fn says(word: &Option<String>) -> bool {
    word.as_deref().is_some_and(|word| matches!(word.to_ascii_lowercase().as_str(), "true" | "1" | "yes"))
}

impl Asked {
    fn by(&self) -> Result<Vec<Property>> {
        match self.aggregate.as_deref().map(str::trim) {
            None | Some("") => {
                Ok(vec![Property::Cluster, Property::Node, Property::Namespace, Property::Pod, Property::Container])
            }
            Some("all") => Ok(Vec::new()),
            Some(words) => words.split(',').map(str::parse).collect(),
        }
    }

    fn options(&self, scope: &Scope, hours: i128) -> Result<Options> {
        let mut filter = Vec::new();
        if let Some(tenants) = scope.tenants.named() {
            let values = tenants.iter().map(ToString::to_string).collect();
            filter.push(Selector { property: Property::Tenant, values });
        }
        let hourly = match self.share_cost.as_deref() {
            None | Some("") => 0,
            // OpenCost's shared cost is of a month of 730 hours.
            Some(text) => {
                let monthly =
                    decimal::parse(text).map_err(|why| Error::invalid(format!("shareCost: {text:?} {why}")))?;
                decimal::scaled(monthly.units, 1, 730).unwrap_or_default()
            }
        };
        let mut shared = Vec::new();
        if let Some(namespaces) = self.share_namespaces.as_deref().filter(|text| !text.is_empty()) {
            let values = namespaces.split(',').map(|name| name.trim().to_owned()).collect();
            shared.push(Selector { property: Property::Namespace, values });
        }
        for label in self.share_labels.as_deref().unwrap_or_default().split(',').filter(|text| !text.is_empty()) {
            let (name, value) = label
                .split_once(':')
                .ok_or_else(|| Error::invalid(format!("shareLabels: {label:?} is no NAME:VALUE")))?;
            shared.push(Selector { property: Property::Label(name.to_owned()), values: vec![value.to_owned()] });
        }
        let share_idle = match self.share_idle.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "weighted") => Share::Weighted,
            Some("even") => Share::Even,
            _ => Share::None,
        };
        let condition = self.filter.as_deref().map(str::trim).filter(|text| !text.is_empty());
        Ok(Options {
            by: self.by()?,
            share_idle,
            shared,
            split: if self.share_split.as_deref() == Some("even") { Split::Even } else { Split::Weighted },
            overhead: product(hourly, hours).ok_or_else(|| Error::invalid("shareCost has more than 38 digits"))?,
            share_tenancy: says(&self.share_tenancy_costs),
            filter,
            condition: condition.map(str::parse::<Condition>).transpose()?,
        })
    }

    async fn read(&self, house: &House, prices: &ResourceBook, part: Window, now: i64) -> Result<Stored> {
        let wish = stored::Wish { start: part.start, end: part.end.min(now), cluster: self.cluster.clone() };
        if wish.end <= wish.start {
            return Ok(Stored::default());
        }
        read_stored(&house.store, &wish, prices, says(&self.idle_by_node)).await
    }
}

type Sets = Vec<std::collections::BTreeMap<String, Box<RawValue>>>;

async fn allocations(house: &House, scope: &Scope, asked: &Asked) -> Result<(Sets, Vec<String>)> {
    let now = house.store.clock().now_us();
    let window = Window::parse(&asked.window, now)?;
    // Without a step there is one set; with one, the sets lie backwards from the end.
    let parts = match asked.step.as_deref().filter(|text| !text.is_empty() && !says(&asked.accumulate)) {
        Some(step) => window.steps(window::duration(step)?, SETS_MAX)?,
        None => vec![window],
    };
    let prices = ResourceBook::load(&house.store).await?;
    let (mut sets, mut warnings) = (Vec::new(), Vec::new());
    for part in parts {
        let read = asked.read(house, &prices, part, now).await?;
        let options = asked.options(scope, part.hours())?;
        let outcome = allocate(&read.input, &options)?;
        warnings.extend(outcome.faults.iter().chain(&read.unpriced).cloned());
        let includes_idle = says(&asked.include_idle) && options.share_idle == Share::None;
        sets.push(shape::set(&read, &outcome, &options, part, includes_idle)?);
    }
    warnings.sort();
    warnings.dedup();
    Ok((sets, told(scope, warnings)))
}

/// Warnings name nodes, prices and machine types of everybody: who is not the platform hears that there are some.
fn told(scope: &Scope, warnings: Vec<String>) -> Vec<String> {
    match scope.tenants.named() {
        Some(_) if !warnings.is_empty() => {
            vec!["prices or usage of the clusters have gaps; the platform sees which".to_owned()]
        }
        _ => warnings,
    }
}

type Assets = std::collections::BTreeMap<String, Box<RawValue>>;

async fn assets_of(house: &House, scope: &Scope, asked: &Asked) -> Result<(Assets, Vec<String>)> {
    let now = house.store.clock().now_us();
    let window = Window::parse(&asked.window, now)?;
    let read = asked.read(house, &ResourceBook::load(&house.store).await?, window, now).await?;
    let seen = read.assets.iter().filter(|asset| scope.tenants.covers(&asset.tenant));
    let assets = seen.map(|asset| shape::asset(asset, window)).collect::<Result<_>>()?;
    Ok((assets, told(scope, read.unpriced)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use engine::Tenants;
    use ledger::allocate::Row;

    use super::*;

    #[test]
    fn rows_and_warnings_of_others_are_not_shown() {
        let both = Scope::of(Tenants::of(["acme", "globex"]).unwrap(), "ana");
        let (one, all) = (Scope::tenant("acme", "ana"), Scope::platform("ops"));
        for (scope, sees) in [(&one, [true, false, false]), (&both, [true, true, false]), (&all, [true; 3])] {
            let filter = Asked::default().options(scope, 0).unwrap().filter;
            let rows = ["acme", "globex", "rival"].map(|tenant| Row { tenant: tenant.to_owned(), ..Row::default() });
            assert_eq!(rows.map(|row| filter.iter().all(|chosen| chosen.matches(&row))), sees, "{scope:?}");
            let warned = told(scope, vec!["node n1: cpu idle is -1".to_owned()]);
            assert_eq!(warned[0].contains("n1"), sees[2], "{warned:?}");
        }
        assert!(told(&one, Vec::new()).is_empty());
    }
}
