//! FOCUS as data: the columns of the four datasets in versions 1.0 to 1.4, with their types, levels and closed lists.
//! Tables, views, ingest and the conformance rules all read these lists; none of them names a FOCUS rule on its own.

mod billing_period;
mod contract_commitment;
mod cost_and_usage;
mod invoice_detail;
pub mod values;

use engine::{Column, Type};

pub use billing_period::BILLING_PERIOD;
pub use contract_commitment::CONTRACT_COMMITMENT;
pub use cost_and_usage::COST_AND_USAGE;
pub use invoice_detail::INVOICE_DETAIL;

/// A released version of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
    V1_4,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Version; 5] = [Version::V1_0, Version::V1_1, Version::V1_2, Version::V1_3, Version::V1_4];

    /// `1.2` and, as providers write it, `1.2-preview`, `v1.2`, `1.0r2`.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim().trim_start_matches(['v', 'V']);
        Version::ALL.into_iter().find(|version| {
            let rest = text.strip_prefix(version.as_str());
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    }

    /// `1.2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
            Version::V1_3 => "1.3",
            Version::V1_4 => "1.4",
        }
    }
}

/// How binding a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Must be there.
    Mandatory,
    /// Must be there if the provider supports what it describes, which a file alone does not tell.
    Conditional,
    /// Should be there.
    Recommended,
}

/// What the text of a cell must look like beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Nothing more.
    Any,
    /// An ISO 4217 code, or a virtual currency where the column allows one.
    Currency,
    /// Zero or more.
    NonNegative,
    /// A JSON object of keys with scalar values.
    KeyValue,
    /// A JSON object.
    JsonObject,
    /// A unit of the standard's form.
    Unit,
}

/// One column of a dataset.
#[derive(Debug, Clone, Copy)]
pub struct FocusColumn {
    /// The specification's spelling.
    pub name: &'static str,
    /// Type in our tables.
    pub kind: Type,
    /// One sentence for the reader of the SQL reference.
    pub doc: &'static str,
    /// First version that has it.
    pub since: Version,
    /// Last version that has it; none: it is in the newest.
    pub until: Option<Version>,
    /// Whether a row may lack it.
    pub nulls: bool,
    /// How binding it is.
    pub level: Level,
    /// What its text must look like.
    pub format: Format,
    /// Its closed list of values; empty: any.
    pub allowed: &'static [&'static str],
}

impl FocusColumn {
    /// A nullable, mandatory column of every version.
    pub const fn new(name: &'static str, kind: Type, doc: &'static str) -> Self {
        FocusColumn {
            name,
            kind,
            doc,
            since: Version::V1_0,
            until: None,
            nulls: true,
            level: Level::Mandatory,
            format: Format::Any,
            allowed: &[],
        }
    }

    /// The same column at this level.
    pub const fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The same column, which every row must have.
    pub const fn not_null(mut self) -> Self {
        self.nulls = false;
        self
    }

    /// The same column with a form of its text.
    pub const fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The same column, introduced by `version`.
    pub const fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }

    /// The same column, last seen in `version`.
    pub const fn until(mut self, version: Version) -> Self {
        self.until = Some(version);
        self
    }

    /// The same column with a closed list of values.
    pub const fn allowed(mut self, allowed: &'static [&'static str]) -> Self {
        self.allowed = allowed;
        self
    }

    /// Whether `version` has this column.
    pub fn is_in(&self, version: Version) -> bool {
        self.since <= version && self.until.is_none_or(|last| version <= last)
    }

    const fn column(&self) -> Column {
        Column::new(self.name, self.kind, self.doc)
    }
}

/// The four datasets of FOCUS 1.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dataset {
    CostAndUsage,
    ContractCommitment,
    InvoiceDetail,
    BillingPeriod,
}

impl Dataset {
    /// Every dataset.
    pub const ALL: [Dataset; 4] =
        [Dataset::CostAndUsage, Dataset::ContractCommitment, Dataset::InvoiceDetail, Dataset::BillingPeriod];

