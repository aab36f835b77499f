//! The ledger's tables: one for each FOCUS dataset, and the register of runs that filled them.
//!
//! A column stands here when something fills it; a nullable column is added in place with the code that writes it.

use engine::{Column, Table, Type};

use crate::focus::{BILLING_PERIOD, CONTRACT_COMMITMENT, COST_AND_USAGE, INVOICE_DETAIL, table_columns};

/// The tenant column of the ledger's tables.
pub const TENANT: &str = "x_tenant";
/// The column that names a replaceable set of rows.
pub const SET: &str = "x_set";

const X_TENANT: Column = Column::new(TENANT, Type::Name, "Tenant that the row belongs to.").required();
const X_SET: Column = Column::new(
    SET,
    Type::Name,
    "Export, dataset and billing period; a newer run of it replaces all rows of an older one.",
)
.required();
const X_RUN: Column = Column::new("x_source_run_id", Type::Name, "Run that delivered the row; see `cost_run`.");
const X_ROW: Column = Column::new("x_source_row", Type::Int, "Row of the run, counted from 1 over all of its files.");
const X_SCHEMA: Column =
    Column::new("x_source_schema", Type::Name, "Form in which it came: `FOCUS 1.2`, `Azure ActualCost` …");
const X_RAW: Column = Column::new(
    "x_raw",
    Type::Json,
    "Cells that the ledger's types do not hold exactly, as delivered: `{column: text}`; more than 18 decimals, for one.",
);
const X_EXTRA: Column = Column::new(
    "x_extra",
    Type::Json,
    "Columns of the file that are none of the table's, by the file's own names, as text: `x_extra ->> 'x_SkuMeterId'`.",
);

/// What the platform adds to a cost line. Files that carry such a column fill it; the rest is filled from tags.
pub const PLATFORM: [Column; 38] = [
    X_TENANT,
    Column::new("x_org_unit", Type::Name, "Organisational unit that pays."),
    Column::new("x_project", Type::Name, "Project; from the tag `project` where the file has no such column."),
    Column::new(
        "x_task",
        Type::Name,
        "Task or work item that caused it; from the tag `task` or `work_item` where the file has no such column.",
    ),
    Column::new(
        "x_pipeline_run",
        Type::Name,
        "Pipeline run that caused it, as `ado_build.id`; from the tag `pipeline_run`, `build_id` or `run_id`.",
    ),
    Column::new("x_agent", Type::Name, "Agent (of AI) that caused it; from the tag `agent` or `agent_id`."),
    Column::new(
        "x_app",
        Type::Name,
        "Application; from the tag `application`, `app` or `service` where the file has no such column.",
    ),
    Column::new(
        "x_component",
        Type::Name,
        "Component of the application; from the tag `component` where the file has no such column.",
    ),
    Column::new(
        "x_env",
        Type::Name,
        "Environment; from the tag `environment` or `env` where the file has no such column.",
    ),
    Column::new("x_cost_center", Type::Name, "Cost centre; from the tag `cost_center`, `cost-center` or `CostCenter`."),
    Column::new("x_owner", Type::Name, "Owner; from the tag `owner` or `team` where the file has no such column."),
    Column::new("x_cluster", Type::Name, "Kubernetes cluster."),
    Column::new("x_namespace", Type::Name, "Kubernetes namespace."),
    Column::new("x_workload", Type::Name, "Kubernetes workload."),
    Column::new("x_pod", Type::Text, "Kubernetes pod."),
    Column::new("x_container", Type::Name, "Kubernetes container."),
    Column::new(
        "x_model",
        Type::Name,
        "Model of an AI charge; from `SkuPriceDetails` (`ModelId`) where the file has no such column.",
    ),
    Column::new("x_calls", Type::Int, "Calls of a model that the row adds up."),
    Column::new("x_tokens_in", Type::Int, "Tokens sent, those of the cache among them.").unit("tokens"),
    Column::new("x_tokens_out", Type::Int, "Tokens answered.").unit("tokens"),
    Column::new("x_tokens_cache_read", Type::Int, "Of the tokens sent, those read from the cache.").unit("tokens"),
    Column::new("x_tokens_cache_write", Type::Int, "Of the tokens sent, those written to the cache.").unit("tokens"),
    Column::new(
        "x_charge_id",
        Type::Text,
        "The same charge has the same id in every delivery: 128 bits of SHA-256 over what identifies it, its period and its ordinal among equals.",
    ),
    X_RUN,
    X_ROW,
    X_SCHEMA,
    X_SET,
    Column::new(
        "x_estimate",
        Type::Bool,
        "False: billed by the provider. True: computed here, to be replaced by the bill.",
    ),
    Column::new(
        "x_estimate_key",
        Type::Text,
        "What an estimate is of, and its day; the bill's charges of the same thing and day replace it. Null for what no bill replaces.",
    ),
    Column::new(
        "x_estimated_cost",
        Type::Decimal,
        "What was estimated before the bill came, in `x_estimated_currency`; null while it is an estimate, and for charges that never were one.",
    ),
    Column::new("x_estimated_currency", Type::Name, "Currency of `x_estimated_cost`."),
    Column::new(
        "x_estimate_delta",
        Type::Decimal,
        "Billed less estimated, where both have one currency: what the estimate was off by.",
    ),
    Column::new("x_supersedes", Type::Text, "`x_charge_id` of the estimate that the row took the place of."),
    Column::new(
        "x_parent_charge_id",
        Type::Text,
        "`x_charge_id` of a charge that the row is a part of, or takes back because its parts stand in other rows.",
    ),
    Column::new("x_price_list", Type::Name, "Price list that an estimate was priced by."),
    Column::new(
        "x_unpriced",
        Type::Text,
        "Why the usage has no price. Such a row costs 0 because nobody knows better, has no unit price, and fails `stellwerk cost check`.",
    ),
    X_RAW,
    X_EXTRA,
];

