//! Test runs with their results, and alerts of Advanced Security.

use engine::{Result, Value as Cell};
use serde_json::Value;

use super::super::cells::{int, path};
use super::super::client::{Ask, Host, Paging, segment};
use super::super::origin::{Origin, Told};
use super::super::route;
use super::super::{TEST_RESULT, TEST_RUN};
use super::cursor::Cursor;
use super::reading::Listing;
use super::{Count, Pass, Project, rfc3339};

/// The interface refuses a longer span of test runs.
const SPAN_US: i64 = 7 * 86_400_000_000;
/// What the cursor looks back again.
const OVERLAP_US: i64 = 600_000_000;
const RESULTS: Paging = Paging::Skip { skip: "$skip", top: "$top", size: 1000 };

impl Pass<'_> {
    /// Test runs that changed since the last reading, with their results.
    pub async fn tests(&self, project: &Project) -> Result<()> {
        let id = segment(&project.id);
        let now_us = self.client.time().now_us();
        let before = self.book.position("test_runs", &project.id).await?.and_then(|p| crate::json::instant_us(&p));
        let mut from = before.map_or(self.since_us(), |at| at - OVERLAP_US);
        while from < now_us {
            let to = (from + SPAN_US).min(now_us);
            let ask = Ask::get(Host::Core, format!("{id}/_apis/test/runs")).with("minLastUpdatedDate", rfc3339(from));
            let ask = ask.with("maxLastUpdatedDate", rfc3339(to)).with("$top", "100");
            let runs = match self.client.all(ask, Paging::Token, "value").await {
                Ok(runs) => runs,
                Err(refused) => return self.tolerate("test_runs", refused),
            };
            for run in &runs {
                let Some(number) = path(run, &["id"]).and_then(int) else { continue };
                let listing = Listing {
                    stream: "test_results",
                    project: Some(project),
                    ask: Ask::get(Host::Core, format!("{id}/_apis/test/Runs/{number}/results")),
                    paging: RESULTS,
                    member: "value",
                    sweep: &[],
                };
                let write = |o: &Origin, item: &Value, told: &mut Told| {
                    TEST_RESULT.write_with(o, item, &[("run_id", Cell::from(number))], told)
                };
                self.list(listing, &write).await?;
            }
            let cursor = Cursor { stream: "test_runs", part: project.id.clone(), position: rfc3339(to) };
            let write = |o: &Origin, item: &Value, told: &mut Told| TEST_RUN.write(o, item, told);
            let (_, changed) = self.write("test_runs", Some(project), &runs, now_us, Some(&cursor), &write).await?;
            self.count("test_runs", Some(project), Count { read: runs.len() as u64, changed, gone: 0 });
            from = to;
        }
        Ok(())
    }

    /// Alerts of one repository. Few organizations have them: one that has not answers that nothing is there.
    pub async fn alerts(&self, project: &Project, repository: &str) -> Result<()> {
        let at = format!("{}/_apis/alert/repositories/{}/alerts", segment(&project.id), segment(repository));
        let listing = Listing {
            stream: "alerts",
            project: Some(project),
            ask: Ask::get(Host::Security, at).with("top", "100").api("7.2-preview.1"),
            paging: Paging::Token,
            member: "value",
            sweep: &[],
        };
        self.list(listing, &route::alert).await?;
        Ok(())
    }
}
