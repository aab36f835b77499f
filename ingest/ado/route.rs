//! Which tables an event reaches: a line for each of its types.

use engine::Value as Cell;
use serde_json::Value;

use super::cells::{int, member, path, text, time};
use super::event::Event;
use super::origin::{Origin, Told};
use super::shape::Shape;
use super::work_item::{self, Telling};
use super::{
    AGENT_QUEUE, ALERT, APPROVAL, APPROVAL_STEP, CHANGESET, CHECK, COMMIT, ELASTIC_POOL, JOB, MANUAL_INTERVENTION,
    MESSAGE, PULL_REQUEST_COMMENT, PULL_REQUEST_VOTE, REF, RELEASE, RELEASE_APPROVAL, RELEASE_DEPLOYMENT,
    RELEASE_ENVIRONMENT, REPOSITORY, RUN, SERVICE_ENDPOINT, STAGE, WORK_ITEM_COMMENT, WORK_ITEM_REVISION,
};
use super::{build, pull_request, push};
use crate::json::Reason;

type Done = Result<(), Reason>;
type Route = fn(&Origin, &Value, &mut Told) -> Done;

/// Every documented event and where its resource goes. Types that begin alike stand once.
const ROUTES: &[(&str, Route)] = &[
    ("workitem.deleted", |o, r, t| item(o, r, Telling::Deleted, t)),
    ("workitem.updated", |o, r, t| item(o, r, Telling::Update, t)),
    ("workitem.commented", commented),
    ("workitem.", |o, r, t| item(o, r, Telling::State, t)),
    ("git.pullrequest.", pull),
    ("ms.vss-code.git-pullrequest-comment-event", pull_comment),
    ("git.push", pushed),
    ("git.repo.deleted", repository_deleted),
    ("git.repo.forked", repository_forked),
    ("git.repo.", |o, r, t| part(&REPOSITORY, o, r, "repository", t)),
    ("tfvc.checkin", |o, r, t| CHANGESET.write(o, r, t)),
    ("build.complete", |o, r, t| build::write(o, r, t.rows(&super::ADO_BUILD))),
    ("ms.vss-pipelines.run-state-changed-event", run),
    ("ms.vss-pipelines.stage-state-changed-event", stage),
    ("ms.vss-pipelines.job-state-changed-event", job),
    ("ms.vss-pipelinechecks-events.approval-", approval),
    ("ms.vss-pipelinechecks-events.check-updated-event", |o, r, t| CHECK.write(o, r, t)),
    ("ms.vss-release.deployment-approval-", release_approval),
    ("ms.vss-release.deployment-", release_deployment),
    ("ms.vss-release.release-", release),
    ("ms.vss-alerts.", alert),
    ("ms.vss-endpoint.", |o, r, t| SERVICE_ENDPOINT.write(o, r, t)),
    ("agentqueue.", |o, r, t| AGENT_QUEUE.write(o, r, t)),
    ("elasticagentpool.", |o, r, t| ELASTIC_POOL.write(o, r, t)),
    ("manualintervention.", |o, r, t| part(&MANUAL_INTERVENTION, o, r, "manualIntervention", t)),
    ("message.posted", |o, r, t| MESSAGE.write(o, r, t)),
];

/// Adds the rows of the event's resource. A resource that is nonsense stays in its event; the row is refused with its reason.
pub fn write(event: &Event<'_>, tenant: &str, told: &mut Told) -> Done {
    let Some((_, route)) = ROUTES.iter().find(|(kind, _)| event.event_type.starts_with(kind)) else { return Ok(()) };
    let written = route(&event.origin(tenant), event.resource, told);
    told.abandon();
    written
}

fn part(shape: &Shape, origin: &Origin, resource: &Value, name: &str, told: &mut Told) -> Done {
    member(resource, name).map_or(Ok(()), |inner| shape.write(origin, inner, told))
}

/// A work item, and the revision that it is.
pub fn item(origin: &Origin, resource: &Value, telling: Telling, told: &mut Told) -> Done {
    work_item::write(origin, resource, telling, told.rows(&super::ADO_WORK_ITEM))?;
    revision(origin, resource, telling, told)
}