const SIDE: [Column; 7] = [X_TENANT, X_RUN, X_ROW, X_SCHEMA, X_SET, X_RAW, X_EXTRA];

/// What is added to a billing period: when this platform sealed it, and what it held then.
const SEAL: [Column; 14] = [
    X_TENANT,
    X_RUN,
    X_ROW,
    X_SCHEMA,
    X_SET,
    X_RAW,
    X_EXTRA,
    Column::new(
        "x_sealed_at",
        Type::Time,
        "When the platform sealed the period: from then on its charges are refused, and corrections go to later periods. Null for what an issuer tells.",
    ),
    Column::new("x_sealed_by", Type::Name, "Who sealed it."),
    Column::new("x_sealed_note", Type::Text, "Why, in the words of whoever sealed it."),
    Column::new("x_sealed_rows", Type::Int, "Charges of the period when it was sealed."),
    Column::new("x_sealed_billed_cost", Type::Decimal, "Their BilledCost; null where they are of several currencies."),
    Column::new("x_sealed_currency", Type::Name, "Currency of that sum."),
    Column::new(
        "x_sealed_root",
        Type::Text,
        "SHA-256 over those charges, in the order of their ids: `stellwerk cost check` computes it again.",
    ),
];

const COST_LINE_COLUMNS: [Column; COST_AND_USAGE.len() + PLATFORM.len()] = table_columns(&COST_AND_USAGE, &PLATFORM);
const COMMITMENT_COLUMNS: [Column; CONTRACT_COMMITMENT.len() + SIDE.len()] = table_columns(&CONTRACT_COMMITMENT, &SIDE);
const INVOICE_COLUMNS: [Column; INVOICE_DETAIL.len() + SIDE.len()] = table_columns(&INVOICE_DETAIL, &SIDE);
const PERIOD_COLUMNS: [Column; BILLING_PERIOD.len() + SEAL.len()] = table_columns(&BILLING_PERIOD, &SEAL);

