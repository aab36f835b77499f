//! Delivery in SQL: DORA with DevLake's definitions, and how pull requests, pipelines, tests and work items flow.
//!
//! Where DevLake's are known to be wrong these differ, and say so: a project without incidents on record has no failure
//! rate rather than the best one, the first deployment carries what was merged before it, `canceling` is not done,
//! `partiallySucceeded` is no success, and review times come from what reviewers did.

use engine::View;

#[cfg(test)]
mod tests;

/// The views.
pub const VIEWS: &[&View] = &[
    &DORA_DEPLOYMENT,
    &DORA_DEPLOYMENT_FREQUENCY,
    &DORA_LEAD_TIME,
    &DORA_LEAD_TIME_MONTH,
    &DORA_INCIDENT,
    &DORA_CHANGE_FAILURE_RATE,
    &DORA_RECOVERY_TIME,
    &PULL_REQUEST_CYCLE,
    &PIPELINE_HEALTH,
    &FLAKY_TEST,
    &WORK_ITEM_FLOW,
];

/// Deployments.
pub static DORA_DEPLOYMENT: View = View {
    name: "dora_deployment",
    doc: "Deployments to environments and by classic releases; many records of one run are one deployment that ends with the last. Production is what has `prod` in the environment's name.",
    sql: include_str!("delivery/dora_deployment.sql"),
};

/// Deployment frequency.
pub static DORA_DEPLOYMENT_FREQUENCY: View = View {
    name: "dora_deployment_frequency",
    doc: "DORA deployment frequency: the median of days with a successful production deployment per week (from Monday, weeks without any counted), by the month the week begins in, with the band of 2023.",
    sql: include_str!("delivery/dora_deployment_frequency.sql"),
};

/// Lead time of each pull request.
pub static DORA_LEAD_TIME: View = View {
    name: "dora_lead_time",
    doc: "DORA lead time of each merged pull request: coding, review, and wait for the first successful production deployment that contains it. The order of pushes says what a deployment contains, so that the first deployment has no gap before it (DevLake leaves its pull requests out).",
    sql: include_str!("delivery/dora_lead_time.sql"),
};

/// Lead time by month.
pub static DORA_LEAD_TIME_MONTH: View = View {
    name: "dora_lead_time_month",
    doc: "DORA lead time by month of deployment: the lower median over pull requests, with the band of 2023.",
    sql: include_str!("delivery/dora_lead_time_month.sql"),
};

/// Incidents.
pub static DORA_INCIDENT: View = View {
    name: "dora_incident",
    doc: "Incidents (work items of that type or tag), each laid to the last successful production deployment of its project before it.",
    sql: include_str!("delivery/dora_incident.sql"),
};

/// Change failure rate.
pub static DORA_CHANGE_FAILURE_RATE: View = View {
    name: "dora_change_failure_rate",
    doc: "DORA change failure rate: deployments that incidents were laid to, of all; null in a project that has no incident on record (DevLake reads 0 % there if any other project has one).",
    sql: include_str!("delivery/dora_change_failure_rate.sql"),
};

/// Recovery time.
pub static DORA_RECOVERY_TIME: View = View {
    name: "dora_recovery_time",
    doc: "DORA recovery time: from the deployment that an incident was laid to, to its resolution; the lower median by month.",
    sql: include_str!("delivery/dora_recovery_time.sql"),
};

/// Pull requests over time.
pub static PULL_REQUEST_CYCLE: View = View {
    name: "pull_request_cycle",
    doc: "Pickup, review and cycle time of each pull request, from the comments and votes of others than its author (DevLake has neither from Azure DevOps).",
    sql: include_str!("delivery/pull_request_cycle.sql"),
};

/// Pipelines by day.
pub static PIPELINE_HEALTH: View = View {
    name: "pipeline_health",
    doc: "Success, duration and queue time of pipelines by day. `partiallySucceeded` is counted apart and is no success; cancelled builds are no failures.",
    sql: include_str!("delivery/pipeline_health.sql"),
};

/// Flaky tests.
pub static FLAKY_TEST: View = View {
    name: "flaky_test",
    doc: "Tests that passed and failed on the same commit of the same pipeline, or that Azure DevOps calls flaky.",
    sql: include_str!("delivery/flaky_test.sql"),
};

/// Work items over time.
pub static WORK_ITEM_FLOW: View = View {
    name: "work_item_flow",
    doc: "Stays of work items in their states, from the revisions: when each began, when it ended, and what came after.",
    sql: include_str!("delivery/work_item_flow.sql"),
};
