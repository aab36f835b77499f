//! Work that ends: `k8s_job`, `k8s_cron_job`.

use engine::{Column, Table, Type, Value as Cell};
use serde_json::Value;

use super::cells::{Cells, condition, object_columns};
use super::detail::{Detail, Write};
use super::meta::Meta;
use super::workload::{Sums, images};
use crate::json::{self, Reason, at};

/// Jobs.
pub static K8S_JOB: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_job",
        "The last seen state of every Job; the CronJob that made it is its owner.",
        object_columns![
            Column::new("completions", Type::Int, "Pods that must succeed."),
            Column::new("parallelism", Type::Int, "Pods that run at the same time."),
            Column::new("backoff_limit", Type::Int, "Failures after which it gives up."),
            Column::new("suspended", Type::Bool, "It is held."),
            Column::new("active", Type::Int, "Pods that run now."),
            Column::new("succeeded", Type::Int, "Pods that succeeded."),
            Column::new("failed", Type::Int, "Pods that failed."),
            Column::new("start_time", Type::Time, "When it began."),
            Column::new("completion_time", Type::Time, "When it was done."),
            Column::new("state", Type::Name, "`Complete`, `Failed`, `Suspended` or `Running`."),
            Column::new("reason", Type::Name, "Why it failed (`BackoffLimitExceeded`, `DeadlineExceeded`)."),
            Column::new("images", Type::Json, "Images of the pod's containers, in their order."),
            Column::new("cpu_request_cores", Type::Decimal, "CPU that one pod reserves.").unit("cores"),
            Column::new("memory_request_bytes", Type::Int, "Memory that one pod reserves.").unit("bytes"),
            Column::new("gpus", Type::Int, "GPUs, of every vendor, that one pod holds."),
            Column::new("conditions", Type::Json, "The list `status.conditions`."),
        ],
    )
};

/// CronJobs.
pub static K8S_CRON_JOB: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_cron_job",
        "The last seen state of every CronJob.",
        object_columns![
            Column::new("schedule", Type::Text, "When it runs, in cron's words."),
            Column::new("time_zone", Type::Name, "Time zone of the schedule; null is the controller's."),
            Column::new("suspended", Type::Bool, "It is held."),
            Column::new("concurrency_policy", Type::Name, "`Allow`, `Forbid` or `Replace`."),
            Column::new("starting_deadline_seconds", Type::Int, "How late a run may begin.").unit("seconds"),
            Column::new("active", Type::Int, "Jobs that run now."),
            Column::new("last_schedule_time", Type::Time, "When it was started last."),
            Column::new("last_successful_time", Type::Time, "When a run succeeded last."),
            Column::new("images", Type::Json, "Images of the pod's containers, in their order."),
        ],
    )
};

/// Jobs.
pub static JOB: Detail = Detail { table: &K8S_JOB, kinds: &[("batch", "Job")], write: Write::One(job) };
/// CronJobs.
pub static CRON_JOB: Detail =
    Detail { table: &K8S_CRON_JOB, kinds: &[("batch", "CronJob")], write: Write::One(cron_job) };

fn job(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    let template = at(meta.object, &["spec", "template", "spec"]).unwrap_or(&Value::Null);
    let sums = Sums::of(template)?;
    let failed = condition(meta.object, "Failed");
    let is = |kind: &str| condition(meta.object, kind).status == Some(true);
    let state = match (is("Complete"), failed.status == Some(true), is("Suspended")) {
        (true, ..) => "Complete",
        (_, true, _) => "Failed",
        (.., true) => "Suspended",
        _ => "Running",
    };
    cells
        .int("completions", "spec.completions")?
        .int("parallelism", "spec.parallelism")?
        .int("backoff_limit", "spec.backoffLimit")?
        .bool("suspended", "spec.suspend")?
        .count("active", "status.active")?
        .count("succeeded", "status.succeeded")?
        .count("failed", "status.failed")?
        .time("start_time", "status.startTime")?
        .time("completion_time", "status.completionTime")?
        .set("state", at(meta.object, &["status"]).map(|_| state))
        .set("reason", failed.reason)
        .set("images", images(template))
        .set("cpu_request_cores", sums.cpu_request.map(Cell::Decimal))
        .set("memory_request_bytes", sums.memory_request)
        .set("gpus", sums.gpus)
        .json("conditions", "status.conditions")?;
    Ok(())
}

fn cron_job(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    let template = at(meta.object, &["spec", "jobTemplate", "spec", "template", "spec"]).unwrap_or(&Value::Null);
    let active = json::list(meta.object, &["status", "active"])?.map_or(0, Vec::len);
    cells
        .text("schedule", "spec.schedule")?
        .text("time_zone", "spec.timeZone")?
        .bool("suspended", "spec.suspend")?
        .text("concurrency_policy", "spec.concurrencyPolicy")?
        .int("starting_deadline_seconds", "spec.startingDeadlineSeconds")?
        .set("active", i64::try_from(active).ok())
        .time("last_schedule_time", "status.lastScheduleTime")?
        .time("last_successful_time", "status.lastSuccessfulTime")?
        .set("images", images(template));
    Ok(())
}