const fn ledger_table(name: &'static str, doc: &'static str, columns: &'static [Column], time: &'static str) -> Table {
    Table {
        set: Some(SET),
        time,
        tenant: TENANT,
        source: "x_source",
        ingested_at: "x_ingested_at",
        ..Table::new(name, doc, columns)
    }
}

/// Every charge, billed by a provider or computed here.
pub static COST_LINE: Table = ledger_table(
    "cost_line",
    "Every charge, with the columns of FOCUS Cost and Usage 1.0 to 1.4 and the platform's own (`x_`). The views `CostAndUsage` and `focus_data_table` show it as FOCUS writes it.",
    &COST_LINE_COLUMNS,
    "ChargePeriodStart",
);

/// FOCUS Contract Commitment.
pub static CONTRACT_COMMITMENT_TABLE: Table = ledger_table(
    "contract_commitment",
    "What was committed to in contracts: FOCUS Contract Commitment 1.3 and 1.4. The view `ContractCommitment` shows it as FOCUS writes it.",
    &COMMITMENT_COLUMNS,
    "ContractCommitmentPeriodStart",
);

/// FOCUS Invoice Detail.
pub static INVOICE_DETAIL_TABLE: Table = ledger_table(
    "invoice_detail",
    "The lines of invoices: FOCUS Invoice Detail 1.4. The view `InvoiceDetail` shows it as FOCUS writes it.",
    &INVOICE_COLUMNS,
    "BillingPeriodStart",
);

/// FOCUS Billing Period.
pub static BILLING_PERIOD_TABLE: Table = ledger_table(
    "billing_period",
    "Which billing periods are open or closed by their issuers (FOCUS Billing Period 1.4), and which the platform sealed (`x_sealed_at`). The view `BillingPeriod` shows it as FOCUS writes it, `billing_period_state` what holds.",
    &PERIOD_COLUMNS,
    "BillingPeriodStart",
);

/// Every run of every export that was seen, and what became of it.
pub static COST_RUN: Table = Table {
    key: &["x_set", "run_id"],
    time: "ingested_at",
    ..Table::new(
        "cost_run",
        "Every delivery of cost data that was seen, one row for each set of rows that it replaced or would have replaced, and what became of it.",
        &[
            Column::new("tenant", Type::Name, "Tenant of the rows.").required(),
            Column::new("x_set", Type::Text, "The replaceable set, as in the ledger's tables.").required(),
            Column::new("run_id", Type::Text, "The export's run id; for a file without manifest the SHA-256 of its bytes.").required(),
            Column::new("export", Type::Text, "The export: its resource id, or the file's name.").required(),
            Column::new("dataset", Type::Name, "What the run delivers: `cost_and_usage`, `azure_actual_cost`, `invoice_detail` …").required(),
            Column::new("billing_period", Type::Time, "Start of the billing period of the set."),
            Column::new("source_schema", Type::Name, "Form in which it came."),
            Column::new("submitted_at", Type::Time, "When the provider started the run; null for a file without manifest."),
            Column::new("state", Type::Name, "`applied`: its rows are the ledger's. `superseded`: a newer run replaced it or was there before. `torn`: a part is missing. `refused`: see the reason.").required(),
            Column::new("row_count", Type::Int, "Rows that it gave to the ledger."),
            Column::new("rejected_count", Type::Int, "Rows that did not parse; they are in `reject`."),
            Column::new("billed_cost", Type::Decimal, "Sum of BilledCost; null where the rows are of several currencies."),
            Column::new("billing_currency", Type::Name, "Currency of that sum."),
            Column::new("path", Type::Text, "File or manifest that it was read from."),
            Column::new("reason", Type::Text, "Why it was not applied, or what else a reader should know."),
        ],
    )
};
