//! `ado_run`, `ado_stage`, `ado_job`, `ado_timeline_record`: what a pipeline did, step by step.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Runs of YAML pipelines.
pub static ADO_RUN: Table = Table {
    key: &["organization", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_run",
        "Runs of YAML pipelines.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the run; the same as its build number in `ado_build`.").required(),
            Column::new("name", Type::Text, "Name of the run."),
            Column::new("pipeline_id", Type::Int, "Number of the pipeline."),
            Column::new("pipeline", Type::Name, "Name of the pipeline."),
            Column::new("folder", Type::Name, "Folder of the pipeline."),
            Column::new("pipeline_revision", Type::Int, "Revision of the pipeline that ran."),
            Column::new("state", Type::Name, "`inProgress`, `canceling`, `completed`."),
            Column::new("result", Type::Name, "`succeeded`, `failed`, `canceled`; null before its end."),
            Column::new("created_date", Type::Time, "When it was made."),
            Column::new("finished_date", Type::Time, "When it ended."),
            Column::new("duration_ms", Type::Int, "From creation to end.").unit("ms"),
            Column::new("repository_id", Type::Text, "Id of the repository of its YAML."),
            Column::new("ref_name", Type::Text, "Branch that it ran."),
            Column::new("source_version", Type::Text, "Commit that it ran."),
            Column::new("template_parameters", Type::Json, "Parameters that it was given."),
            Column::new("variables", Type::Json, "Variables that it was given, secret ones without their value."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_RUN`] is read.
pub static RUN: Shape = Shape {
    table: &ADO_RUN,
    paths: &[
        ("pipeline_id", "pipeline.id"),
        ("folder", "pipeline.folder"),
        ("pipeline_revision", "pipeline.revision"),
        ("repository_id", "resources.repositories.self.repository.id"),
        ("ref_name", "resources.repositories.self.refName"),
        ("source_version", "resources.repositories.self.version"),
    ],
};

/// Stages of runs.
pub static ADO_STAGE: Table = Table {
    key: &["organization", "run_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_stage",
        "Stages of runs.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("run_id", Type::Int, "Number of the run.").required(),
            Column::new("id", Type::Text, "Id of the stage in its run.").required(),
            Column::new("name", Type::Name, "Name in the YAML."),
            Column::new("display_name", Type::Text, "Name for people."),
            Column::new("pipeline_id", Type::Int, "Number of the pipeline."),
            Column::new("pipeline", Type::Name, "Name of the pipeline."),
            Column::new("state", Type::Name, "`pending`, `waiting`, `inProgress`, `completed` …"),
            Column::new("result", Type::Name, "`succeeded`, `failed`, `canceled`, `skipped` …"),
            Column::new("attempt", Type::Int, "Counts repetitions."),
            Column::new("start_time", Type::Time, "When it began."),
            Column::new("finish_time", Type::Time, "When it ended."),
            Column::new("duration_ms", Type::Int, "From start to finish.").unit("ms"),
            VERSION,
        ],
    )
};

/// How [`ADO_STAGE`] is read.
pub static STAGE: Shape =
    Shape { table: &ADO_STAGE, paths: &[("display_name", "displayName|name"), ("name", "identifier|refName|name")] };

/// Jobs of runs.
pub static ADO_JOB: Table = Table {
    key: &["organization", "run_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_job",
        "Jobs of runs.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("run_id", Type::Int, "Number of the run.").required(),
            Column::new("id", Type::Text, "Id of the job in its run.").required(),
            Column::new("stage_id", Type::Text, "Id of its stage, where it is told."),
            Column::new("name", Type::Text, "Name."),
            Column::new("state", Type::Name, "`pending`, `inProgress`, `completed` …"),
            Column::new("result", Type::Name, "`succeeded`, `failed`, `canceled`, `skipped` …"),
            Column::new("worker_name", Type::Name, "Agent that ran it."),
            Column::new("attempt", Type::Int, "Counts repetitions."),
            Column::new("start_time", Type::Time, "When it began."),
            Column::new("finish_time", Type::Time, "When it ended."),
            Column::new("duration_ms", Type::Int, "From start to finish.").unit("ms"),
            VERSION,
        ],
    )
};

/// How [`ADO_JOB`] is read.
pub static JOB: Shape = Shape { table: &ADO_JOB, paths: &[] };

/// Records of the timelines of builds: stages, phases, jobs and tasks with their times.
pub static ADO_TIMELINE_RECORD: Table = Table {
    key: &["organization", "build_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_timeline_record",
        "Records of the timelines of builds: stages, phases, jobs and tasks with their times.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("build_id", Type::Int, "Number of the build.").required(),
            Column::new("id", Type::Text, "Id of the record in its build.").required(),
            Column::new("parent_id", Type::Text, "Record that it is part of."),
            Column::new("type", Type::Name, "`Stage`, `Phase`, `Job`, `Task`, `Checkpoint` …"),
            Column::new("name", Type::Text, "Name."),
            Column::new("ref_name", Type::Text, "Name in the YAML."),
            Column::new("identifier", Type::Text, "Name that stays over attempts."),
            Column::new("state", Type::Name, "`pending`, `inProgress`, `completed`."),
            Column::new(
                "result",
                Type::Name,
                "`succeeded`, `succeededWithIssues`, `failed`, `canceled`, `skipped`, `abandoned`.",
            ),
            Column::new("start_time", Type::Time, "When it began."),
            Column::new("finish_time", Type::Time, "When it ended."),
            Column::new("duration_ms", Type::Int, "From start to finish.").unit("ms"),
            Column::new("worker_name", Type::Name, "Agent that ran it."),
            Column::new("record_order", Type::Int, "Place among its siblings."),
            Column::new("attempt", Type::Int, "Counts repetitions."),
            Column::new("error_count", Type::Int, "Errors."),
            Column::new("warning_count", Type::Int, "Warnings."),
            Column::new("issues", Type::Json, "The errors and warnings that were kept."),
            Column::new("task_name", Type::Name, "Task that it ran."),
            Column::new("task_version", Type::Name, "Version of the task."),
            Column::new("log_url", Type::Text, "Address of its log."),
            VERSION,
        ],
    )
};

/// How [`ADO_TIMELINE_RECORD`] is read.
pub static TIMELINE_RECORD: Shape = Shape {
    table: &ADO_TIMELINE_RECORD,
    paths: &[
        ("record_order", "order"),
        ("task_name", "task.name"),
        ("task_version", "task.version"),
        ("log_url", "log.url"),
    ],
};
