//! CODEOWNERS: each pattern takes and leaves the paths that it should.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Tally, arg};
use crate::harness::{Ground, command};

pub fn run(suite: &Path) -> Option<Tally> {
    let patterns = fs::read_to_string(suite.join("patterns.json")).ok()?;
    let patterns: Value = serde_json::from_str(&patterns).expect("patterns.json is JSON");
    let mut tally = Tally::default();
    let ground = Ground::new();
    for case in patterns.as_array().into_iter().flatten() {
        let (pattern, paths) = (case["pattern"].as_str().unwrap_or_default(), case["paths"].as_object());
        let file = ground.beside("CODEOWNERS");
        // In the file a space within a pattern needs its backslash.
        let line = pattern.replace("\\ ", " ").replace(' ', "\\ ");
        fs::write(&file, format!("{line} @owner\n")).expect("the rules are written");
        let names: Vec<&str> = paths.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let done = command(&[&["codeowners", arg(&file), "--format", "json", "--"][..], &names[..]].concat()).output();
        let told: Value = done.ok().and_then(|done| serde_json::from_slice(&done.stdout).ok()).unwrap_or_default();
        for (i, (name, expected)) in paths.into_iter().flatten().enumerate() {
            let owned = told[i]["owners"].as_array().is_some_and(|owners| !owners.is_empty());
            let ok = told[i]["path"] == name.as_str() && Value::Bool(owned) == *expected;
            tally.case(&format!("{pattern} and {name}"), if ok { Ok(()) } else { Err(format!("owned: {owned}")) });
        }
    }
    Some(tally)
}
