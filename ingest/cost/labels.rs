//! The platform's labels (`x_app`, `x_env`, `x_cost_center`, `x_owner`, `x_project`, `x_model` …) out of tags and price
//! details, so that a cost line joins with telemetry and Kubernetes by the same words. A column of the file itself wins.

use engine::arrow::array::ArrayRef;

use super::batch::Cells;
use super::column::Names;
use super::layout::Layout;

/// A label's column, and the tags that name it: lower case, without `-` and `_`, the first that is there wins.
const FROM_TAGS: [(&str, &[&str]); 9] = [
    ("x_project", &["project"]),
    ("x_task", &["task", "workitem"]),
    ("x_pipeline_run", &["pipelinerun", "buildid", "runid"]),
    ("x_agent", &["agent", "agentid"]),
    ("x_component", &["component"]),
    ("x_app", &["application", "app", "service"]),
    ("x_env", &["environment", "env"]),
    ("x_cost_center", &["costcenter"]),
    ("x_owner", &["owner", "team"]),
];
const MODEL: &str = "x_model";

/// Fills the labels that a file has no column for.
pub struct Labels {
    tags: Option<usize>,
    details: Option<usize>,
    columns: Vec<(&'static str, &'static [&'static str], Names)>,
    model: Option<Names>,
    last_tags: String,
    last_labels: Vec<Option<String>>,
    last_details: String,
    last_model: Option<String>,
}

impl Labels {
    /// For the rows of a file of this layout.
    pub fn new(layout: &Layout) -> Labels {
        let missing = FROM_TAGS.iter().filter(|(column, _)| layout.cell(column).is_none());
        let columns: Vec<_> = missing.map(|(column, tags)| (*column, *tags, Names::default())).collect();
        Labels {
            tags: layout.cell("Tags"),
            details: layout.cell("SkuPriceDetails"),
            last_labels: vec![None; columns.len()],
            columns,
            model: layout.cell(MODEL).is_none().then(Names::default),
            last_tags: String::new(),
            last_details: String::new(),
            last_model: None,
        }
    }

    /// Appends a row's labels.
    pub fn append(&mut self, row: &impl Cells) {
        let tags = self.tags.and_then(|at| row.cell(at)).unwrap_or_default();
        if tags != self.last_tags {
            tags.clone_into(&mut self.last_tags);
            let pairs = texts(tags);
            for (label, (_, names, _)) in self.last_labels.iter_mut().zip(&self.columns) {
                let find =
                    |name: &&str| pairs.iter().find(|(key, _)| is_called(key, name)).map(|(_, value)| value.clone());
                *label = names.iter().find_map(find);
            }
        }
        for (label, (_, _, column)) in self.last_labels.iter().zip(&mut self.columns) {
            column.append(label.as_deref());
        }
        if let Some(column) = &mut self.model {
            let details = self.details.and_then(|at| row.cell(at)).unwrap_or_default();
            if details != self.last_details {
                details.clone_into(&mut self.last_details);
                self.last_model =
                    texts(details).into_iter().find(|(key, _)| is_called(key, "modelid")).map(|(_, value)| value);
            }
            column.append(self.last_model.as_deref());
        }
    }

    /// Appends nulls: the row is a mark.
    pub fn append_null(&mut self) {
        self.columns.iter_mut().for_each(|(_, _, column)| column.append(None));
        self.model.iter_mut().for_each(|column| column.append(None));
    }

    /// The columns so far, by name.
    pub fn finish(&mut self) -> Vec<(&'static str, ArrayRef)> {
        let tags = self.columns.iter_mut().map(|(name, _, column)| (*name, column.finish()));
        tags.chain(self.model.iter_mut().map(|column| (MODEL, column.finish()))).collect()
    }
}

/// The texts of a JSON object, by its own keys.
fn texts(json: &str) -> Vec<(String, String)> {
    let Ok(serde_json::Value::Object(map)) = serde_json::from_str(json) else { return Vec::new() };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) if !text.is_empty() => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    map.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect()
}

/// Whether a key is `name` but for case, `-`, `_`, blanks and a provider's prefix (`user:`).
fn is_called(key: &str, name: &str) -> bool {
    let start = key.bytes().rposition(|b| b == b':' || b == b'/').map_or(0, |at| at + 1);
    let plain = key.bytes().skip(start).filter(|b| !matches!(b, b'-' | b'_' | b' '));
    plain.map(|b| b.to_ascii_lowercase()).eq(name.bytes())
}