/// The revision alone.
pub fn revision(origin: &Origin, resource: &Value, telling: Telling, told: &mut Told) -> Done {
    let fields = work_item::fields(resource)?;
    let (Some(id), Some(rev)) = (work_item::number(resource, telling), work_item::revision(resource)) else {
        return Ok(());
    };
    if !fields.contains_key("System.WorkItemType") {
        return Ok(());
    }
    let field = |name: &str| fields.get(name);
    let who = |name: &str| field(name).map(super::cells::identity).unwrap_or_default();
    let words = |name: &str| Cell::from(field(name).and_then(text));
    let instant = |name: &str| field(name).and_then(time).map_or(Cell::Null, Cell::Time);
    let (assigned, changed) = (who("System.AssignedTo"), who("System.ChangedBy"));
    // It is known only when the next revision follows, and follows from that one's date.
    let mut kept = fields.clone();
    kept.remove("System.RevisedDate");
    let given = [
        ("work_item_id", id.into()),
        ("rev", rev.into()),
        ("project", words("System.TeamProject")),
        ("work_item_type", words("System.WorkItemType")),
        ("state", words("System.State")),
        ("reason", words("System.Reason")),
        ("title", words("System.Title")),
        ("assigned_to", assigned.display_name.into()),
        ("assigned_to_unique_name", assigned.unique_name.into()),
        ("changed_by", changed.display_name.into()),
        ("changed_by_unique_name", changed.unique_name.into()),
        ("changed_date", instant("System.ChangedDate")),
        ("area_path", words("System.AreaPath")),
        ("iteration_path", words("System.IterationPath")),
        (
            "is_deleted",
            (telling == Telling::Deleted || field("System.IsDeleted").and_then(Value::as_bool) == Some(true)).into(),
        ),
        ("fields", Cell::Text(Value::Object(kept).to_string())),
    ];
    WORK_ITEM_REVISION.write_with(origin, &Value::Null, &given, told)
}

fn commented(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    item(origin, resource, Telling::State, told)?;
    let (Some(id), Some(words)) = (
        work_item::number(resource, Telling::State),
        work_item::fields(resource)?.get("System.History").and_then(text),
    ) else {
        return Ok(());
    };
    let named = path(resource, &["commentVersionRef", "commentId"]).and_then(text);
    let comment = named.or_else(|| work_item::revision(resource).map(|rev| format!("rev:{rev}")));
    let fields = work_item::fields(resource)?;
    let who = fields.get("System.ChangedBy").map(super::cells::identity).unwrap_or_default();
    let when = fields.get("System.ChangedDate").and_then(time).map_or(Cell::Null, Cell::Time);
    let given = [
        ("work_item_id", id.into()),
        ("comment_id", comment.into()),
        ("comment_version", path(resource, &["commentVersionRef", "version"]).and_then(int).into()),
        ("text", words.into()),
        ("created_by", who.display_name.into()),
        ("created_by_unique_name", who.unique_name.into()),
        ("created_date", when),
    ];
    WORK_ITEM_COMMENT.write_with(origin, &Value::Null, &given, told)
}

/// A pull request with its reviewers.
pub fn pull(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    pull_request::write(origin, resource, told.rows(&super::ADO_PULL_REQUEST))?;
    let pull = member(resource, "pullRequest").unwrap_or(resource);
    let (Some(id), Some(repository)) =
        (path(pull, &["pullRequestId"]).and_then(int), path(pull, &["repository", "id"]).and_then(text))
    else {
        return Ok(());
    };
    for reviewer in path(pull, &["reviewers"]).and_then(Value::as_array).into_iter().flatten() {
        let given = [("repository_id", Cell::from(repository.clone())), ("pull_request_id", id.into())];
        PULL_REQUEST_VOTE.write_with(origin, reviewer, &given, told)?;
    }
    Ok(())
}

