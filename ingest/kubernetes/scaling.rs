//! Who changes replicas: `k8s_horizontal_pod_autoscaler`.

use engine::{Column, Table, Type};

use super::cells::{Cells, condition, object_columns};
use super::detail::{Detail, Write};
use super::meta::Meta;
use crate::json::Reason;

/// HorizontalPodAutoscalers.
pub static K8S_HORIZONTAL_POD_AUTOSCALER: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_horizontal_pod_autoscaler",
        "The last seen state of every HorizontalPodAutoscaler.",
        object_columns![
            Column::new("target_kind", Type::Name, "Kind of what it scales."),
            Column::new("target_name", Type::Text, "Name of what it scales."),
            Column::new("min_replicas", Type::Int, "The fewest replicas."),
            Column::new("max_replicas", Type::Int, "The most replicas."),
            Column::new("current_replicas", Type::Int, "Replicas that it saw last."),
            Column::new("desired_replicas", Type::Int, "Replicas that it wants."),
            Column::new("last_scale_time", Type::Time, "When it changed the replicas last."),
            Column::new("able_to_scale", Type::Bool, "Condition AbleToScale."),
            Column::new("scaling_active", Type::Bool, "Condition ScalingActive: its metrics can be read."),
            Column::new(
                "scaling_limited",
                Type::Bool,
                "Condition ScalingLimited: it wants more or fewer than it may have."
            ),
            Column::new("metrics", Type::Json, "The list `spec.metrics`."),
            Column::new("current_metrics", Type::Json, "The list `status.currentMetrics`."),
        ],
    )
};

/// HorizontalPodAutoscalers.
pub static HORIZONTAL_POD_AUTOSCALER: Detail = Detail {
    table: &K8S_HORIZONTAL_POD_AUTOSCALER,
    kinds: &[("autoscaling", "HorizontalPodAutoscaler")],
    write: Write::One(autoscaler),
};

fn autoscaler(meta: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    let status = |kind: &str| condition(meta.object, kind).status;
    cells
        .text("target_kind", "spec.scaleTargetRef.kind")?
        .text("target_name", "spec.scaleTargetRef.name")?
        .int("min_replicas", "spec.minReplicas")?
        .int("max_replicas", "spec.maxReplicas")?
        .count("current_replicas", "status.currentReplicas")?
        .count("desired_replicas", "status.desiredReplicas")?
        .time("last_scale_time", "status.lastScaleTime")?
        .set("able_to_scale", status("AbleToScale"))
        .set("scaling_active", status("ScalingActive"))
        .set("scaling_limited", status("ScalingLimited"))
        .json("metrics", "spec.metrics")?
        .json("current_metrics", "status.currentMetrics")?;
    Ok(())
}
