//! `ado_test_run`, `ado_test_result`: what tests said.

use engine::{Column, Table, Type};

use super::origin::{ORGANIZATION, PROJECT, PROJECT_ID, TENANT, VERSION};
use super::shape::Shape;

/// Runs of tests.
pub static ADO_TEST_RUN: Table = Table {
    key: &["organization", "project_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_test_run",
        "Runs of tests.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("id", Type::Int, "Number of the test run.").required(),
            Column::new("name", Type::Text, "Name."),
            Column::new("state", Type::Name, "`NotStarted`, `InProgress`, `Completed`, `Aborted` …"),
            Column::new("is_automated", Type::Bool, "No person tests."),
            Column::new("build_id", Type::Int, "Build that it tests."),
            Column::new("build_number", Type::Text, "Name of the build that it tests."),
            Column::new("branch_name", Type::Text, "Branch that it tests."),
            Column::new("release_id", Type::Int, "Release that it tests."),
            Column::new("total_tests", Type::Int, "Tests."),
            Column::new("passed_tests", Type::Int, "Tests that passed."),
            Column::new("unanalyzed_tests", Type::Int, "Tests that failed and nobody looked at."),
            Column::new("incomplete_tests", Type::Int, "Tests without a result."),
            Column::new("not_applicable_tests", Type::Int, "Tests that did not apply."),
            Column::new("owner", Type::Text, "Display name of its owner."),
            Column::new("owner_unique_name", Type::Text, "Unique name of its owner."),
            Column::new("started_date", Type::Time, "When it began."),
            Column::new("completed_date", Type::Time, "When it ended."),
            Column::new("last_updated_date", Type::Time, "When it was changed last."),
            Column::new("url", Type::Text, "REST address."),
            VERSION,
        ],
    )
};

/// How [`ADO_TEST_RUN`] is read.
pub static TEST_RUN: Shape = Shape {
    table: &ADO_TEST_RUN,
    paths: &[
        ("build_id", "build.id|buildConfiguration.id"),
        ("build_number", "build.name|buildConfiguration.number"),
        ("branch_name", "buildConfiguration.branchName"),
        ("release_id", "release.id"),
    ],
};

/// Results of single tests.
pub static ADO_TEST_RESULT: Table = Table {
    key: &["organization", "project_id", "run_id", "id"],
    version: Some("version"),
    time: "ingested_at",
    ..Table::new(
        "ado_test_result",
        "Results of single tests.",
        &[
            TENANT,
            ORGANIZATION,
            PROJECT_ID,
            PROJECT,
            Column::new("run_id", Type::Int, "Number of the test run.").required(),
            Column::new("id", Type::Int, "Number of the result in its run.").required(),
            Column::new("test_case_title", Type::Text, "Name of the test."),
            Column::new("automated_test_name", Type::Text, "Full name of the test in its code."),
            Column::new("automated_test_storage", Type::Text, "Assembly or file of the test."),
            Column::new("outcome", Type::Name, "`Passed`, `Failed`, `NotExecuted`, `Inconclusive`, `Aborted` …"),
            Column::new("state", Type::Name, "`Completed`, `InProgress` …"),
            Column::new("priority", Type::Int, "Priority."),
            Column::new("failure_type", Type::Name, "What somebody made of the failure."),
            Column::new("error_message", Type::Text, "What went wrong."),
            Column::new("stack_trace", Type::Text, "Where it went wrong."),
            Column::new("computer_name", Type::Name, "Machine."),
            Column::new("build_id", Type::Int, "Build that it tests."),
            Column::new("is_flaky", Type::Bool, "The pipeline found that it passes and fails on the same code."),
            Column::new("started_date", Type::Time, "When it began."),
            Column::new("completed_date", Type::Time, "When it ended."),
            Column::new("duration_ms", Type::Int, "How long it took.").unit("ms"),
            VERSION,
        ],
    )
};

/// How [`ADO_TEST_RESULT`] is read.
pub static TEST_RESULT: Shape = Shape {
    table: &ADO_TEST_RESULT,
    paths: &[("duration_ms", "durationInMs"), ("build_id", "build.id"), ("run_id", "testRun.id")],
};