fn pull_comment(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    pull(origin, resource, told)?;
    let Some(comment) = member(resource, "comment") else { return Ok(()) };
    let pull = member(resource, "pullRequest").unwrap_or(&Value::Null);
    // The comment names its thread in its links only: …/threads/5 or …/threads/5/comments/1.
    let links = [&["_links", "threads", "href"][..], &["_links", "self", "href"]];
    let hrefs = links.iter().filter_map(|names| path(comment, names)?.as_str());
    let thread = hrefs.filter_map(|href| href.split("/threads/").nth(1)?.split('/').next()?.parse::<i64>().ok()).next();
    let given = [
        ("repository_id", Cell::from(path(pull, &["repository", "id"]).and_then(text))),
        ("pull_request_id", path(pull, &["pullRequestId"]).and_then(int).into()),
        ("thread_id", thread.unwrap_or(0).into()),
    ];
    PULL_REQUEST_COMMENT.write_with(origin, comment, &given, told)
}

/// A push with its commits and the refs that it moved.
fn pushed(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    push::write(origin, resource, told.rows(&super::ADO_PUSH))?;
    let Some(repository) = path(resource, &["repository", "id"]).and_then(text) else { return Ok(()) };
    let given = [
        ("repository_id", Cell::from(repository.clone())),
        ("repository", path(resource, &["repository", "name"]).and_then(text).into()),
        ("push_id", path(resource, &["pushId"]).and_then(int).into()),
    ];
    for commit in path(resource, &["commits"]).and_then(Value::as_array).into_iter().flatten() {
        COMMIT.write_with(origin, commit, &given, told)?;
    }
    for update in path(resource, &["refUpdates"]).and_then(Value::as_array).into_iter().flatten() {
        moved(origin, update, &given, told)?;
    }
    Ok(())
}

/// A ref where it stands now; at zeros it is gone.
fn moved(origin: &Origin, update: &Value, given: &[(&str, Cell)], told: &mut Told) -> Done {
    let (Some(name), Some(at)) =
        (path(update, &["name"]).and_then(text), path(update, &["newObjectId"]).and_then(text))
    else {
        return Ok(());
    };
    if at.bytes().all(|digit| digit == b'0') {
        let repository = given.iter().find(|(column, _)| *column == "repository_id").map(|(_, cell)| cell.clone());
        return REF.forget(origin, &[("repository_id", repository.unwrap_or(Cell::Null)), ("name", name.into())], told);
    }
    REF.write_with(origin, update, &given[..2], told)
}

fn repository_deleted(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    let id = path(resource, &["repositoryId"]).and_then(text);
    id.map_or(Ok(()), |id| REPOSITORY.forget(origin, &[("id", id.into())], told))
}

fn repository_forked(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    let Some(target) = member(resource, "targetRepository") else { return Ok(()) };
    let project = |what: &str| path(target, &["project", what]).and_then(text);
    let given = [
        ("parent_repository_id", Cell::from(path(resource, &["sourceRepository", "id"]).and_then(text))),
        ("is_fork", true.into()),
    ];
    REPOSITORY.write_with(&origin.of_project(project("id"), project("name")), target, &given, told)
}

fn run(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    build::write_run(origin, resource, told.rows(&super::ADO_BUILD))?;
    member(resource, "run").map_or(Ok(()), |run| write_run(origin, run, told))
}

/// A run, which may name itself by its address only.
pub fn write_run(origin: &Origin, run: &Value, told: &mut Told) -> Done {
    let instant = |name: &str| path(run, &[name]).and_then(time);
    let duration = build::duration_ms(instant("createdDate"), instant("finishedDate"));
    RUN.write_with(origin, run, &[("id", build::run_id(run).into()), ("duration_ms", duration.into())], told)
}

/// How long a stage, job or record took.
pub fn took(resource: &Value) -> Cell {
    let instant = |name: &str| path(resource, &[name]).and_then(time);
    build::duration_ms(instant("startTime"), instant("finishTime")).into()
}

