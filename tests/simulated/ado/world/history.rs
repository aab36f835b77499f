//! An organization with a past: what lived in it for days before anybody asked.

use super::World;

/// How far back its past reaches.
const PAST_US: i64 = 20 * 86_400_000_000;
/// Entities that a change makes, about.
const A_CHANGE: usize = 2;
/// Changes between two counts of what there is.
const ROUND: usize = 500;

impl World {
    /// One whose past made at least so many entities until `now_us`.
    pub fn grown(seed: u64, now_us: i64, entities: usize) -> World {
        let began_us = now_us - PAST_US;
        let mut world = World::sized(seed, began_us, 4, 10, 0);
        let step_us = PAST_US / (entities / A_CHANGE) as i64;
        while world.entities() < entities {
            for _ in 0..ROUND {
                world.now_us = (world.now_us + step_us).min(now_us);
                world.change();
            }
            world.events.clear();
        }
        world
    }

    /// What there is to read, each resource once: a vote, a comment, a revision and a record of a timeline, too. Entries of the
    /// audit log are not among them.
    pub fn entities(&self) -> usize {
        let people = self.groups.len() + self.users.len() + self.members.len() + self.subscriptions.len();
        let code = self.projects.len() + self.repositories.len() + self.refs.len() + self.pushes.len();
        let commits: usize = self.pushes.iter().map(|(_, _, commits)| commits.len()).sum();
        let of_pull = |pull: &super::Pull| {
            let comments = pull.threads.iter().filter_map(|t| t["comments"].as_array()).map(Vec::len).sum::<usize>();
            let votes = pull.resource["reviewers"].as_array().map_or(0, Vec::len);
            1 + votes + pull.threads.len() + comments + pull.evaluations.len()
        };
        let pulls: usize = self.pulls.iter().map(of_pull).sum();
        let builds: usize = self.builds.iter().map(|build| 1 + build.records.len()).sum();
        let waits = self.approvals.len() + self.environments.len() + self.deployments.len() + self.policies.len();
        let of_item = |item: &super::Item| 1 + item.revisions.len() + item.comments.len();
        let items: usize = self.items.values().map(of_item).sum();
        let tests: usize = self.test_runs.iter().map(|(_, _, results)| 1 + results.len()).sum();
        people + code + commits + pulls + builds + waits + items + tests + self.alerts.len()
    }
}