    /// The specification's id, which is also the name of our view.
    pub fn id(self) -> &'static str {
        match self {
            Dataset::CostAndUsage => "CostAndUsage",
            Dataset::ContractCommitment => "ContractCommitment",
            Dataset::InvoiceDetail => "InvoiceDetail",
            Dataset::BillingPeriod => "BillingPeriod",
        }
    }

    /// Its columns over all versions.
    pub fn columns(self) -> &'static [FocusColumn] {
        match self {
            Dataset::CostAndUsage => &COST_AND_USAGE,
            Dataset::ContractCommitment => &CONTRACT_COMMITMENT,
            Dataset::InvoiceDetail => &INVOICE_DETAIL,
            Dataset::BillingPeriod => &BILLING_PERIOD,
        }
    }

    /// The dataset and the newest version whose columns the lower-case `names` show; none: they are no FOCUS data.
    pub fn of_columns(names: &[String]) -> Option<(Dataset, Version)> {
        let has = |name: &str| names.iter().any(|n| n == name);
        let dataset = if has("billingperiodstatus") {
            Dataset::BillingPeriod
        } else if has("contractcommitmentid") && !has("billedcost") {
            Dataset::ContractCommitment
        } else if has("invoicedetailid") && (has("invoiceissuestatus") || has("invoicedetailcreated")) {
            Dataset::InvoiceDetail
        } else if has("billedcost") || (has("effectivecost") && has("chargeperiodstart")) {
            Dataset::CostAndUsage
        } else {
            return None;
        };
        let known = |c: &&FocusColumn| has(&c.name.to_ascii_lowercase());
        let newest = dataset.columns().iter().filter(known).map(|c| c.since).max();
        let mut version = newest.unwrap_or(Version::V1_0);
        // 1.4 dropped ProviderName; a file of 1.3 columns without it is one of 1.4 that uses none of the two new columns.
        if dataset == Dataset::CostAndUsage && version == Version::V1_3 && !has("providername") {
            version = Version::V1_4;
        }
        Some((dataset, version))
    }
}

/// The columns of a table: a dataset's, then the platform's own. `N` is the sum of both lengths.
pub const fn table_columns<const N: usize>(focus: &[FocusColumn], own: &[Column]) -> [Column; N] {
    assert!(N == focus.len() + own.len(), "N is the sum of both lists");
    let mut out = [focus[0].column(); N];
    let mut i = 0;
    while i < N {
        out[i] = if i < focus.len() { focus[i].column() } else { own[i - focus.len()] };
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_as_many_columns_as_the_specification() {
        let count = |v| COST_AND_USAGE.iter().filter(|c| c.is_in(v)).count();
        assert_eq!(Version::ALL.map(count), [43, 50, 57, 65, 65]);
        assert_eq!((CONTRACT_COMMITMENT.len(), BILLING_PERIOD.len(), INVOICE_DETAIL.len()), (30, 6, 22));
    }

    #[test]
    fn versions_are_read_as_providers_write_them() {
        for (text, version) in [("1.2-preview", Version::V1_2), ("1.0r2", Version::V1_0), ("v1.4", Version::V1_4)] {
            assert_eq!(Version::parse(text), Some(version), "{text}");
        }
        assert_eq!(Version::parse("1.12"), None);
        assert_eq!(Version::parse("2.0"), None);
    }

    #[test]
    fn datasets_are_seen_from_their_columns() {
        let of = |names: &str| Dataset::of_columns(&names.split(' ').map(str::to_lowercase).collect::<Vec<_>>());
        assert_eq!(of("BilledCost ProviderName"), Some((Dataset::CostAndUsage, Version::V1_0)));
        assert_eq!(of("BilledCost ProviderName InvoiceId"), Some((Dataset::CostAndUsage, Version::V1_2)));
        assert_eq!(of("BilledCost ServiceProviderName"), Some((Dataset::CostAndUsage, Version::V1_4)));
        assert_eq!(of("ContractCommitmentId ContractId"), Some((Dataset::ContractCommitment, Version::V1_3)));
        assert_eq!(of("BillingPeriodStatus"), Some((Dataset::BillingPeriod, Version::V1_4)));
        assert_eq!(of("a b"), None);
    }
}