fn stage(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    let run = member(resource, "run").unwrap_or(&Value::Null);
    write_run(origin, run, told)?;
    let Some(stage) = member(resource, "stage") else { return Ok(()) };
    let pipeline = |what: &str| path(resource, &["pipeline", what]).or_else(|| path(run, &["pipeline", what]));
    let given = [
        ("run_id", build::run_id(run).into()),
        ("pipeline_id", pipeline("id").and_then(int).into()),
        ("pipeline", pipeline("name").and_then(text).into()),
        ("duration_ms", took(stage)),
    ];
    STAGE.write_with(origin, stage, &given, told)
}

fn job(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    let run = member(resource, "run").unwrap_or(&Value::Null);
    write_run(origin, run, told)?;
    let Some(job) = member(resource, "job") else { return Ok(()) };
    let given = [
        ("run_id", build::run_id(run).into()),
        ("stage_id", path(resource, &["stage", "id"]).and_then(text).into()),
        ("duration_ms", took(job)),
    ];
    JOB.write_with(origin, job, &given, told)
}

fn approval(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    let Some(approval) = member(resource, "approval") else { return Ok(()) };
    let given = [
        ("pipeline_id", Cell::from(path(resource, &["pipeline", "id"]).and_then(int))),
        ("pipeline", path(resource, &["pipeline", "name"]).and_then(text).into()),
        ("run_id", path(resource, &["run", "id"]).and_then(int).into()),
        ("stage_name", path(resource, &["stageName"]).and_then(text).into()),
    ];
    write_approval(origin, approval, &given, told)
}

/// An approval with its steps.
pub fn write_approval(origin: &Origin, approval: &Value, given: &[(&str, Cell)], told: &mut Told) -> Done {
    APPROVAL.write_with(origin, approval, given, told)?;
    let id = Cell::from(path(approval, &["id"]).and_then(text));
    for step in path(approval, &["steps"]).and_then(Value::as_array).into_iter().flatten() {
        APPROVAL_STEP.write_with(origin, step, &[("approval_id", id.clone())], told)?;
    }
    Ok(())
}

fn release_approval(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    part(&RELEASE_APPROVAL, origin, resource, "approval", told)?;
    release(origin, resource, told)
}

fn release_deployment(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    part(&RELEASE_ENVIRONMENT, origin, resource, "environment", told)?;
    part(&RELEASE_DEPLOYMENT, origin, resource, "deployment", told)
}

fn release(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    member(resource, "release").map_or(Ok(()), |release| write_release(origin, release, told))
}

/// A release with its environments.
pub fn write_release(origin: &Origin, release: &Value, told: &mut Told) -> Done {
    RELEASE.write(origin, release, told)?;
    let id = Cell::from(path(release, &["id"]).and_then(int));
    for environment in path(release, &["environments"]).and_then(Value::as_array).into_iter().flatten() {
        RELEASE_ENVIRONMENT.write_with(origin, environment, &[("release_id", id.clone())], told)?;
    }
    Ok(())
}

/// An alert, with the first tool and rule for people. Where it is in a secret's file may show the secret: only file and line.
pub fn alert(origin: &Origin, resource: &Value, told: &mut Told) -> Done {
    let tool = path(resource, &["tools"]).and_then(Value::as_array).and_then(|tools| tools.first());
    let rule = tool.and_then(|tool| path(tool, &["rules"])?.as_array()?.first());
    let named = |of: Option<&Value>, name: &str| Cell::from(of.and_then(|of| path(of, &[name])).and_then(text));
    let places = path(resource, &["physicalLocations"]).and_then(Value::as_array);
    let places = places.map(|places| Value::Array(places.iter().map(place).collect()).to_string());
    let given = [
        ("tool", named(tool, "name")),
        ("rule", named(rule, "friendlyName")),
        ("physical_locations", places.unwrap_or_else(|| "[]".to_owned()).into()),
    ];
    ALERT.write_with(origin, resource, &given, told)
}

fn place(location: &Value) -> Value {
    let of = |names: &[&str]| path(location, names).cloned().unwrap_or(Value::Null);
    serde_json::json!({"filePath": of(&["filePath"]), "region": of(&["region"]), "versionControl": of(&["versionControl"])})
}
